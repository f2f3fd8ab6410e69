"""WHIP in and WHEP out: the HTTP side of RFC 9725 and of its mirror image for watching.

A POST of an offer makes a session (201, ``Location``, ``ETag``, ICE servers as ``Link``), PATCH adds candidates to it,
DELETE ends it.  ICE restarts are not supported, which the RFC answers with 422.
"""

from aiohttp import web

from allaprima.realtime.live.auth import Role
from allaprima.realtime.live.hub import check_name
from allaprima.realtime.live.limits import check_type, client_of, read_body
from allaprima.realtime.live.replies import Refused
from allaprima.realtime.live.site import SITE, Session, Site, ufrag_of

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"


async def options(request: web.Request) -> web.Response:
    """What the endpoint takes, and the ICE servers to use."""
    response = web.Response(status=204, headers={"Accept-Post": SDP, "Allow": "POST, OPTIONS"})
    _add_links(response, request.app[SITE])
    return response


async def session_options(request: web.Request) -> web.Response:
    """What a session takes."""
    _session(request)
    return web.Response(status=204, headers={"Accept-Patch": FRAGMENT, "Allow": "PATCH, DELETE, OPTIONS"})


async def publish(request: web.Request) -> web.Response:
    """A publisher's offer: opens the stream of that name."""
    site = request.app[SITE]
    name = check_name(request.match_info["name"])
    sdp = await _offer(request, site)
    return _created(site, *await site.publish(name, sdp, "whip"))


async def watch(request: web.Request) -> web.Response:
    """A viewer's offer."""
    site = request.app[SITE]
    sdp = await _offer(request, site)
    stream = site.find(request.match_info["name"], site.auth.role(request))
    return _created(site, *await site.watch(stream, sdp))


async def _offer(request: web.Request, site: Site) -> str:
    check_type(request, SDP)
    site.openings.check(client_of(request))
    return text(await read_body(request, site.limits.sdp_bytes, site.limits.body_seconds))


def text(body: bytes) -> str:
    """An SDP as text.  Raises `Refused` for what is none at first sight."""
    try:
        sdp = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(400, "the SDP is not a text") from error
    if not sdp.startswith("v=0"):
        raise Refused(400, "that is not an SDP", "It begins with v=0.")
    return sdp


def _created(site: Site, session: Session, sdp: str) -> web.Response:
    headers = {
        "Location": f"/{session.stream}/{session.kind}/{session.peer}",
        "ETag": session.etag,
        "Accept-Patch": FRAGMENT,
    }
    response = web.Response(status=201, body=sdp.encode(), content_type=SDP, headers=headers)
    _add_links(response, site)
    return response


def _add_links(response: web.Response, site: Site) -> None:
    for server in site.ice_servers:
        response.headers.add("Link", server.link())


async def trickle(request: web.Request) -> web.Response:
    """More candidates of the peer's."""
    site = request.app[SITE]
    session = _session(request)
    check_type(request, FRAGMENT)
    _check_match(request, session)
    body = await read_body(request, site.limits.body_bytes, site.limits.body_seconds)
    try:
        fragment = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(400, "the SDP fragment is not a text") from error
    ufrag = ufrag_of(fragment)
    if ufrag and session.ufrag and ufrag != session.ufrag:
        raise _no_restart()
    await site.peers.add_candidates(session.peer, fragment)
    return web.Response(status=204, headers={"ETag": session.etag})


def _check_match(request: web.Request, session: Session) -> None:
    match = request.headers.get("If-Match")
    if match is None:
        raise Refused(428, "the header If-Match is missing", "Send the ETag of the answer.")
    if match.strip() == "*":  # so a client asks for an ICE restart
        raise _no_restart()
    if session.etag not in (tag.strip() for tag in match.split(",")):
        raise Refused(412, "If-Match names another ICE session")


def _no_restart() -> Refused:
    return Refused(422, "ICE restarts are not supported", "End the session and begin a new one.")


async def hang_up(request: web.Request) -> web.Response:
    """End the session; with the publisher's ends the stream."""
    site = request.app[SITE]
    session = _session(request)
    await site.peers.close(session.peer)
    site.gone(session.peer)
    if session.publishes:
        await site.end(session.stream)
    return web.Response(status=200)


def _session(request: web.Request) -> Session:
    """The session that the address names; its name is its key.  Raises `Refused` with 404."""
    site: Site = request.app[SITE]
    session = site.sessions.get(request.match_info["session"])
    kind = request.path.split("/")[2]
    if session is None or (session.stream, session.kind) != (request.match_info["name"], kind):
        raise Refused(404, "there is no such session")
    if kind == "whip" and site.auth.role(request) < Role.OPERATOR:
        raise Refused(403, "guests may not do that")
    return session
