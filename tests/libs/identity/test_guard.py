"""Guards let in whom the route names, and every route can be asked whom it names."""

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import JSONResponse

from voicefile.identity.guard import (
    TELEPHONE_PREFIX,
    Bearer,
    NotIdentified,
    NotPermitted,
    Rule,
    RuleKind,
    UnruledRoutes,
    caller,
    customer_session,
    open_to_all,
    peer,
    rules_of,
)
from voicefile.identity.principal import Principal, Role
from voicefile.identity.tokens import TokenRefused

PARTNER = Principal(id="a" * 32, tenant="b" * 32, role=Role.PARTNER)
CARE = Principal(id="c" * 32, tenant="b" * 32, role=Role.CARE)


class Tokens:
    """Knows two tokens."""

    async def verify(self, token: str) -> Principal:
        known = {"partner-token": PARTNER, "care-token": CARE}
        if token not in known:
            raise TokenRefused
        return known[token]


def new_app() -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.tokens = Tokens()
    for kind, status in ((NotIdentified, 401), (NotPermitted, 403)):
        app.add_exception_handler(kind, answer(status))
    return app


def answer(status: int):
    async def handler(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({}, status_code=status)

    return handler


@pytest.fixture
def app() -> FastAPI:
    app = new_app()

    @app.get("/partners")
    async def partners(by: Principal = Depends(caller(Role.PARTNER))) -> str:
        return by.id

    @app.get("/internal")
    async def internal(by: str = Depends(peer("ingest", "portal"))) -> str:
        return by

    @app.get("/heard")
    async def heard(by: Bearer = Depends(customer_session(Role.CARE))) -> str:
        return "customer" if by.principal is None else by.principal.role

    return app


def client(app: FastAPI, *, subject: object = None) -> httpx.AsyncClient:
    async def with_peer(scope, receive, send):
        if subject is not None:
            scope["extensions"] = {"tls": {"client_cert_name": subject}}
        await app(scope, receive, send)

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(with_peer), base_url="https://vault.test", trust_env=False
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Authorization", "Bearer partner-token")], 200),
        ([("Authorization", "bearer partner-token")], 200),
        ([("Authorization", "Bearer care-token")], 403),
        ([("Authorization", "Bearer other")], 401),
        ([("Authorization", "Bearer ")], 401),
        ([("Authorization", "Bearer")], 401),
        ([("Authorization", "partner-token")], 401),
        ([("Authorization", "Basic partner-token")], 401),
        ([("Authorization", "Bearer " + "x" * 5000)], 401),
        ([("Authorization", "Bearer partner-token"), ("Authorization", "Bearer other")], 401),
        ([("X-Authorization", "Bearer partner-token")], 401),
        ([("Cookie", "access_token=partner-token")], 401),
        ([], 401),
    ],
)
async def test_only_one_good_bearer_token_of_a_served_role_gets_in(app, headers, status):
    async with client(app) as asking:
        assert (await asking.get("/partners", headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        ("CN=ingest", 200),
        ("CN=portal", 200),
        ("CN=playback", 403),
        ("CN=INGEST", 403),
        ("CN=ingest,O=other", 403),
        ("O=x,CN=ingest", 401),
        ("ingest", 401),
        ("CN=", 401),
        (b"CN=ingest", 401),
        (None, 401),
    ],
)
async def test_only_a_named_service_certificate_gets_in(app, subject, status):
    async with client(app, subject=subject) as asking:
        assert (await asking.get("/internal")).status_code == status


async def test_no_header_makes_a_peer(app):
    forged = {
        "X-Client-Cert": "CN=ingest",
        "X-Forwarded-Client-Cert": 'Subject="CN=ingest"',
        "Ssl-Client-S-Dn": "CN=ingest",
        "Client-Cert-Name": "CN=ingest",
        "Authorization": "Bearer care-token",
    }
    async with client(app) as asking:
        assert (await asking.get("/internal", headers=forged)).status_code == 401


@pytest.mark.parametrize(
    ("token", "status", "who"),
    [
        ("vs_abc", 200, "customer"),
        ("care-token", 200, "care"),
        ("partner-token", 403, None),
        ("other", 401, None),
        # Of the telephone's sessions auth's internal routes alone know anything.
        (f"{TELEPHONE_PREFIX}{'0' * 32}.call", 401, None),
        (TELEPHONE_PREFIX, 401, None),
    ],
)
async def test_a_session_is_passed_on_and_staff_is_checked(app, token, status, who):
    async with client(app) as asking:
        said = await asking.get("/heard", headers={"Authorization": f"Bearer {token}"})
    assert said.status_code == status
    if who:
        assert said.json() == who


def test_a_session_token_never_shows_in_a_repr():
    assert "vs_secret" not in repr(Bearer(token="vs_secret", principal=None))


def test_each_route_tells_its_rule(app):
    assert rules_of(app) == {
        ("GET", "/partners"): Rule(RuleKind.ROLES, frozenset({Role.PARTNER})),
        ("GET", "/internal"): Rule(RuleKind.PEERS, frozenset({"ingest", "portal"})),
        ("GET", "/heard"): Rule(RuleKind.CUSTOMER_SESSION, frozenset({Role.CARE})),
    }


def test_rules_are_found_in_routers_inside_routers_and_in_mounts():
    inner, outer, app, mounted = APIRouter(), APIRouter(), new_app(), new_app()

    @inner.post("/deep")
    async def deep() -> None: ...

    @mounted.get("/m", dependencies=[Depends(open_to_all("a test"))])
    async def m() -> None: ...

    outer.include_router(inner, prefix="/b", dependencies=[Depends(peer("ingest"))])
    app.include_router(outer, prefix="/a")
    app.mount("/mounted", mounted)
    assert rules_of(app) == {
        ("POST", "/a/b/deep"): Rule(RuleKind.PEERS, frozenset({"ingest"})),
        ("GET", "/mounted/m"): Rule(RuleKind.PUBLIC, why="a test"),
    }


def test_a_rule_inside_another_dependency_counts():
    app = new_app()

    def department(by: Principal = Depends(caller(Role.CARE))) -> str:
        return by.department

    @app.get("/x")
    async def x(_of: str = Depends(department)) -> None: ...

    assert rules_of(app)["GET", "/x"].who == {Role.CARE}


def test_a_route_without_a_rule_is_named():
    app = new_app()

    @app.get("/forgotten/{thing}")
    async def forgotten(thing: str) -> None: ...

    with pytest.raises(UnruledRoutes, match=r"GET /forgotten/\{thing\}: 0 rules"):
        rules_of(app)


def test_a_route_with_two_rules_is_named():
    app = new_app()

    @app.get("/both", dependencies=[Depends(open_to_all("a test")), Depends(peer("ingest"))])
    async def both() -> None: ...

    with pytest.raises(UnruledRoutes, match="GET /both: 2 rules"):
        rules_of(app)


def test_the_frameworks_own_pages_have_no_rule():
    with pytest.raises(UnruledRoutes, match="/docs"):
        rules_of(FastAPI())


def test_an_open_route_must_say_why():
    with pytest.raises(AssertionError):
        open_to_all(" ")
