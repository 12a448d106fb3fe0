"""The port for other services: only their certificates, only TLS 1.3, and a stop nobody notices."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import Depends
from starlette.responses import Response
from tests.libs.chassis.papers import (
    expired,
    for_calling_only,
    for_serving_only,
    not_yet_valid,
    papers,
    serial,
)

from voicefile.chassis import wire
from voicefile.chassis.service import new_app
from voicefile.chassis.streaming import StreamedResponse
from voicefile.chassis.tls import service_certificate
from voicefile.chassis.wire import listen, serve, server_context
from voicefile.identity.guard import open_to_all, peer

ANYBODY = [Depends(open_to_all("a test"))]


@dataclass
class Port:
    """An internal port under test."""

    directory: Path
    number: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    finish: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def trust(self, certificate: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def client(self, certificate: Path | None = None) -> httpx.AsyncClient:
        certificate = certificate or service_certificate(self.directory, "playback")
        return httpx.AsyncClient(
            verify=self.trust(certificate),
            base_url=f"https://localhost:{self.number}",
            trust_env=False,
        )

    async def refuses(self, certificate: Path | None) -> bool:
        """Whether whoever shows this gets no answer at all."""
        async with httpx.AsyncClient(verify=self.trust(certificate), trust_env=False) as client:
            try:
                await client.get(f"https://localhost:{self.number}/who")
            except httpx.TransportError:
                return True
        return False

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        own = service_certificate(self.directory, "playback")
        return await asyncio.open_connection("localhost", self.number, ssl=self.trust(own))


def app_of(port: Port):
    app = new_app("internal")

    @app.get("/who")
    async def who(by: str = Depends(peer("playback"))) -> str:
        return by

    @app.get("/slow", dependencies=ANYBODY)
    async def slow() -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"begin "
            port.began.set()
            await port.finish.wait()
            yield b"end"

        return StreamedResponse(body())

    return app


@asynccontextmanager
async def serving(directory: Path, **limits) -> AsyncIterator[Port]:
    certificate = service_certificate(directory, "auth")
    port = Port(directory)
    sockets = listen("localhost", 0)
    port.number = sockets[0].getsockname()[1]
    context = server_context(certificate, client_ca=directory / "ca.pem")
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(app_of(port), sockets=sockets, context=context, stop=port.stop, **limits)
        )
        try:
            yield port
        finally:
            port.finish.set()
            port.stop.set()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "tls"


@pytest.fixture
async def port(directory: Path) -> AsyncIterator[Port]:
    async with serving(directory) as port:
        yield port


async def test_a_service_gets_in(port: Port):
    async with port.client() as client:
        assert (await client.get("/who")).json() == "playback"


async def test_who_shows_nothing_does_not_get_in(port: Port):
    assert await port.refuses(None)


@pytest.mark.parametrize("make", [expired, not_yet_valid, for_serving_only])
async def test_a_certificate_that_does_not_count_does_not_get_in(port: Port, make):
    assert await port.refuses(make(port.directory, "playback"))


async def test_a_certificate_made_for_calling_gets_in(port: Port):
    assert not await port.refuses(for_calling_only(port.directory, "playback"))


async def test_a_certificate_of_another_authority_does_not_get_in(port: Port, tmp_path: Path):
    assert await port.refuses(service_certificate(tmp_path / "foreign", "playback"))


async def test_a_certificate_that_nobody_signed_does_not_get_in(port: Port, tmp_path: Path):
    service_certificate(tmp_path / "own", "playback")
    assert await port.refuses(tmp_path / "own" / "authority.pem")


async def test_a_service_that_was_not_meant_is_told_so(port: Port):
    async with port.client(service_certificate(port.directory, "portal")) as client:
        assert (await client.get("/who")).status_code == 403


async def test_a_name_that_only_begins_like_a_services_is_nobodys(port: Port):
    for name in ("playback2", "playback,O=x", "PLAYBACK"):
        async with port.client(papers(port.directory, name)) as client:
            assert (await client.get("/who")).status_code in {401, 403}


async def test_tls_1_2_is_not_spoken(port: Port):
    context = port.trust(service_certificate(port.directory, "playback"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", port.number, ssl=context)


async def test_no_session_can_be_taken_up_again(port: Port):
    """The second time nobody would look at the certificate, and it may have been withdrawn."""

    def ask_twice() -> bool:
        context = port.trust(service_certificate(port.directory, "playback"))
        session = None
        for _ in range(2):
            with (
                socket.create_connection(("localhost", port.number)) as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
            ):
                secure.sendall(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert b" 200 " in secure.recv(4096)
                session, again = secure.session, secure.session_reused
        return again

    assert not await asyncio.to_thread(ask_twice)


async def test_plaintext_gets_no_answer_in_plaintext(port: Port):
    reader, writer = await asyncio.open_connection("localhost", port.number)
    writer.write(b"GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()


async def test_a_new_certificate_is_shown_without_a_new_start(port: Port):
    _, first = await port.connect()
    papers(port.directory, "auth", file="auth.pem")
    await asyncio.sleep(1.2)  # files are looked at once a second
    _, second = await port.connect()
    shown = [int(each.get_extra_info("peercert")["serialNumber"], 16) for each in (first, second)]
    assert shown[0] != shown[1]
    assert shown[1] == serial(port.directory / "auth.pem")
    for each in (first, second):
        each.close()


# A stop that nobody notices.


async def test_while_it_drains_everybody_is_answered_and_told_to_go(directory: Path):
    async with serving(directory, drain_s=lambda: 1.0) as port, port.client() as client:
        assert "connection" not in (await client.get("/who")).headers
        port.stop.set()
        await asyncio.sleep(0.2)
        assert (await client.get("/who")).headers["connection"] == "close"
        assert (await client.get("/who")).headers["connection"] == "close"


async def test_after_draining_nobody_new_gets_in(directory: Path):
    async with (
        serving(directory, drain_s=lambda: 0.3) as port,
        port.client() as client,
        client.stream("GET", "/slow") as answer,
    ):
        port.stop.set()
        await asyncio.sleep(0.7)
        with pytest.raises(ConnectionRefusedError):
            await port.connect()
        port.finish.set()
        assert await answer.aread() == b"begin end"


async def test_an_answer_under_way_when_the_stop_comes_says_that_it_is_the_last(directory: Path):
    async with serving(directory, drain_s=lambda: 1.0) as port:
        reader, writer = await port.connect()
        writer.write(b"GET /who HTTP/1.1\r\nHost: x\r\nX-Later: ")
        await asyncio.sleep(0.2)
        port.stop.set()
        await asyncio.sleep(0.2)
        writer.write(b"1\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert b" 200 OK" in answer
    assert b"connection: close" in answer


async def test_who_has_just_connected_when_draining_ends_is_still_answered(directory: Path):
    async with serving(directory) as port:
        reader, writer = await port.connect()
        port.stop.set()
        await asyncio.sleep(0.4)
        writer.write(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in await reader.read()
        writer.close()


async def test_who_connects_and_says_nothing_holds_up_no_stop(directory: Path):
    async with asyncio.timeout(wire.FIRST_REQUEST_S_MAX + 5):
        async with serving(directory) as port:
            _, writer = await port.connect()
            port.stop.set()
        writer.close()


async def test_an_old_connection_ends_with_its_next_answer(directory: Path):
    async with serving(directory, connection_s_max=0.2) as port, port.client() as client:
        assert "connection" not in (await client.get("/who")).headers
        await asyncio.sleep(0.3)
        assert (await client.get("/who")).headers["connection"] == "close"
        assert "connection" not in (await client.get("/who")).headers
