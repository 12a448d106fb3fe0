"""Every answer carries a fresh id and the headers; every request leaves one line."""

import re

import httpx
import pytest
import structlog
from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from voicefile.chassis.inprocess import InProcessTransport
from voicefile.chassis.metrics import request_seconds
from voicefile.chassis.service import new_app
from voicefile.chassis.streaming import StreamedResponse
from voicefile.identity.guard import open_to_all

CANARY = "4929123412341234"
ANYBODY = [Depends(open_to_all("a test"))]


def add_routes(app: FastAPI) -> FastAPI:
    router = APIRouter(prefix="/v1")

    @router.get("/things/{thing}", dependencies=ANYBODY)
    async def thing(thing: str, request: Request) -> str:
        return request.state.request_id

    @router.get("/own-headers", dependencies=ANYBODY)
    async def own() -> Response:
        return Response(
            headers={
                "Cache-Control": "public, immutable",
                "Content-Security-Policy": "default-src 'self'",
                "X-Frame-Options": "ALLOWALL",
                "Referrer-Policy": "unsafe-url",
            }
        )

    @router.get("/breaks", dependencies=ANYBODY)
    async def breaks() -> Response:
        async def body():
            yield b"x"
            raise ValueError(CANARY)

        return StreamedResponse(body())

    @router.get("/endless", dependencies=ANYBODY)
    async def endless() -> Response:
        async def body():
            while True:
                yield b"x" * 65536

        return StreamedResponse(body())

    app.include_router(router)
    return app


@pytest.fixture
def asking() -> httpx.AsyncClient:
    return client(add_routes(new_app("edge")))


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=InProcessTransport(app), base_url="https://vault.test")


@pytest.mark.parametrize("path", ["/v1/things/1", "/nothing", "/v1/things/1?x=2"])
async def test_every_answer_has_the_security_headers(asking, path: str):
    headers = (await asking.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["strict-transport-security"].startswith("max-age=63072000")
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_an_answer_may_choose_its_cache_and_policy_but_not_weaken_the_rest(asking):
    headers = (await asking.get("/v1/own-headers")).headers
    assert headers["cache-control"] == "public, immutable"
    assert headers["content-security-policy"] == "default-src 'self'"
    assert headers.get_list("x-frame-options") == ["DENY"]
    assert headers.get_list("referrer-policy") == ["no-referrer"]


async def test_the_request_id_is_ours_and_fresh(asking: httpx.AsyncClient):
    claims = {"X-Request-Id": CANARY, "Voicefile-Request-Id": CANARY, "traceparent": CANARY}
    answers = [await asking.get("/v1/things/1", headers=claims) for _ in range(3)]
    ids = [answer.headers["voicefile-request-id"] for answer in answers]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
    assert [answer.json() for answer in answers] == ids


async def test_one_line_per_request_by_its_template(asking: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs:
        await asking.get(
            f"/v1/things/{CANARY}?pin={CANARY}",
            headers={"User-Agent": CANARY, "Cookie": CANARY, "Referer": CANARY},
        )
    (line,) = logs
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/v1/things/{thing}",
        "status": 200,
    }


async def test_of_a_probe_only_failures_are_logged():
    asking = client(
        add_routes(new_app("edge", probes=frozenset({"/v1/own-headers", "/v1/breaks"})))
    )
    with structlog.testing.capture_logs() as logs:
        await asking.get("/v1/own-headers")
        await asking.get("/v1/things/1")
        with pytest.raises(httpx.RemoteProtocolError):
            await asking.get("/v1/breaks")
    routes = [line["route"] for line in logs if line["event"] == "request"]
    assert routes == ["/v1/things/{thing}", "/v1/breaks"]


async def test_an_unknown_path_is_logged_as_none(asking: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs:
        await asking.request(f"X{CANARY}", f"/{CANARY}")
    (line,) = logs
    assert (line["route"], line["method"], line["status"]) == ("none", "other", 404)


async def test_a_cut_answer_is_logged_as_cut(asking: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs, pytest.raises(httpx.RemoteProtocolError):
        await asking.get("/v1/breaks")
    assert [line.get("status") for line in logs if line["event"] == "request"] == [499]
    assert "ValueError" in next(
        line["error_type"] for line in logs if line["event"] == "request_failed"
    )


async def test_a_listener_who_leaves_is_no_failure(asking: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs:
        async with asking.stream("GET", "/v1/endless") as answer:
            await anext(answer.aiter_raw())
        await asking.aclose()
    assert [(line["event"], line["status"]) for line in logs] == [("request", 499)]


async def test_metrics_know_templates_only(asking: httpx.AsyncClient):
    request_seconds()
    await asking.get(f"/v1/things/{CANARY}")
    await asking.get(f"/{CANARY}")
    text = generate_latest(REGISTRY).decode()
    assert 'route="/v1/things/{thing}"' in text
    assert CANARY not in text


async def test_a_websocket_is_turned_away():
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    await new_app("edge")({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == ["websocket.close"]
