"""Behind a front the front alone gets in, and only its own word says where somebody comes from."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import structlog
from fastapi import Depends
from prometheus_client import REGISTRY
from starlette.requests import Request
from tests.libs.chassis.papers import expired, for_serving_only, papers

from voicefile.chassis.behind_front import BehindFront, last_hop
from voicefile.chassis.inprocess import InProcessTransport
from voicefile.chassis.service import new_app
from voicefile.chassis.tls import service_certificate
from voicefile.chassis.traceparent import caller_context
from voicefile.chassis.wire import listen, serve, server_context
from voicefile.identity.guard import open_to_all, peer_name

VISITOR = "203.0.113.9"
OTHER = "198.51.100.7"
SERVICES = ("auth", "audit", "ingest", "playback", "portal")
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"
Headers = Sequence[tuple[str, str]]


@dataclass
class Door:
    """A public port behind a front, and the same one that knows of no front."""

    directory: Path
    fronted: int
    plain: int

    def client(self, certificate: Path | None, *, port: int | None = None) -> httpx.AsyncClient:
        trusted = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        if certificate is not None:
            trusted.load_cert_chain(certificate)
        return httpx.AsyncClient(
            verify=trusted, base_url=f"https://localhost:{port or self.fronted}", trust_env=False
        )

    def front(self) -> httpx.AsyncClient:
        return self.client(service_certificate(self.directory, "front"))


def who_asks():
    app = new_app("asked")

    @app.api_route("/who", methods=["GET", "POST"], dependencies=[Depends(open_to_all("a test"))])
    async def who(request: Request) -> dict:
        await request.body()
        return {
            "address": request.client.host,
            "peer": peer_name(request),
            "traced": bool(caller_context(request.scope)),
        }

    return app


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Door]:
    own, stop, app = service_certificate(directory, "auth"), asyncio.Event(), who_asks()
    ca = directory / "ca.pem"
    apps = ((BehindFront(app), server_context(own, client_ca=ca)), (app, server_context(own)))
    ports = []
    async with asyncio.TaskGroup() as group:
        for each, context in apps:
            sockets = listen("localhost", 0)
            ports.append(sockets[0].getsockname()[1])
            group.create_task(serve(each, sockets=sockets, context=context, stop=stop))
        try:
            yield Door(directory, *ports)
        finally:
            stop.set()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(tmp_path / "tls") as door:
        yield door


def refusals(reason: str) -> float:
    found = REGISTRY.get_sample_value("voicefile_front_refusals_total", {"reason": reason})
    return found or 0.0


SAID: dict[str, tuple[Headers, str]] = {
    "IPv4": ([("X-Forwarded-For", VISITOR)], VISITOR),
    "IPv6": ([("X-Forwarded-For", "2001:DB8:0::9")], "2001:db8::9"),
    "IPv4 as IPv6": ([("X-Forwarded-For", f"::ffff:{VISITOR}")], VISITOR),
    "IPv6 with a zone": ([("X-Forwarded-For", "fe80::9%eth0")], "fe80::9"),
    "a visitor's word before it": ([("X-Forwarded-For", f"{OTHER}, {VISITOR}")], VISITOR),
    "without a blank": ([("X-Forwarded-For", f"{OTHER},{VISITOR}")], VISITOR),
    "nonsense before it": ([("X-Forwarded-For", f"<script>,,unknown,\t{VISITOR}")], VISITOR),
    "a header before it": ([("X-Forwarded-For", OTHER), ("x-forwarded-for", VISITOR)], VISITOR),
    "other headers": (
        [
            ("Forwarded", f"for={OTHER}"),
            ("X-Real-IP", OTHER),
            ("X-Forwarded-For", VISITOR),
            ("Voicefile-Client-Address", OTHER),
            ("X_Forwarded_For", OTHER),
        ],
        VISITOR,
    ),
    "to be taken away": (
        [("Connection", "X-Forwarded-For"), ("X-Forwarded-For", VISITOR)],
        VISITOR,
    ),
}
MUTE: dict[str, Headers] = {
    "nothing": [],
    "another header": [("Forwarded", f"for={VISITOR}"), ("X-Real-IP", VISITOR)],
    "empty": [("X-Forwarded-For", "")],
    "empty at the end": [("X-Forwarded-For", f"{VISITOR},")],
    "an empty one after it": [("X-Forwarded-For", VISITOR), ("X-Forwarded-For", "")],
    "a word": [("X-Forwarded-For", "unknown")],
    "a name": [("X-Forwarded-For", "localhost")],
    "with a port": [("X-Forwarded-For", f"{VISITOR}:443")],
    "in brackets": [("X-Forwarded-For", "[2001:db8::9]")],
    "a network": [("X-Forwarded-For", "203.0.113.0/24")],
    "a number": [("X-Forwarded-For", "3405803785")],
    "leading noughts": [("X-Forwarded-For", "203.000.113.009")],
    "two in one": [("X-Forwarded-For", f"{OTHER} {VISITOR}")],
    "garbage at the end": [("X-Forwarded-For", f"{VISITOR}, <script>")],
}


@pytest.mark.parametrize(("said", "address"), SAID.values(), ids=SAID)
async def test_the_fronts_own_word_says_where_a_visitor_comes_from(door: Door, said, address):
    async with door.front() as front:
        answer = await front.get("/who", headers=said)
    assert answer.json() == {"address": address, "peer": None, "traced": False}


@pytest.mark.parametrize("said", MUTE.values(), ids=MUTE)
async def test_a_front_that_does_not_say_is_turned_away_and_counted(door: Door, said):
    before = refusals("no_address")
    async with door.front() as front:
        with structlog.testing.capture_logs() as logs:
            answer = await front.get("/who", headers=said)
    assert answer.status_code == 503
    assert answer.json()["type"].endswith(":no-visitor-address")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "30"
    assert refusals("no_address") == before + 1
    refused = [each for each in logs if each["event"] == "front_refused"]
    assert [each["reason"] for each in refused] == ["no_address"]
    assert VISITOR not in answer.text + str(logs)


async def test_each_request_on_one_connection_is_its_own_visitors(door: Door):
    async with door.front() as front:
        seen = [
            (await front.get("/who", headers={"X-Forwarded-For": each})).json()["address"]
            for each in (VISITOR, OTHER, VISITOR)
        ]
    assert seen == [VISITOR, OTHER, VISITOR]


async def test_a_trailer_is_no_header(door: Door):
    """A front looks at headers and passes trailers on: there a visitor could have the last word."""
    trusted = ssl.create_default_context(cafile=str(door.directory / "ca.pem"))
    trusted.load_cert_chain(service_certificate(door.directory, "front"))
    reader, writer = await asyncio.open_connection("localhost", door.fronted, ssl=trusted)
    # In one piece: the app begins when the parser has seen all of it.
    writer.write(
        b"POST /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
        + f"X-Forwarded-For: {VISITOR}\r\n\r\n2\r\nhi\r\n0\r\n".encode()
        + f"X-Forwarded-For: {OTHER}\r\n\r\n".encode()
    )
    said = await reader.read()
    writer.close()
    assert b" 200 OK" in said
    assert VISITOR.encode() in said


@pytest.mark.parametrize("name", [*SERVICES, "operator", "front2", "Front", "front,O=x", "xfront"])
async def test_no_other_certificate_of_ours_gets_in(door: Door, name: str):
    before = refusals("not_the_front")
    known = name in SERVICES
    shown = (service_certificate if known else papers)(door.directory, name)
    async with door.client(shown) as client:
        with structlog.testing.capture_logs() as logs:
            answer = await client.get("/who", headers={"X-Forwarded-For": VISITOR})
    assert answer.status_code == 403
    assert answer.json()["type"].endswith(":not-the-front")
    assert refusals("not_the_front") == before + 1
    refused = [each for each in logs if each["event"] == "front_refused"]
    assert [each["reason"] for each in refused] == ["not_the_front"]
    assert VISITOR not in answer.text + str(logs)


async def test_who_has_no_certificate_that_counts_does_not_even_shake_hands(
    door: Door, tmp_path: Path
):
    foreign = service_certificate(tmp_path / "foreign", "front")
    spoilt = [make(door.directory, "front") for make in (expired, for_serving_only)]
    for shown in (None, foreign, *spoilt):
        async with door.client(shown) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/who", headers={"X-Forwarded-For": VISITOR})


async def test_an_older_tls_is_not_spoken(door: Door):
    trusted = ssl.create_default_context(cafile=str(door.directory / "ca.pem"))
    trusted.load_cert_chain(service_certificate(door.directory, "front"))
    trusted.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", door.fronted, ssl=trusted)


async def test_without_a_front_its_certificate_makes_no_word_true(door: Door):
    front = service_certificate(door.directory, "front")
    for shown in (front, None):
        async with door.client(shown, port=door.plain) as client:
            answer = await client.get("/who", headers={"X-Forwarded-For": VISITOR})
        assert answer.json()["address"] in {"127.0.0.1", "::1"}


@pytest.mark.parametrize("peer", ["auth", "portal"])
async def test_a_visitor_asks_as_nobody_of_ours(door: Door, peer: str):
    """Lent the front's name, a visitor could tie traces together, and rights might follow."""
    claims = {
        "X-Forwarded-For": VISITOR,
        "X-Forwarded-Client-Cert": f"CN={peer}",
        "Traceparent": TRACE,
    }
    async with door.front() as front:
        answer = await front.get("/who", headers=claims)
    assert answer.json() == {"address": VISITOR, "peer": None, "traced": False}
    # Such a claim can be believed, where it comes from a service itself.
    wire = InProcessTransport(who_asks(), peer=peer)
    async with httpx.AsyncClient(transport=wire, base_url="https://x") as inside:
        answer = await inside.get("/who", headers={"Traceparent": TRACE})
    assert answer.json()["traced"]


async def test_nothing_but_http_passes(door: Door):
    said = []

    async def send(message):
        said.append(message)

    scope = {"type": "websocket", "path": "/who", "headers": [], "extensions": {}}
    await BehindFront(who_asks())(scope, None, send)
    assert said == [{"type": "websocket.close", "code": 1000}]


@pytest.mark.parametrize(
    "said",
    ["203.0.113.²", "203.0.113.9\xa0", "203.0.113.9\x0b", "\0203.0.113.9", "203.0.113.9\x7f"],
)
def test_only_blanks_around_an_address_are_nothing(said: str):
    header = b"x-forwarded-for"
    assert last_hop([(header, said.encode("latin-1"))]) is None
    assert last_hop([(header, b"x, \t203.0.113.9 \t")]) == VISITOR
