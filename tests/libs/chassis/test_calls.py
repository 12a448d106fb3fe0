"""Calls reach the service that is meant, prove who calls, and repeat only what may be repeated."""

import ast
import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from tests.libs.chassis.papers import papers, serial

from voicefile.chassis.calls import (
    REPEATABLE,
    REST_S,
    ServiceCalls,
    client_context,
    engine_context,
    service_client,
)
from voicefile.chassis.inprocess import MountRouter
from voicefile.chassis.limits import BodyLimit
from voicefile.chassis.renewing import Renewing
from voicefile.chassis.service import new_app
from voicefile.chassis.streaming import StreamedResponse
from voicefile.chassis.tls import service_certificate
from voicefile.chassis.wire import listen, serve, server_context
from voicefile.identity.guard import open_to_all, peer

ANYBODY = [Depends(open_to_all("a test"))]


@dataclass
class Replica:
    """One replica of auth, as the other services see it."""

    directory: Path
    certificate: Path
    name: str = "one"
    port: int = 0
    asked: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def app(self):
        app = new_app("auth", body=BodyLimit(bytes_max=2**21))

        @app.get("/who")
        async def who(by: str = Depends(peer("playback", "portal"))) -> str:
            self.asked += 1
            return by

        @app.get("/elsewhere", dependencies=ANYBODY)
        async def elsewhere() -> Response:
            answer = RedirectResponse("https://127.0.0.1:9/auth/who")
            answer.set_cookie("session", "somebody's")
            return answer

        @app.get("/cookies", dependencies=ANYBODY)
        async def cookies(request: Request) -> dict:
            return {"cookies": request.cookies, "host": request.headers["host"]}

        @app.post("/count", dependencies=ANYBODY)
        async def count(request: Request) -> int:
            return sum([len(part) async for part in request.stream()])

        @app.get("/slow", dependencies=ANYBODY)
        async def slow() -> Response:
            async def body() -> AsyncIterator[bytes]:
                yield b"begin "
                await self.go_on.wait()
                yield b"end"

            return StreamedResponse(body())

        return app

    @contextlib.asynccontextmanager
    async def serving(self, **limits) -> AsyncIterator["Replica"]:
        sockets = listen("127.0.0.1", self.port)
        self.port = sockets[0].getsockname()[1]
        context = server_context(self.certificate, client_ca=self.directory / "ca.pem")
        app = MountRouter({"/auth": self.app()})
        async with asyncio.TaskGroup() as group:
            group.create_task(
                serve(app, sockets=sockets, context=context, stop=self.stop, **limits)
            )
            try:
                yield self
            finally:
                self.go_on.set()
                self.stop.set()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "tls"


@pytest.fixture
async def replica(directory: Path) -> AsyncIterator[Replica]:
    async with Replica(directory, service_certificate(directory, "auth")).serving() as replica:
        yield replica


def calling(
    directory: Path, *addresses: str, name: str = "playback", **limits: int
) -> httpx.AsyncClient:
    return service_client(
        {"auth": addresses},
        certificate=service_certificate(directory, name),
        authority=directory / "ca.pem",
        timeout_s=5.0,
        **limits,
    )


@contextlib.asynccontextmanager
async def hanging_up(directory: Path, *, after: int) -> AsyncIterator[list[bytes]]:
    """A replica that reads so many requests and hangs up without a word; its address first."""
    heard: list[bytes] = []
    context = server_context(service_certificate(directory, "auth"), client_ca=directory / "ca.pem")

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            heard.append(head.split(b" ")[0])
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        heard.append(f"https://127.0.0.1:{port}".encode())
        yield heard
        assert len(heard) - 1 == after, heard


ROOT = Path(__file__).parents[3]
MAKERS = {"chassis/calls.py", "chassis/inprocess.py", "cli/partner.py"}
"""What leaves the machine, what stays in the process, and the demo's own partner."""


def test_clients_are_made_in_one_place_for_each_form():
    """A client made elsewhere showed no certificate, and followed a proxy of the environment."""
    made = set()
    for place in ("libs", "services", "cli"):
        for path in (ROOT / place).rglob("src/**/*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                if called in {"httpx.AsyncClient", "httpx.Client", "httpx.AsyncHTTPTransport"}:
                    made.add("/".join(path.parts[-2:]))
    assert made == MAKERS


async def test_a_service_is_reached_by_its_prefix_and_knows_who_calls(replica: Replica):
    async with calling(replica.directory, replica.url) as client:
        assert (await client.get("/auth/who")).json() == "playback"
    async with calling(replica.directory, replica.url, name="ingest") as client:
        assert (await client.get("/auth/who")).status_code == 403


async def test_a_service_without_an_address_can_not_be_called(replica: Replica):
    async with calling(replica.directory, replica.url) as client:
        for path in ("/audit/who", "/", "/authority/who"):
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get(path)


async def test_who_serves_with_another_services_certificate_is_not_talked_to(directory: Path):
    impostor = Replica(directory, service_certificate(directory, "audit"))
    async with impostor.serving(), calling(directory, impostor.url) as client:
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            await client.get("/auth/who")
    assert impostor.asked == 0


async def test_who_serves_under_another_authority_is_not_talked_to(directory: Path, tmp_path: Path):
    service_certificate(directory, "playback")
    foreign = Replica(directory, service_certificate(tmp_path / "foreign", "auth"))
    async with foreign.serving(), calling(directory, foreign.url) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get("/auth/who")


async def test_old_tls_is_not_spoken_to_a_service(directory: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(service_certificate(directory, "auth"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with calling(directory, url) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("/auth/who")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_next_address_is_asked_when_nobody_is_there(replica: Replica, method: str):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"https://127.0.0.1:{nobody.getsockname()[1]}"
        async with calling(replica.directory, closed, replica.url) as client:
            for _ in range(4):
                path = "/auth/count" if method == "POST" else "/auth/who"
                assert (
                    await client.request(method, path, json={} if method == "POST" else None)
                ).is_success


async def test_the_next_address_is_asked_when_one_does_not_shake_hands(replica: Replica):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with calling(replica.directory, address, replica.url) as client:
            for _ in range(3):
                assert (await client.post("/auth/count", json={}, timeout=0.5)).is_success


async def test_who_could_not_be_reached_is_asked_last_for_a_while(replica: Replica):
    turns: list[int] = []

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turns.append(1)
        writer.transport.abort()

    class Clock:
        now_s = 0.0

        def __call__(self) -> float:
            return self.now_s

    clock = Clock()
    certificate, authority = (
        service_certificate(replica.directory, "portal"),
        replica.directory / "ca.pem",
    )
    trust = Renewing(
        lambda: client_context(certificate, authority=authority), files=[certificate, authority]
    )
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        refusing = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        calls = ServiceCalls({"auth": [refusing, replica.url]}, trust=trust, monotonic=clock)
        async with httpx.AsyncClient(transport=calls, base_url="https://x") as client:
            for _ in range(6):
                assert (await client.get("/auth/who")).is_success
            assert len(turns) == 1
            clock.now_s += REST_S + 0.1
            for _ in range(2):
                assert (await client.get("/auth/who")).is_success
            assert len(turns) == 2


async def test_nobody_there_at_all_is_an_error_of_connecting(directory: Path):
    async with calling(directory, "https://127.0.0.1:9", "https://127.0.0.1:10") as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/auth/who")


async def test_a_question_cut_off_without_an_answer_is_asked_again(replica: Replica):
    async with (
        hanging_up(replica.directory, after=1) as heard,
        calling(replica.directory, heard[0].decode(), replica.url) as client,
    ):
        assert (await client.get("/auth/who")).json() == "playback"


async def test_a_deed_cut_off_without_an_answer_is_not_done_twice(replica: Replica):
    async with (
        hanging_up(replica.directory, after=1) as heard,
        calling(replica.directory, heard[0].decode(), replica.url) as client,
    ):
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.post("/auth/count", json={})


async def test_a_deed_that_may_be_done_twice_is(replica: Replica):
    async with (
        hanging_up(replica.directory, after=1) as heard,
        calling(replica.directory, heard[0].decode(), replica.url) as client,
    ):
        answer = await client.post("/auth/count", json={}, extensions={REPEATABLE: True})
        assert answer.json() == 2


async def test_what_may_have_arrived_is_never_called_unsent(directory: Path):
    """Whoever hears that nobody was there concludes that nothing was done."""
    context = server_context(service_certificate(directory, "auth"), client_ca=directory / "ca.pem")

    async def hear_and_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.close()
        writer.transport.abort()

    server = await asyncio.start_server(hear_and_die, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with calling(directory, url, "https://127.0.0.1:9") as client:
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                await client.get("/auth/who")


async def test_who_waits_in_vain_for_a_connection_has_sent_nothing(replica: Replica):
    async with calling(replica.directory, replica.url, connections_max=2) as client:
        held = [
            await client.send(client.build_request("GET", "/auth/slow"), stream=True)
            for _ in range(2)
        ]
        with pytest.raises(httpx.PoolTimeout):
            await client.get("/auth/who", timeout=httpx.Timeout(5, pool=0.05))
        for answer in held:
            await answer.aclose()
        assert (await client.get("/auth/who")).is_success


async def test_who_always_hangs_up_is_not_asked_for_ever(directory: Path):
    async with (
        hanging_up(directory, after=3) as heard,
        calling(directory, heard[0].decode()) as client,
    ):
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.get("/auth/who")


async def test_bodies_stream_both_ways(replica: Replica):
    parts = 64

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(parts):
            yield bytes(16_384)

    async with calling(replica.directory, replica.url) as client:
        assert (await client.post("/auth/count", content=upload())).json() == parts * 16_384
        async with client.stream("GET", "/auth/slow") as answer:
            chunks = answer.aiter_bytes()
            assert await anext(chunks) == b"begin "
            replica.go_on.set()
            assert await anext(chunks) == b"end"


async def test_an_engine_is_shown_the_new_certificate_by_a_library_that_keeps_one_context(
    directory: Path,
):
    own, shown = service_certificate(directory, "playback"), []
    serving = server_context(
        service_certificate(directory, "kafka"), client_ca=directory / "ca.pem"
    )

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(int(writer.get_extra_info("peercert")["serialNumber"], 16))
        writer.write(b"seen")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0, ssl=serving) as server:
        context = engine_context(own, authority=directory / "ca.pem")
        for _ in range(2):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.sockets[0].getsockname()[1], ssl=context
            )
            assert await reader.readexactly(4) == b"seen"
            writer.close()
            expected = [*shown[:-1], serial(own)]
            assert shown == expected
            papers(directory, "playback", file="playback.pem")
            await asyncio.sleep(1.1)  # files are looked at once a second
    assert shown[0] != shown[1]


async def test_neither_redirects_nor_cookies_nor_proxies_have_a_say(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with calling(replica.directory, replica.url) as client:
        assert (await client.get("/auth/elsewhere")).status_code == 307
        said = (await client.get("/auth/cookies")).json()
    assert said == {"cookies": {}, "host": "auth.voicefile.internal"}


async def test_a_rolling_restart_fails_no_request(directory: Path):
    """Deeds, which are never repeated, go on while each of two replicas is exchanged."""
    certificate = service_certificate(directory, "auth")
    failed, done, over = [], [], asyncio.Event()
    ports = [socket.socket() for _ in range(2)]
    for each in ports:
        each.bind(("127.0.0.1", 0))
    numbers = [each.getsockname()[1] for each in ports]
    for each in ports:
        each.close()

    async def lives(port: int, *, times: int, shift_s: float) -> None:
        for life in range(times):
            replica = Replica(directory, certificate, port=port)
            async with replica.serving(drain_s=lambda: 2.2):
                await asyncio.sleep(0.5 + shift_s * (life == 0))

    async def ask(client: httpx.AsyncClient, pause_s: float) -> None:
        while not over.is_set():
            try:
                done.append((await client.post("/auth/count", json={})).raise_for_status())
            except httpx.HTTPError as error:
                failed.append(error)
            await asyncio.sleep(pause_s)

    urls = [f"https://127.0.0.1:{number}" for number in numbers]
    async with calling(directory, *urls) as client, asyncio.TaskGroup() as group:
        replicas = [
            group.create_task(lives(port, times=2, shift_s=shift_s))
            for port, shift_s in zip(numbers, (0.0, 1.4), strict=True)
        ]
        await asyncio.sleep(0.3)
        askers = [group.create_task(ask(client, pause_s)) for pause_s in (0.002, 0.05, 0.4, 1.1)]
        await asyncio.wait(replicas[:1])
        over.set()
        await asyncio.wait(askers)
    assert failed == []
    assert len(done) > 50


async def test_certificates_and_authorities_change_under_load(directory: Path, tmp_path: Path):
    """An authority is replaced as the guide says: trust both, change papers, trust the new one."""
    old_ca = (directory / "ca.pem") if service_certificate(directory, "auth") else None
    new = tmp_path / "new"
    service_certificate(new, "auth")
    first, second = old_ca.read_bytes(), (new / "ca.pem").read_bytes()
    failed, over = [], asyncio.Event()

    async def ask(client: httpx.AsyncClient) -> None:
        while not over.is_set():
            try:
                # Another connection for every second question, so that there are handshakes.
                close = {"Connection": "close"}
                (await client.post("/auth/count", json={}, headers=close)).raise_for_status()
            except httpx.HTTPError as error:
                failed.append(error)
            await asyncio.sleep(0.005)

    async def look() -> None:
        await asyncio.sleep(1.3)  # files are looked at once a second

    replica = Replica(directory, directory / "auth.pem")
    async with replica.serving(), calling(directory, replica.url) as client:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(ask(client))
            await asyncio.sleep(0.2)
            papers(directory, "auth", file="auth.pem")
            await look()
            (directory / "ca.pem").write_bytes(first + second)
            await look()
            (directory / "auth.pem").write_bytes((new / "auth.pem").read_bytes())
            (directory / "playback.pem").write_bytes(
                service_certificate(new, "playback").read_bytes()
            )
            await look()
            (directory / "ca.pem").write_bytes(second)
            await look()
            over.set()
            await asking
        assert failed == []
        # Whoever still shows papers of the former authority is a stranger now.
        former = service_client(
            {"auth": [replica.url]},
            certificate=papers(directory, "playback"),
            authority=new / "ca.pem",
        )
        async with former:
            with pytest.raises(httpx.TransportError):
                await former.get("/auth/who")
        assert replica.asked == 0
