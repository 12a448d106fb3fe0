"""Every internal route over real TLS: exactly the services it names get past its guard."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends
from starlette.requests import Request
from tests.libs.chassis.papers import expired, papers
from tests.stand import Stand, embedded_stand

from voicefile.auth.listening.visitors import web_visitor
from voicefile.chassis.health import health_app
from voicefile.chassis.inprocess import MountRouter
from voicefile.chassis.service import new_app
from voicefile.chassis.tls import service_certificate
from voicefile.chassis.wire import listen, serve, server_context
from voicefile.cli.engine_settings import SERVICES
from voicefile.identity.guard import Rule, RuleKind, open_to_all, rules_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
CALLERS = (*SERVICES, "edge-1", "front", "kafka", "operator", "audit2", "auth,O=voicefile")
NOWHERE = "0" * 32
VISITOR = {
    "Voicefile-Client-Address": "203.0.113.77",
    "Voicefile-Device": "d" * 40,
    # A front's word, which counts on a public port behind a front alone.
    "X-Forwarded-For": "198.51.100.7",
}


@dataclass
class Doors:
    """The three kinds of port, serving every service of one vault."""

    certificates: Path
    stand: Stand
    ports: dict[str, int]

    def client(self, certificate: Path | None, *, port: str = "internal") -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return httpx.AsyncClient(
            verify=context,
            base_url=f"https://localhost:{self.ports[port]}",
            trust_env=False,
            timeout=20,
        )

    def shown_by(self, name: str) -> Path:
        known = name in SERVICES
        make = service_certificate if known else papers
        return make(self.certificates, name)


@asynccontextmanager
async def served(apps, contexts) -> AsyncIterator[dict[str, int]]:
    stop, ports = asyncio.Event(), {}
    async with asyncio.TaskGroup() as group:
        for name, app in apps.items():
            sockets = listen("localhost", 0)
            ports[name] = sockets[0].getsockname()[1]
            group.create_task(serve(app, sockets=sockets, context=contexts[name], stop=stop))
        try:
            yield ports
        finally:
            stop.set()


def visited():
    app = new_app("visited")
    anybody = [Depends(open_to_all("a test"))]

    @app.get("/visitor", dependencies=anybody)
    async def visitor(request: Request) -> dict:
        found = web_visitor(request)
        return {"network": found.origin, "device": found.mark}

    return app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    certificates = folder / "tls"
    own = service_certificate(certificates, "auth")
    async with embedded_stand(folder / "vault", "test") as stand:
        services = stand.vault.services
        inside = {prefix: service.inside for prefix, service in services.items()}
        apps = {
            "internal": MountRouter({**inside, "/visited": visited()}),
            "public": MountRouter(
                {prefix: service.public for prefix, service in services.items()}
                | {"/visited": visited()}
            ),
            "health": health_app({}),
        }
        contexts = {
            "internal": server_context(own, client_ca=certificates / "ca.pem"),
            "public": server_context(own),
            "health": server_context(own),
        }
        async with served(apps, contexts) as ports:
            yield Doors(certificates, stand, ports)


def internal_routes(doors: Doors) -> dict[tuple[str, str], Rule]:
    found = {}
    for prefix, service in doors.stand.vault.services.items():
        if service.internal is not None:
            for (method, path), rule in rules_of(service.internal).items():
                assert rule.kind is RuleKind.PEERS, path
                found[method, prefix + path] = rule
    return found


def of_the_guard(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and answer.json()["type"].endswith(":not-permitted")


@pytest.mark.parametrize("name", CALLERS)
async def test_exactly_the_services_a_route_names_pass_its_guard(doors: Doors, name: str):
    routes = internal_routes(doors)
    assert len(routes) >= 8
    passed, expected = set(), {route for route, rule in routes.items() if rule.names(name)}
    async with doors.client(doors.shown_by(name)) as client:
        for method, path in routes:
            concrete = "/".join(NOWHERE if "{" in part else part for part in path.split("/"))
            answer = await client.request(method, concrete, json={} if method == "POST" else None)
            # 404 by the router would pass for a guard that let nobody in.
            assert answer.status_code != 405
            if not of_the_guard(answer):
                passed.add((method, path))
    assert passed == expected


async def test_every_internal_route_serves_somebody_and_never_everybody(doors: Doors):
    for rule in internal_routes(doors).values():
        assert rule.who
        assert rule.who < {*SERVICES, "edge-*"}


async def test_without_a_certificate_of_ours_there_is_no_route_at_all(doors: Doors, tmp_path: Path):
    foreign = service_certificate(tmp_path / "foreign", "playback")
    old = expired(doors.certificates, "playback")
    for shown in (None, foreign, old):
        async with doors.client(shown) as client:
            for method, path in internal_routes(doors):
                with pytest.raises(httpx.TransportError):
                    await client.request(method, path)


async def test_a_services_certificate_opens_nothing_internal_on_the_public_port(doors: Doors):
    for name in SERVICES:
        async with doors.client(doors.shown_by(name), port="public") as client:
            for method, path in internal_routes(doors):
                answer = await client.request(method, path, json={})
                assert answer.status_code in {404, 405}, path


@pytest.mark.parametrize("port", ["public", "internal", "health"])
async def test_no_port_speaks_plaintext(doors: Doors, port: str):
    reader, writer = await asyncio.open_connection("localhost", doors.ports[port])
    writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()


@pytest.mark.parametrize("name", [name for name in CALLERS if name != "portal"])
async def test_only_the_portal_may_say_whose_address_it_is(doors: Doors, name: str):
    async with doors.client(doors.shown_by(name)) as client:
        said = (await client.get("/visited/visitor", headers=VISITOR)).json()
    assert said["network"] in {"127.0.0.0/24", "::/56"}
    assert said["device"] == ""


async def test_the_portal_may_but_only_inside(doors: Doors):
    portal = doors.shown_by("portal")
    async with doors.client(portal) as inside, doors.client(portal, port="public") as outside:
        believed = (await inside.get("/visited/visitor", headers=VISITOR)).json()
        not_believed = (await outside.get("/visited/visitor", headers=VISITOR)).json()
    assert believed == {"network": "203.0.113.0/24", "device": "d" * 40}
    assert not_believed["network"] in {"127.0.0.0/24", "::/56"}
    assert not_believed["device"] == ""
