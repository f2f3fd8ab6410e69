"""The JSON interface: streams, their settings and figures, styles, trainings, and the page's own offer."""

import json
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from allaprima.realtime import shelf
from allaprima.realtime.capacity import refusal
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live import events, metrics, pictures, tracing
from allaprima.realtime.live.auth import Role
from allaprima.realtime.live.control import Change, State, Stats
from allaprima.realtime.live.jobs import Job
from allaprima.realtime.live.limits import check_type, client_of, read_body
from allaprima.realtime.live.replies import Refused, as_json
from allaprima.realtime.live.site import SITE, Site
from allaprima.realtime.live.whip import text
from allaprima.realtime.stylebank import Mix

JSON = "application/json"


class Offer(BaseModel):
    """A browser's offer to send its camera and see it painted."""

    model_config = ConfigDict(extra="forbid")

    sdp: str = Field(strict=True)
    type: Literal["offer"]
    settings: Change | None = Field(default=None, alias="set", description="Settings of the first frame.")


class Answered(BaseModel):
    """The answer, and the name of the stream, which nobody can guess: keep it secret."""

    id: str
    sdp: str
    type: Literal["answer"] = "answer"
    state: State


class StreamInfo(BaseModel):
    """A stream, its settings and its figures."""

    id: str
    private: bool = Field(description="Opened by a page: its name is a secret of the page's user.")
    state: State
    stats: Stats


class Room(BaseModel):
    """What the machine can paint, as shares of it at the least effort; 0 before it was measured."""

    measured: bool
    load: float = Field(description="What the streams take.")
    next: float = Field(description="What one more would take.")
    fits: bool = Field(description="Whether one more would be taken.")


class Streams(BaseModel):
    """All streams."""

    streams: list[StreamInfo]
    capacity: Room


class StyleInfo(BaseModel):
    """What there is to know of a style."""

    name: str
    title: str = ""
    artist: str = ""
    year: str = ""
    licence: str = ""
    preview: str | None = Field(default=None, description="Address of a small picture.")
    shipped: bool = True
    problem: str | None = Field(default=None, description="Why it cannot be used.")


class Styles(BaseModel):
    """All styles, and whether new ones can be trained here."""

    styles: list[StyleInfo]
    default: str = Field(description="What a new stream starts with; of a mix its heaviest.")
    training: bool
    training_hint: str = Field(default="", description="What training needs, where it cannot be.")


class IceServers(BaseModel):
    """For ``RTCPeerConnection``."""

    iceServers: list[dict[str, Any]]


class Health(BaseModel):
    """That the server lives."""

    status: Literal["ok"] = "ok"


class Failure(BaseModel):
    """Any error."""

    error: str
    hint: str


async def offer(request: web.Request) -> web.Response:
    """Open a stream of the caller's own; it ends when the peer has gone."""
    site = request.app[SITE]
    check_type(request, JSON)
    site.openings.check(client_of(request))
    most = site.limits.sdp_bytes + site.limits.body_bytes
    body = _json(await read_body(request, most, site.limits.body_seconds))
    try:
        wanted = Offer.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise Refused(400, f"{'.'.join(str(p) for p in first['loc'])[:100]}: {first['msg']}") from error
    sdp = wanted.sdp.encode("utf-8", "surrogatepass")  # half a pair is refused below
    if len(sdp) > site.limits.sdp_bytes:
        raise Refused(413, f"the SDP has more than {site.limits.sdp_bytes} bytes")
    session, answer = await site.publish(None, text(sdp), "offer", wanted.settings)
    stream = site.find(session.stream, Role.GUEST)
    return as_json(Answered(id=session.stream, sdp=answer, state=stream.state))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is not JSON") from error


# ---- streams ----


def _info(site: Site, stream: Any) -> StreamInfo:
    private = site.hub.is_private(stream.name)
    return StreamInfo(id=stream.name, private=private, state=stream.state, stats=stream.stats())


async def streams(request: web.Request) -> web.Response:
    """The streams there are."""
    site = request.app[SITE]
    return as_json(Streams(streams=[_info(site, stream) for stream in site.hub.streams()], capacity=_room(site)))


def _room(site: Site) -> Room:
    hub, loads = site.hub, site.hub.loads()
    following = hub.capacity.following(loads)
    fits = len(hub) < hub.most and not refusal(loads, following)
    return Room(measured=hub.capacity.cost is not None, load=sum(loads), next=following, fits=fits)


async def stream(request: web.Request) -> web.Response:
    """One stream."""
    site = request.app[SITE]
    return as_json(_info(site, site.find(request.match_info["id"], site.auth.role(request))))


async def change(request: web.Request) -> web.Response:
    """Set any of style, mix, strength, steadiness, transition, cue and bypass, on the next frame."""
    site = request.app[SITE]
    check_type(request, JSON)
    found = site.find(request.match_info["id"], site.auth.role(request))
    body = await read_body(request, site.limits.body_bytes, site.limits.body_seconds)
    return as_json(await site.run(found.apply, Change.read(body)))


async def stats(request: web.Request) -> web.Response:
    """How the stream fares."""
    site = request.app[SITE]
    return as_json(site.find(request.match_info["id"], site.auth.role(request)).stats())


async def trace(request: web.Request) -> web.Response:
    """Watch a stream for so many seconds: what each thread did with each frame, for ui.perfetto.dev."""
    site = request.app[SITE]
    found = site.find(request.match_info["id"], site.auth.role(request))
    document = await tracing.record(found, tracing.seconds_of(request.query.get("seconds", "")), lambda: site.closing)
    headers = {"Content-Disposition": 'attachment; filename="trace.json"'}
    return web.Response(text=await site.run(document), content_type=JSON, headers=headers)


async def end(request: web.Request) -> web.Response:
    """End a stream, its publisher and its viewers."""
    site = request.app[SITE]
    await site.end(site.find(request.match_info["id"], site.auth.role(request)).name)
    return web.Response(status=204)


async def listen(request: web.Request) -> web.StreamResponse:
    """Server-sent events: `state` at once and with each change, `stats` every second, `end`."""
    site = request.app[SITE]
    found = site.find(request.match_info["id"], site.auth.role(request))
    if site.listeners >= site.limits.listeners:
        raise Refused(503, "there are as many listeners as there may be")
    site.listeners += 1
    try:
        return await events.serve(request, found, lambda: not site.closing and site.hub.get(found.name) is found)
    finally:
        site.listeners -= 1


# ---- styles ----


async def styles(request: web.Request) -> web.Response:
    """The styles there are."""
    site = request.app[SITE]
    found = await site.run(shelf.shelved, site.bundle)
    problem = site.jobs.trainer.problem()
    if site.auth.role(request) < Role.OPERATOR:
        problem = ConfigError("only the operator trains styles")
    hint = f"{problem}. {problem.hint}".strip() if problem else ""
    default = max(Mix.parse(site.style).weights, key=lambda part: part[1])[0]
    rows = [_style(style) for style in found]
    return as_json(Styles(styles=rows, default=default, training=problem is None, training_hint=hint))


def _style(style: shelf.Shelved) -> StyleInfo:
    card = style.card
    return StyleInfo(
        name=style.name,
        title=card.title if card else "",
        artist=card.artist if card else "",
        year=card.year if card else "",
        licence=card.licence if card else "",
        preview=f"/v1/styles/{style.name}/preview.jpg" if style.preview else None,
        shipped=style.shipped,
        problem=style.problem or None,
    )


async def preview(request: web.Request) -> web.Response:
    """A small picture in the style."""
    site = request.app[SITE]
    file = (await site.run(site.bundle.style_files)).get(request.match_info["name"])
    picture = file.with_suffix(".jpg") if file else None
    try:
        if picture is None:
            raise FileNotFoundError
        data, stamp = await site.run(picture.read_bytes), picture.stat().st_mtime_ns
    except OSError as error:
        raise Refused(404, "there is no such preview") from error
    headers = {"ETag": f'"{stamp:x}-{len(data):x}"', "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=data, content_type="image/jpeg", headers=headers)


async def train(request: web.Request) -> web.Response:
    """Train a style from the picture that is the body; minutes.  One at a time."""
    site = request.app[SITE]
    check_type(request, *pictures.TYPES)
    style = request.query.get("name", "")
    site.jobs.check(style)
    site.openings.check(client_of(request))
    picture = await read_body(request, site.limits.picture_bytes, 2 * site.limits.body_seconds)
    job = await site.jobs.start(picture, style)
    return as_json(job, 202, {"Location": f"/v1/jobs/{job.id}"})


def _job(request: web.Request) -> Job:
    job = request.app[SITE].jobs.get(request.match_info["id"])
    if job is None:
        raise Refused(404, "there is no such job")
    return job


async def job(request: web.Request) -> web.Response:
    """How far a training is."""
    return as_json(_job(request))


async def stop_job(request: web.Request) -> web.Response:
    """End a training; what it has learned is kept."""
    site = request.app[SITE]
    if _job(request).state == "running":
        site.soon(site.jobs.stop())
    return web.Response(status=204)


# ---- the server itself ----


async def ice(request: web.Request) -> web.Response:
    """STUN and TURN servers for a browser."""
    return as_json(IceServers(iceServers=[server.as_json() for server in request.app[SITE].ice_servers]))


async def healthz(request: web.Request) -> web.Response:
    """Whether the process answers."""
    return as_json(Health())


async def readyz(request: web.Request) -> web.Response:
    """Whether streams can be opened: not while starting or going down."""
    if not request.app[SITE].ready:
        raise Refused(503, "not ready")
    return as_json(Health())


async def prometheus(request: web.Request) -> web.Response:
    """Figures of all streams for Prometheus."""
    site = request.app[SITE]
    rows = [
        metrics.Row(stream.name, site.hub.is_private(stream.name), stream.state, stream.stats())
        for stream in site.hub.streams()
    ]
    totals: dict[str, float] = {"sessions": len(site.hub), "sessions_most": site.hub.most, "peers": len(site.sessions)}
    room = _room(site)
    totals |= {"listeners": site.listeners, "refused_total": site.hub.capacity.refused}
    capacity = {"capacity_measured": room.measured, "capacity_load": room.load, "capacity_next": room.next}
    totals |= capacity | metrics.process()
    return web.Response(text=metrics.text(rows, totals), headers={"Content-Type": metrics.CONTENT_TYPE})
