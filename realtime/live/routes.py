"""Every address of the server: who may use it, what it takes and gives.  Routes and OpenAPI document come from here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from allaprima.realtime.live import metrics, openapi, pages, pictures, rest, whip
from allaprima.realtime.live.auth import Role
from allaprima.realtime.live.control import Change, State, Stats
from allaprima.realtime.live.jobs import Job
from allaprima.realtime.live.limits import client_of
from allaprima.realtime.live.replies import Handler
from allaprima.realtime.live.site import SITE

STREAM = "{name:[a-z0-9-]{1,40}}"
STYLE = "{name:[A-Za-z0-9._-]{1,100}}"
ID = "{id:[A-Za-z0-9_-]{1,64}}"
SESSION = "{session:[A-Za-z0-9_-]{1,64}}"
HTML, JPEG, SSE = "text/html", "image/jpeg", "text/event-stream"

Content = type[BaseModel] | str | tuple[str, ...] | None
"""What a body is: a model, or media types."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    least: Role
    gives: Content = None
    takes: Content = None
    status: int = 200
    fails: tuple[int, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    """Query parameters that are needed, besides the token, with what they mean."""


ANYBODY, GUEST, OPERATOR = Role.ANYBODY, Role.GUEST, Role.OPERATOR
OPENING = (400, 413, 415, 422, 429, 503)
TRICKLING = (400, 404, 412, 413, 415, 422, 428)
ROUTES = (
    Route("GET", "/", pages.page, ANYBODY, HTML),
    Route("GET", "/favicon.ico", pages.favicon, ANYBODY, "image/svg+xml"),
    Route("GET", "/static/{path:[A-Za-z0-9._/-]{1,200}}", pages.static, ANYBODY, "text/javascript", fails=(404,)),
    Route("GET", "/healthz", rest.healthz, ANYBODY, rest.Health),
    Route("GET", "/readyz", rest.readyz, ANYBODY, rest.Health, fails=(503,)),
    Route("GET", "/metrics", rest.prometheus, OPERATOR, metrics.CONTENT_TYPE.partition(";")[0]),
    Route("POST", "/offer", rest.offer, GUEST, rest.Answered, rest.Offer, fails=OPENING),
    Route("GET", "/v1/openapi.json", openapi.serve, GUEST, "application/json"),
    Route("GET", "/v1/ice", rest.ice, GUEST, rest.IceServers),
    Route("GET", "/v1/styles", rest.styles, GUEST, rest.Styles),
    Route(
        "POST",
        "/v1/styles",
        rest.train,
        OPERATOR,
        Job,
        pictures.TYPES,
        202,
        (400, 409, 413, 415, 429),
        {"name": "What the new style is called."},
    ),
    Route("GET", f"/v1/styles/{STYLE}/preview.jpg", rest.preview, GUEST, JPEG, fails=(404,)),
    Route("GET", f"/v1/jobs/{ID}", rest.job, OPERATOR, Job, fails=(404,)),
    Route("DELETE", f"/v1/jobs/{ID}", rest.stop_job, OPERATOR, status=204, fails=(404,)),
    Route("GET", "/v1/streams", rest.streams, OPERATOR, rest.Streams),
    Route("GET", f"/v1/streams/{ID}", rest.stream, GUEST, rest.StreamInfo, fails=(404,)),
    Route("PATCH", f"/v1/streams/{ID}", rest.change, GUEST, State, Change, fails=(400, 404, 413, 415)),
    Route("DELETE", f"/v1/streams/{ID}", rest.end, GUEST, status=204, fails=(404,)),
    Route("GET", f"/v1/streams/{ID}/stats", rest.stats, GUEST, Stats, fails=(404,)),
    Route("GET", f"/v1/streams/{ID}/events", rest.listen, GUEST, SSE, fails=(404, 503)),
    Route(
        "POST",
        f"/v1/streams/{ID}/trace",
        rest.trace,
        GUEST,
        rest.JSON,
        fails=(400, 404, 409),
        query={"seconds": "How long to watch, up to 30."},
    ),
    Route("GET", f"/{STREAM}", pages.player, ANYBODY, HTML, fails=(400,)),
    Route("OPTIONS", f"/{STREAM}/whip", whip.options, OPERATOR, status=204),
    Route("POST", f"/{STREAM}/whip", whip.publish, OPERATOR, whip.SDP, whip.SDP, 201, (409, *OPENING)),
    Route("OPTIONS", f"/{STREAM}/whip/{SESSION}", whip.session_options, OPERATOR, status=204, fails=(404,)),
    Route("PATCH", f"/{STREAM}/whip/{SESSION}", whip.trickle, OPERATOR, None, whip.FRAGMENT, 204, TRICKLING),
    Route("DELETE", f"/{STREAM}/whip/{SESSION}", whip.hang_up, OPERATOR, fails=(404,)),
    Route("OPTIONS", f"/{STREAM}/whep", whip.options, GUEST, status=204),
    Route("POST", f"/{STREAM}/whep", whip.watch, GUEST, whip.SDP, whip.SDP, 201, (404, *OPENING)),
    Route("OPTIONS", f"/{STREAM}/whep/{SESSION}", whip.session_options, GUEST, status=204, fails=(404,)),
    Route("PATCH", f"/{STREAM}/whep/{SESSION}", whip.trickle, GUEST, None, whip.FRAGMENT, 204, TRICKLING),
    Route("DELETE", f"/{STREAM}/whep/{SESSION}", whip.hang_up, GUEST, fails=(404,)),
)


def add_to(app: web.Application) -> None:
    """Register every route behind its guard."""
    for route in ROUTES:
        app.router.add_route(route.method, route.path, guarded(route))
        if route.method == "GET" and route.gives != SSE:
            app.router.add_route("HEAD", route.path, guarded(route))
    app[openapi.DOCUMENT] = openapi.document(ROUTES)


def guarded(route: Route) -> Handler:
    """The handler, for those who may and not too often."""

    async def handle(request: web.Request) -> web.StreamResponse:
        site = request.app[SITE]
        with site.doorman.busy(request):
            site.requests.check(client_of(request))
            site.auth.check(request, route.least)
            return await route.handler(request)

    return handle
