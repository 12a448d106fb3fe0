"""Health: whether the process lives, whether each part can serve, and the metrics.

An app of its own for a port of its own, never mounted on the public one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from fastapi import Depends, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.responses import JSONResponse, Response

from voicefile.chassis.service import new_app
from voicefile.chassis.stack import where_it_broke
from voicefile.identity.guard import open_to_all

log = structlog.get_logger(__name__)

CHECK_S_MAX: Final = 2.0
CHECK_EVERY_S: Final = 1.0
"""A check may be a durable write: however often probes come, it runs this often at most."""
OK: Final = "ok"
STOPPING: Final = "stopping"
PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})

Check = Callable[[], Awaitable[bool]]


class Readiness:
    """Asks each part, with a time limit, and remembers the answer for a moment."""

    def __init__(
        self,
        parts: Mapping[str, Check],
        *,
        check_s_max: float = CHECK_S_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check_s_max = check_s_max
        self._parts = parts
        self._monotonic = monotonic
        self._asking = asyncio.Lock()
        self._answer: dict[str, str] = {}
        self._asked_s = float("-inf")

    async def states(self) -> dict[str, str]:
        """By part: ok, or a code for why not."""
        async with self._asking:
            if self._monotonic() - self._asked_s >= CHECK_EVERY_S:
                async with asyncio.TaskGroup() as group:
                    asked = {
                        name: group.create_task(_state(name, check, s_max=self._check_s_max))
                        for name, check in self._parts.items()
                    }
                self._answer = {name: task.result() for name, task in asked.items()}
                self._asked_s = self._monotonic()
            return self._answer


async def _state(name: str, check: Check, *, s_max: float) -> str:
    try:
        async with asyncio.timeout(s_max):
            return OK if await check() else "not-ready"
    except TimeoutError:
        return "timeout"
    except Exception as error:  # noqa: BLE001 one broken part must not hide how the others are
        log.warning("check_failed", part=name, **where_it_broke(error))
        return "failed"


def health_app(
    parts: Mapping[str, Check],
    *,
    stopping: Callable[[], bool] = lambda: False,
    registry: CollectorRegistry = REGISTRY,
    monotonic: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The app of the health port. `parts`: by name, whether each can serve.

    `stopping`: whether the process was told to stop; then it is ready no more, from that moment.
    """
    app = new_app("health", openapi_path=None, probes=PROBES)
    readiness = Readiness(parts, monotonic=monotonic)
    anybody = [Depends(open_to_all("the port is internal, the answers are codes and counts"))]

    @app.get("/livez", dependencies=anybody)
    async def livez() -> JSONResponse:
        return JSONResponse({"status": OK})

    @app.get("/readyz", dependencies=anybody)
    async def readyz() -> JSONResponse:
        parts_now = {"process": STOPPING} if stopping() else await readiness.states()
        ready = all(state == OK for state in parts_now.values())
        return JSONResponse(
            {"status": OK if ready else "not-ready", "parts": parts_now},
            status_code=200 if ready else 503,
        )

    @app.get("/metrics", dependencies=anybody)
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return app
