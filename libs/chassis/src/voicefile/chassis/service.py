"""A service as the composition sees it: two apps, what runs beside them, whether it is ready."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Tracer
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from voicefile.chassis.edge import Edge
from voicefile.chassis.limits import BodyLimit, BodyLimits, LimitBody
from voicefile.chassis.problems import Problem, install
from voicefile.identity.guard import open_to_all
from voicefile.identity.tokens import TokenVerifier

OPENAPI_PATH: Final = "/v1/openapi.json"
_INTERNAL: Final = "/internal/"
# FastAPI's own telemetry writes paths and queries into spans: chassis.telemetry writes templates.
_NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


@asynccontextmanager
async def _nothing_beside() -> AsyncIterator[None]:
    yield


async def _always_ready() -> bool:
    return True


@dataclass(frozen=True)
class Service:
    """One service, built and not started. `running` holds its loops for as long as it serves."""

    name: str
    public: FastAPI
    internal: FastAPI | None = None
    running: Callable[[], AbstractAsyncContextManager[None]] = _nothing_beside
    ready: Callable[[], Awaitable[bool]] = _always_ready

    @property
    def inside(self) -> ASGIApp:
        """Both doors as one app, for clients inside: what begins with /internal/ is internal.

        Never served on a public port; that is what `public` is for.
        """
        return _Inside(public=self.public, internal=self.internal)


class _Inside:
    def __init__(self, *, public: ASGIApp, internal: ASGIApp | None) -> None:
        self._public = public
        self._internal = internal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        inside = self._internal is not None and path.startswith(_INTERNAL)
        app = self._internal if inside and self._internal is not None else self._public
        await app(scope, receive, send)


def new_app(
    title: str,
    *,
    problems: Mapping[type[Exception], Problem] | None = None,
    tokens: TokenVerifier | None = None,
    body: BodyLimit = BodyLimit(),
    bodies: Mapping[str, BodyLimit] | None = None,
    openapi_path: str | None = OPENAPI_PATH,
    probes: frozenset[str] = frozenset(),
    tracer: Tracer | None = None,
) -> FastAPI:
    """An app with everything that every app of ours has.

    `problems`: the service's table from exceptions to answers. `tokens`: what the guards verify
    with. `body`: what a request body may be; `bodies`: other limits by exact route path. `probes`:
    routes that machines ask all the time, of which only failures are logged.
    """
    app = FastAPI(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect repeats the path of the request in its Location.
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    install(app, problems or {})
    # The one added last stands outermost.
    app.add_middleware(LimitBody, limits=BodyLimits(usual=body, of_path=bodies or {}))
    app.add_middleware(Edge, name=title, probes=probes, tracer=tracer)
    if tokens is not None:
        app.state.tokens = tokens
    if openapi_path is not None:
        _serve_openapi(app, openapi_path)
    return app


def serve_routes(app: FastAPI, *routers: APIRouter) -> None:
    """Has the app serve the routers' routes, as they are.

    FastAPI's own way of including a router analyses each of its routes once more, which is most of
    what building an app takes; it is for who adds a prefix or a dependency there, and nobody does.
    """
    for router in routers:
        app.router.routes.extend(router.routes)


def _serve_openapi(app: FastAPI, path: str) -> None:
    @app.get(
        path,
        include_in_schema=False,
        dependencies=[Depends(open_to_all("the interface itself is no secret"))],
    )
    async def openapi(_request: Request) -> JSONResponse:
        return JSONResponse(app.openapi())
