"""A body that is too large or too slow ends as a problem, before it costs more than it may."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.requests import Request

from voicefile.chassis.inprocess import InProcessTransport
from voicefile.chassis.limits import BODY_BYTES_MAX, BodyLimit
from voicefile.chassis.service import new_app
from voicefile.identity.guard import open_to_all

ANYBODY = [Depends(open_to_all("a test"))]
MIB = 1024 * 1024


class Note(BaseModel):
    text: str


class Taken:
    """How many bytes the route was given."""

    bytes = 0


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def asking(taken: Taken) -> httpx.AsyncClient:
    app = new_app(
        "limits",
        body=BodyLimit(idle_s_max=0.05, whole_s_max=0.3),
        bodies={"/v1/uploads": BodyLimit(bytes_max=4 * MIB)},
    )

    @app.post("/v1/notes", dependencies=ANYBODY)
    async def note(body: Note) -> int:
        return len(body.text)

    @app.post("/v1/uploads", dependencies=ANYBODY)
    async def upload(request: Request) -> int:
        async for chunk in request.stream():
            taken.bytes += len(chunk)
        return taken.bytes

    @app.post("/v1/unread", dependencies=ANYBODY)
    async def unread() -> str:
        return "ok"

    return httpx.AsyncClient(
        transport=InProcessTransport(app), base_url="https://vault.test", timeout=10
    )


async def chunks(count: int, *, pause_s: float = 0) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 65536
        if pause_s:
            await asyncio.sleep(pause_s)


JSON = {"Content-Type": "application/json"}


def is_problem(answer: httpx.Response, status: int, slug: str) -> bool:
    return (answer.status_code, answer.json()["type"]) == (status, f"urn:voicefile:problem:{slug}")


async def test_an_announced_body_that_is_too_large_is_never_read(asking, taken: Taken):
    answer = await asking.post("/v1/uploads", content=b"x" * (4 * MIB + 1))
    assert is_problem(answer, 413, "body-too-large")
    assert taken.bytes == 0


async def test_a_streamed_body_is_cut_at_its_limit(asking, taken: Taken):
    answer = await asking.post("/v1/uploads", content=chunks(1000))
    assert is_problem(answer, 413, "body-too-large")
    assert taken.bytes <= 4 * MIB


async def test_a_body_of_exactly_the_limit_is_taken(asking):
    assert (await asking.post("/v1/uploads", content=b"x" * 4 * MIB)).json() == 4 * MIB
    text = "x" * (BODY_BYTES_MAX - len('{"text":""}'))
    assert (await asking.post("/v1/notes", json={"text": text})).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_a_json_body_has_the_usual_limit(asking, stream: bool):
    content = chunks(2) if stream else b"x" * (BODY_BYTES_MAX + 1)
    answer = await asking.post("/v1/notes", content=content, headers=JSON)
    assert is_problem(answer, 413, "body-too-large")


async def test_a_lie_about_the_length_does_not_help(asking):
    answer = await asking.post(
        "/v1/notes", content=chunks(2), headers={**JSON, "Content-Length": "5"}
    )
    assert is_problem(answer, 413, "body-too-large")


async def test_a_stalled_body_is_not_waited_for(asking):
    answer = await asking.post("/v1/notes", content=chunks(1, pause_s=60), headers=JSON)
    assert is_problem(answer, 408, "body-too-slow")


async def test_a_trickling_body_ends_with_its_whole_time(asking):
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    answer = await asking.post("/v1/notes", content=drops(), headers=JSON)
    assert is_problem(answer, 408, "body-too-slow")


async def test_the_limit_of_a_route_follows_it_under_its_prefix():
    app = new_app("limits", bodies={"/v1/uploads": BodyLimit(bytes_max=MIB)})

    @app.post("/v1/uploads", dependencies=ANYBODY)
    async def upload(request: Request) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    outer = FastAPI()
    outer.mount("/ingest", app)
    async with httpx.AsyncClient(
        transport=InProcessTransport(outer), base_url="https://vault.test"
    ) as asking:
        assert (await asking.post("/ingest/v1/uploads", content=b"x" * MIB)).json() == MIB
