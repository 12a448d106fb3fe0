"""The shipped front before the real apps: a real nginx, TLS on both sides, visitors from several
networks. The services stand behind the doors that `voicefile serve` puts before them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends
from starlette.requests import Request
from starlette.types import ASGIApp
from tests.cli.process import Served, settings
from tests.deploy.nginx import Nginx, binary
from tests.deploy.test_compose import make_ready
from tests.stand import Company, company, embedded_stand

from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.chassis.behind_front import BehindFront
from voicefile.chassis.service import new_app
from voicefile.chassis.wire import listen, serve, server_context
from voicefile.cli.engine_settings import SERVICES
from voicefile.cli.front import Front
from voicefile.identity.guard import open_to_all

pytestmark = pytest.mark.asyncio(loop_scope="module")
ONE, OTHER, THIRD = "127.1.1.1", "127.2.2.2", "127.3.3.3"
"""Visitors from three networks: all of 127.0.0.0/8 is this machine."""
ELSEWHERE = "203.0.113.9"
WRONG = "00000000"
MOST = Limits().origin_failures_per_hour
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
TELLS = "audit"
"""The service in whose place an app stands that tells what came through."""


@dataclass
class Street:
    """Services behind their doors, and what a front needs to stand before them."""

    folder: Path
    made: Path
    ports: Mapping[str, int]
    company: Company

    def front(self, name: str) -> Nginx:
        return Nginx(self.folder / name, self.made / "engines" / "front", self.ports)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.made / "certificates" / "ca.pem"))

    def visitor(self, front: Nginx, address: str) -> httpx.AsyncClient:
        wire = httpx.AsyncHTTPTransport(verify=self.trust(), local_address=address, trust_env=False)
        return httpx.AsyncClient(
            transport=wire, base_url=f"https://127.0.0.1:{front.port}", timeout=30
        )


def what_came() -> ASGIApp:
    app = new_app("told")

    @app.api_route("/came", methods=["GET", "POST"], dependencies=[Depends(open_to_all("a test"))])
    async def came(request: Request) -> dict:
        body = await request.body()
        headers = [[name, value] for name, value in request.headers.items()]
        return {"address": request.client.host, "headers": headers, "bytes": len(body)}

    return app


@asynccontextmanager
async def doors(made: Path, apps: Mapping[str, ASGIApp]) -> AsyncIterator[dict[str, int]]:
    stop, ports = asyncio.Event(), {}
    async with asyncio.TaskGroup() as group:
        for name, app in apps.items():
            papers = made / "services" / name
            sockets = listen("127.0.0.1", 0)
            ports[name] = sockets[0].getsockname()[1]
            door = BehindFront(Front({f"/{name}": app}))
            context = server_context(papers / "certificate.pem", client_ca=papers / "ca.pem")
            group.create_task(serve(door, sockets=sockets, context=context, stop=stop))
        try:
            yield ports
        finally:
            stop.set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    binary()
    folder = tmp_path_factory.mktemp("street")
    made = folder / "made"
    make_ready(made)
    async with embedded_stand(folder / "vault", "test") as stand:
        ours = await company(stand.ports, stand.client, "company0")
        await stand.published()
        shown = [name for name in SERVICES if name != "backup"]
        apps = {name: stand.vault.services[f"/{name}"].public for name in shown}
        async with doors(made, apps | {TELLS: what_came()}) as ports:
            yield Street(folder, made, ports, ours)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(street: Street) -> AsyncIterator[Nginx]:
    with street.front("shipped") as running:
        yield running


CLAIMS: dict[str, Sequence[tuple[str, str]]] = {
    "nothing": [],
    "an address": [("X-Forwarded-For", ELSEWHERE)],
    "several": [("X-Forwarded-For", ELSEWHERE), ("X-Forwarded-For", f"{ELSEWHERE}, {OTHER}")],
    "garbage": [("X-Forwarded-For", "<script>,,x")],
    "IPv6": [("X-Forwarded-For", "2001:db8::9")],
    "IPv4 as IPv6": [("X-Forwarded-For", f"::ffff:{ELSEWHERE}")],
    "to be taken away": [("Connection", "close, X-Forwarded-For"), ("X-Forwarded-For", ELSEWHERE)],
    "by other names": [
        ("Forwarded", f"for={ELSEWHERE}"),
        ("X-Real-IP", ELSEWHERE),
        ("X-Forwarded-Host", ELSEWHERE),
        ("X-Forwarded-Proto", ELSEWHERE),
        ("X_Forwarded_For", ELSEWHERE),
    ],
    "as the portal would": [
        ("Voicefile-Client-Address", ELSEWHERE),
        ("Voicefile-Device", ELSEWHERE),
    ],
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
async def test_a_visitor_can_claim_nothing(street: Street, front: Nginx, claims):
    async with street.visitor(front, ONE) as visitor:
        came = (await visitor.get(f"/{TELLS}/came", headers=claims)).json()
    assert came["address"] == ONE
    assert [value for name, value in came["headers"] if name == "x-forwarded-for"] == [ONE]
    assert ELSEWHERE not in str(came)


async def test_a_trailer_is_no_claim_either(street: Street, front: Nginx):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", front.port, ssl=street.trust(), local_addr=(ONE, 0)
    )
    writer.write(
        f"POST /{TELLS}/came HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
        + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
        + f"X-Forwarded-For: {ELSEWHERE}\r\n\r\n".encode()
    )
    said = (await reader.read()).decode()
    writer.close()
    assert '"bytes":2' in said
    assert f'"address":"{ONE}"' in said
    assert ELSEWHERE not in said


async def test_visitors_share_connections_to_a_service_and_nothing_else(
    street: Street, front: Nginx
):
    async with street.visitor(front, ONE) as one, street.visitor(front, OTHER) as other:
        for visitor, address in ((one, ONE), (other, OTHER)) * 5:
            assert (await visitor.get(f"/{TELLS}/came")).json()["address"] == address


async def tries(visitor: httpx.AsyncClient, times: int) -> list[int]:
    """What somebody is answered who tries as many access IDs."""
    answers = []
    for _ in range(times):
        body = {"access_id": new_access_id(), "pin": WRONG}
        answers.append((await visitor.post("/auth/v1/customer-sessions", json=body)).status_code)
    return answers


async def signs_in(visitor: httpx.AsyncClient, filed: Mapping[str, str]) -> tuple[int, int]:
    """What a customer is answered by auth, and by the portal's page."""
    known = {name: filed[name] for name in ("access_id", "pin")}
    by_auth = await visitor.post("/auth/v1/customer-sessions", json=known)
    on_page = await visitor.post("/portal/sign-in", content=urlencode(known), headers=FORM)
    return by_auth.status_code, on_page.status_code


async def test_who_guesses_is_held_up_and_nobody_else(street: Street, front: Nginx):
    filed = (await street.company.upload()).raise_for_status().json()
    async with street.visitor(front, ONE) as guesser, street.visitor(front, OTHER) as customer:
        assert await tries(guesser, MOST + 1) == [401] * MOST + [429]
        guesser.headers["X-Forwarded-For"] = ELSEWHERE
        assert await tries(guesser, 1) == [429]
        # Whichever way: the portal hands on whom it was told of.
        assert await signs_in(guesser, filed) == (429, 429)
        assert await signs_in(customer, filed) == (201, 303)


async def test_a_front_that_names_itself_would_hold_up_everybody(street: Street):
    """What the test above would look like if visitors still shared one address."""
    nginx = street.front("selfish")
    nginx.change(r"X-Forwarded-For \$remote_addr;", "X-Forwarded-For $server_addr;")
    filed = (await street.company.upload()).raise_for_status().json()
    with nginx as front:
        async with street.visitor(front, ONE) as guesser, street.visitor(front, THIRD) as customer:
            assert await tries(guesser, MOST + 1) == [401] * MOST + [429]
            assert await signs_in(customer, filed) == (429, 429)


async def test_a_front_that_adds_to_what_a_visitor_says_is_understood(street: Street):
    nginx = street.front("adding")
    nginx.change(r"X-Forwarded-For \$remote_addr;", "X-Forwarded-For $proxy_add_x_forwarded_for;")
    with nginx as front:
        async with street.visitor(front, ONE) as visitor:
            for claims in CLAIMS.values():
                came = (await visitor.get(f"/{TELLS}/came", headers=claims)).json()
                assert came["address"] == ONE


@pytest.mark.parametrize(
    ("pattern", "to", "status"),
    [
        # Handed on as the visitor said it, or not at all: both are nobody's address.
        (r"proxy_set_header X-Forwarded-For \$remote_addr;", "", 503),
        (r"X-Forwarded-For \$remote_addr;", 'X-Forwarded-For "";', 503),
        # Shows nothing, or what somebody else is called.
        (r"proxy_ssl_certificate(_key)? \S+;", "", 502),
        (r"(proxy_ssl_certificate(?:_key)?) \S+;", r"\1 {portal};", 403),
    ],
)
async def test_a_front_that_is_set_up_wrong_lets_nobody_in(street: Street, pattern, to, status):
    nginx = street.front(f"wrong-{status}-{len(to)}")
    nginx.change(pattern, to.format(portal=street.made / "services" / "portal" / "certificate.pem"))
    with nginx as front:
        async with street.visitor(front, ONE) as visitor:
            answer = await visitor.get(f"/{TELLS}/came", headers={"X-Forwarded-For": "unknown"})
    assert answer.status_code == status


async def test_nobody_goes_around_the_front(street: Street):
    portal = street.made / "services" / "portal" / "certificate.pem"
    claims = {"X-Forwarded-For": ELSEWHERE, "Voicefile-Client-Address": ELSEWHERE}
    for port in street.ports.values():
        trusted = street.trust()
        async with httpx.AsyncClient(verify=trusted, trust_env=False) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get(f"https://127.0.0.1:{port}/auth/v1/keys", headers=claims)
        trusted.load_cert_chain(portal)
        async with httpx.AsyncClient(verify=trusted, trust_env=False) as neighbour:
            answer = await neighbour.get(f"https://127.0.0.1:{port}/auth/v1/keys", headers=claims)
        assert answer.status_code == 403


async def test_a_process_behind_the_front_serves_its_pages(street: Street, tmp_path: Path):
    told = settings(street.made / "certificates", "portal") | {"VOICEFILE_FRONTED": "true"}
    portal = Served(tmp_path, "portal", told).start()
    try:
        await asyncio.to_thread(portal.until, "/readyz", 200)
        street = Street(
            tmp_path,
            street.made,
            {**street.ports, "portal": portal.ports["public"]},
            street.company,
        )
        with street.front("process") as front:
            async with street.visitor(front, ONE) as visitor:
                home = await visitor.get("/")
                page = await visitor.get(home.headers["location"])
        assert page.status_code == 200
        assert ONE not in portal.log
    finally:
        portal.kill()
