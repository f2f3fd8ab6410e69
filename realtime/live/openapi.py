"""The OpenAPI document, made from the table of routes and the pydantic models."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeGuard

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from allaprima.realtime.live.auth import Role

if TYPE_CHECKING:
    from allaprima.realtime.live.routes import Route

DOCUMENT = web.AppKey("openapi", dict[str, Any])
PARAMETER = re.compile(r"\{(\w+):((?:[^{}]|\{[\d,]+\})+)\}")
REF = "#/components/schemas/{model}"


async def serve(request: web.Request) -> web.Response:
    """This document."""
    return web.json_response(request.app[DOCUMENT])


def document(routes: "Iterable[Route]") -> dict[str, Any]:
    """The document of all routes."""
    from allaprima.realtime.live.rest import Failure

    routes = list(routes)
    models: set[tuple[type[BaseModel], str]] = {(Failure, "serialization")}
    for route in routes:
        for content, mode in ((route.takes, "validation"), (route.gives, "serialization")):
            if _is_model(content):
                models.add((content, mode))
    ordered: Any = sorted(models, key=lambda pair: (pair[0].__name__, pair[1]))
    references, schemas = models_json_schema(ordered, by_alias=True, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Alla Prima live",
            "version": version("allaprima"),
            "description": "Paints live streams. Errors are JSON with `error` and `hint`. Streams opened by a page "
            "have names that nobody can guess; who knows one may steer it.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {"type": "apiKey", "in": "query", "name": "token", "description": "For GET only."},
            },
        },
    }


def _is_model(content: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(content, type) and issubclass(content, BaseModel)


def _operation(route: "Route", references: Any) -> dict[str, Any]:
    text = " ".join((route.handler.__doc__ or "").split())
    fails = sorted({*route.fails, *((401, 403, 429) if route.least is not Role.ANYBODY else ())})
    operation: dict[str, Any] = {
        "summary": text,
        "operationId": _operation_id(route),
        "parameters": _parameters(route),
        "security": [] if route.least is Role.ANYBODY else _schemes(route.method),
        "responses": {
            str(route.status): {"description": HTTPStatus(route.status).phrase}
            | _content(route.gives, "serialization", references),
        }
        | {str(status): {"description": HTTPStatus(status).phrase} | _error() for status in fails},
    }
    if route.takes is not None:
        operation["requestBody"] = {"required": True} | _content(route.takes, "validation", references)
    return operation


def _schemes(method: str) -> list[dict[str, list[str]]]:
    schemes: list[dict[str, list[str]]] = [{"bearer": []}]
    return [*schemes, {"query": []}] if method == "GET" else schemes


def _operation_id(route: "Route") -> str:
    words = re.findall(r"[A-Za-z0-9]+", PARAMETER.sub(r"\1", route.path)) or ["page"]
    return "_".join([route.method.lower(), *words])


def _parameters(route: "Route") -> list[dict[str, Any]]:
    inside = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{pattern}$"}}
        for name, pattern in PARAMETER.findall(route.path)
    ]
    return inside + [
        {"name": name, "in": "query", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in route.query.items()
    ]


def _content(content: Any, mode: str, references: Any) -> dict[str, Any]:
    if content is None:
        return {}
    if _is_model(content):
        return {"content": {"application/json": {"schema": references[(content, mode)]}}}
    types = (content,) if isinstance(content, str) else content
    return {"content": {kind: {"schema": {"type": "string"}} for kind in types}}


def _error() -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": REF.format(model="Failure")}}}}
