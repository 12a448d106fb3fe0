"""A streamed answer always closes its generator, and the generator may still write things down."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Response

from voicefile.chassis.inprocess import InProcessTransport
from voicefile.chassis.streaming import StreamedResponse

CHUNK = b"x" * 65536


class Listening:
    """A body that notes how it ended, with an await, as a deed would."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.sent = 0
        self.noted = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(self.chunks):
                yield CHUNK
                self.sent += 1
        finally:
            await asyncio.sleep(0.01)
            self.noted.set()


def client(response: Response) -> httpx.AsyncClient:
    app = FastAPI()

    @app.get("/")
    async def answer() -> Response:
        return response

    return httpx.AsyncClient(
        transport=InProcessTransport(app), base_url="https://vault.test", timeout=10
    )


async def test_a_whole_body_is_noted_before_the_request_ends():
    listening = Listening(chunks=20)
    async with client(StreamedResponse(listening.body())) as asking:
        assert (await asking.get("/")).content == CHUNK * 20
    assert listening.noted.is_set()
    assert listening.sent == 20


async def test_a_listener_who_leaves_is_noted_too():
    listening = Listening(chunks=1_000_000)
    async with client(StreamedResponse(listening.body())) as asking:
        async with asking.stream("GET", "/") as answer:
            await anext(answer.aiter_raw())
        await asyncio.wait_for(listening.noted.wait(), 5)
    assert listening.sent < 10


async def test_a_body_that_breaks_never_passes_for_whole():
    async def broken() -> AsyncIterator[bytes]:
        yield CHUNK
        raise ValueError

    async with client(StreamedResponse(broken())) as asking:
        with pytest.raises(httpx.RemoteProtocolError):
            await asking.get("/")


async def test_a_length_that_is_known_is_said_and_one_that_is_not_is_not():
    known = StreamedResponse(
        Listening(chunks=2).body(),
        status_code=206,
        headers={"Content-Length": str(2 * len(CHUNK))},
        media_type="audio/wav",
    )
    async with client(known) as asking:
        answer = await asking.get("/")
    assert (answer.status_code, len(answer.content)) == (206, 2 * len(CHUNK))
    assert answer.headers["content-type"] == "audio/wav"
    async with client(StreamedResponse(Listening(chunks=1).body())) as asking:
        assert "content-length" not in (await asking.get("/")).headers
