"""The port speaks TLS and nothing else, knows its peers, and lets no stranger wear it out."""

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
from starlette.requests import Request
from starlette.responses import Response

from voicefile.chassis import wire
from voicefile.chassis.service import new_app
from voicefile.chassis.streaming import StreamedResponse
from voicefile.chassis.tls import development_certificates, peer_certificate
from voicefile.chassis.wire import PortTaken, listen, serve, server_context
from voicefile.identity.guard import open_to_all, peer

ANYBODY = [Depends(open_to_all("a test"))]


@dataclass
class Vault:
    """A server under test, and what its clients need."""

    directory: Path
    port: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    finish: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.directory / "ca.pem"))

    def client(self, *, peer_name: str | None = None) -> httpx.AsyncClient:
        context = self.trust()
        if peer_name:
            context.load_cert_chain(peer_certificate(self.directory, peer_name))
        return httpx.AsyncClient(
            verify=context, base_url=f"https://localhost:{self.port}", trust_env=False
        )

    async def raw(self, *, tls: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "localhost", self.port, ssl=self.trust() if tls else None
        )


def app_of(vault: Vault):
    app = new_app("wire")

    @app.get("/who")
    async def who(by: str = Depends(peer("playback"))) -> str:
        return by

    @app.get("/client", dependencies=ANYBODY)
    async def client(request: Request) -> str:
        return request.client.host

    @app.api_route("/headers", methods=["GET", "POST"], dependencies=ANYBODY)
    async def headers(request: Request) -> list[str]:
        await request.body()
        return list(request.headers)

    @app.get("/slow", dependencies=ANYBODY)
    async def slow() -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"begin "
            vault.began.set()
            await vault.finish.wait()
            yield b"end"

        return StreamedResponse(body())

    return app


@asynccontextmanager
async def serving(directory: Path, *, mutual: bool = False, **limits) -> AsyncIterator[Vault]:
    files = development_certificates(directory)
    vault = Vault(directory)
    sockets = listen("localhost", 0)
    vault.port = sockets[0].getsockname()[1]
    context = server_context(files.server, client_ca=files.authority if mutual else None)
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(app_of(vault), sockets=sockets, context=context, stop=vault.stop, **limits)
        )
        try:
            yield vault
        finally:
            vault.finish.set()
            vault.stop.set()


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with serving(tmp_path / "tls") as vault:
        yield vault


async def test_a_client_that_trusts_the_authority_is_served(vault: Vault):
    async with vault.client() as asking:
        answer = await asking.get("/client")
    assert answer.json() in {"127.0.0.1", "::1"}
    assert "server" not in answer.headers
    assert "date" in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_every_local_name_works(vault: Vault, host: str):
    async with httpx.AsyncClient(verify=vault.trust(), trust_env=False) as asking:
        answer = await asking.get(f"https://{host}:{vault.port}/client")
    assert answer.status_code == 200


async def test_a_client_that_does_not_trust_the_authority_leaves(vault: Vault):
    async with httpx.AsyncClient(trust_env=False) as asking:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await asking.get(f"https://localhost:{vault.port}/client")


async def test_plaintext_gets_no_answer_in_plaintext(vault: Vault):
    reader, writer = await vault.raw(tls=False)
    writer.write(b"GET /client HTTP/1.1\r\nHost: localhost\r\n\r\n")
    said = await reader.read()
    assert b"HTTP" not in said
    writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_refused(vault: Vault, version: ssl.TLSVersion):
    context = vault.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", vault.port, ssl=context)


async def test_tls_1_3_is_what_we_speak_when_asked_freely(vault: Vault):
    _, writer = await vault.raw()
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.close()


async def test_a_forwarded_address_is_only_a_claim(vault: Vault):
    claims = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    async with vault.client() as asking:
        answer = await asking.get("/client", headers=claims)
    assert answer.json() in {"127.0.0.1", "::1"}


async def test_trailers_never_become_headers(vault: Vault):
    """A proxy took a header away and passed the trailer of that name on: it was there again."""
    reader, writer = await vault.raw()
    # In one piece: the app begins when the parser has seen all of it.
    writer.write(
        b"POST /headers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\nX-Late: 1\r\nAuthorization: Bearer x\r\n\r\n"
        b"GET /headers HTTP/1.1\r\nHost: x\r\nX-Second: 1\r\nConnection: close\r\n\r\n"
    )
    said = (await reader.read()).decode()
    writer.close()
    assert said.count(" 200 OK") == 2
    assert '"transfer-encoding"' in said
    assert '"x-second"' in said
    assert "x-late" not in said
    assert '"authorization"' not in said


async def test_without_client_certificates_nobody_is_a_peer(vault: Vault):
    async with vault.client(peer_name="playback") as asking:
        assert (await asking.get("/who")).status_code == 401


async def test_a_peer_is_known_by_its_certificate(tmp_path: Path):
    async with serving(tmp_path / "tls", mutual=True) as vault:
        async with vault.client(peer_name="playback") as asking:
            assert (await asking.get("/who")).json() == "playback"
        async with vault.client(peer_name="portal") as asking:
            assert (await asking.get("/who")).status_code == 403


async def test_who_has_no_certificate_does_not_get_into_the_internal_port(tmp_path: Path):
    async with serving(tmp_path / "tls", mutual=True) as vault, vault.client() as asking:
        with pytest.raises(httpx.TransportError):
            await asking.get("/who")


async def test_a_certificate_of_another_authority_does_not_get_in(tmp_path: Path):
    development_certificates(tmp_path / "other")
    stranger = peer_certificate(tmp_path / "other", "playback")
    async with serving(tmp_path / "tls", mutual=True) as vault:
        context = vault.trust()
        context.load_cert_chain(stranger)
        async with httpx.AsyncClient(verify=context, trust_env=False) as asking:
            with pytest.raises(httpx.TransportError):
                await asking.get(f"https://localhost:{vault.port}/who")


async def test_headers_that_are_too_large_are_refused(vault: Vault):
    reader, writer = await vault.raw()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * wire.HEADER_BYTES_MAX)
    writer.write(b"\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_many_small_headers_are_refused(vault: Vault):
    reader, writer = await vault.raw()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: aaaa\r\n" * 5000 + b"\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n", b"GET /client HTTP/1.1\r\nHost: x\r\n\r\nGET /"]
)
async def test_who_does_not_finish_asking_is_cut_off(tmp_path: Path, said: bytes):
    async with serving(tmp_path / "tls", header_s_max=0.1) as vault:
        reader, writer = await vault.raw()
        writer.write(said)
        answered = await asyncio.wait_for(_until_closed(reader), 10)
        writer.close()
    assert answered.count(b"HTTP/1.1 ") == said.count(b"\r\n\r\n")


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    said = b""
    try:
        while more := await reader.read(65536):
            said += more
    except ConnectionError:
        pass
    return said


async def test_more_connections_than_the_limit_are_told_so(tmp_path: Path):
    async with serving(tmp_path / "tls", connections_max=3) as vault:
        held = [await vault.raw() for _ in range(3)]
        async with vault.client() as asking:
            assert (await asking.get("/client")).status_code == 503
        for _, writer in held:
            writer.close()


async def test_a_request_under_way_ends_before_the_server_does(tmp_path: Path):
    async with (
        serving(tmp_path / "tls") as vault,
        vault.client() as asking,
        asyncio.TaskGroup() as group,
    ):
        asked = group.create_task(asking.get("/slow", timeout=10))
        await vault.began.wait()
        vault.stop.set()
        await asyncio.sleep(0.2)
        vault.finish.set()
    assert asked.result().text == "begin end"


async def test_a_request_that_does_not_end_does_not_hold_the_server_for_ever(tmp_path: Path):
    async with (
        serving(tmp_path / "tls", shutdown_s_max=1) as vault,
        vault.client() as asking,
        asking.stream("GET", "/slow") as answer,
    ):
        vault.stop.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()


def test_a_taken_port_is_told_in_one_line():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken) as taken:
            listen("localhost", port)
    assert str(taken.value) == f"port {port} on localhost is taken by another process"


async def test_a_connection_cut_by_the_client_does_not_stop_the_server(vault: Vault):
    for _ in range(5):
        _, writer = await vault.raw()
        writer.write(b"POST /client HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        writer.transport.abort()
    async with vault.client() as asking:
        assert (await asking.get("/client")).status_code == 200
