"""Guards: the FastAPI dependencies that say who may use a route, so that a test can ask each route.

IdentityError
├── NotIdentified   nobody known is asking
└── NotPermitted    somebody known is asking for what is not theirs to ask
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from voicefile.identity.principal import Principal, Role
from voicefile.identity.tokens import TOKEN_CHARS_MAX, IdentityError, TokenRefused, TokenVerifier

SESSION_PREFIX: Final = "vs_"
"""What an opaque customer session token begins with; a JWT never does (it begins with `ey`)."""
TELEPHONE_PREFIX: Final = "vt_"
"""What playback shows auth for a telephone session, with the session's id and the call's behind it.
No token: no guard here takes one, only auth's internal routes, where playback's certificate is."""
_PEER_PREFIX: Final = "CN="
_OWN_NAME: Final = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)


class NotIdentified(IdentityError):
    """Nobody known is asking."""


class NotPermitted(IdentityError):
    """Somebody known is asking for what is not theirs to ask."""

    def __init__(self, *args: object, principal: Principal | None = None) -> None:
        super().__init__(*args)
        self.principal = principal
        """Who it is; None for a service, which its certificate names."""


class UnruledRoutes(IdentityError):
    """Some routes declare no rule, or more than one."""


class RuleKind(StrEnum):
    """How a route finds out who is asking."""

    ROLES = "roles"
    PEERS = "peers"
    PUBLIC = "public"
    CUSTOMER_SESSION = "customer-session"


@dataclass(frozen=True)
class Rule:
    """Who may use a route."""

    kind: RuleKind
    who: frozenset[str] = frozenset()
    """Roles or services by name; for a customer session, the staff roles served beside it."""
    why: str = ""
    """Why anybody may (kind public)."""

    def names(self, service: str) -> bool:
        """Whether a service of this name may (kind peers)."""
        return any(_is_called(service, each) for each in self.who)


@dataclass(frozen=True)
class Bearer:
    """What a customer-session route was given: a session for auth to check, or known staff."""

    token: str = field(repr=False)
    principal: Principal | None
    """None: the token is an opaque customer session, not checked yet."""


class _Caller:
    def __init__(self, roles: frozenset[Role]) -> None:
        self.rule = Rule(RuleKind.ROLES, frozenset(roles))

    async def __call__(self, request: Request) -> Principal:
        return await _staff(request, self.rule)


class _Peer:
    def __init__(self, services: frozenset[str]) -> None:
        self.rule = Rule(RuleKind.PEERS, services)

    async def __call__(self, request: Request) -> str:
        name = peer_name(request)
        if name is None:
            raise NotIdentified
        if not self.rule.names(name):
            raise NotPermitted
        return name


class _CustomerSession:
    def __init__(self, roles: frozenset[Role]) -> None:
        self.rule = Rule(RuleKind.CUSTOMER_SESSION, frozenset(roles))

    async def __call__(self, request: Request) -> Bearer:
        token = bearer(request)
        if token is None:
            raise NotIdentified
        if token.startswith(SESSION_PREFIX):
            return Bearer(token=token, principal=None)
        return Bearer(token=token, principal=await _staff(request, self.rule))


class _OpenToAll:
    def __init__(self, why: str) -> None:
        self.rule = Rule(RuleKind.PUBLIC, why=why)

    async def __call__(self) -> None:
        return None


def caller(*roles: Role) -> _Caller:
    """A principal with one of these roles: `by: Principal = Depends(caller(Role.PARTNER))`."""
    assert roles, "a route names the roles it serves"
    return _Caller(frozenset(roles))


def peer(*services: str) -> _Peer:
    """The name of a service of ours, by its certificate: `Depends(peer("ingest"))`.

    Of which there are many, each with a name of its own: `Depends(peer("edge-*"))`.
    """
    assert services, "an internal route names the services it serves"
    return _Peer(frozenset(services))


def _is_called(name: str, wanted: str) -> bool:
    if not wanted.endswith("*"):
        return name == wanted
    own = wanted.removesuffix("*")
    return name.startswith(own) and _OWN_NAME.fullmatch(name[len(own) :]) is not None


def customer_session(*staff: Role) -> _CustomerSession:
    """A customer's opaque session (auth checks it), or staff with one of these roles."""
    return _CustomerSession(frozenset(staff))


def open_to_all(why: str) -> _OpenToAll:
    """A route for anybody, with the reason: `dependencies=[Depends(open_to_all("…"))]`."""
    assert why.strip(), "say why anybody may"
    return _OpenToAll(why)


def bearer(request: Request) -> str | None:
    """The bearer token, or None. Two headers are none: which one would count, nobody can say."""
    headers = request.headers.getlist("authorization")
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARS_MAX:
        return None
    return token


def peer_name(request: Request) -> str | None:
    """The service named by the certificate at the other end; no header can say it."""
    tls = request.scope.get("extensions", {}).get("tls", {})
    subject = tls.get("client_cert_name")
    if not isinstance(subject, str) or not subject.startswith(_PEER_PREFIX):
        return None
    # The whole subject, not a part of it: "CN=auth,O=x" and "CN=auth+…" are other names.
    return subject.removeprefix(_PEER_PREFIX) or None


async def _staff(request: Request, rule: Rule) -> Principal:
    token = bearer(request)
    if token is None:
        raise NotIdentified
    tokens: TokenVerifier = request.app.state.tokens
    try:
        principal = await tokens.verify(token)
    except TokenRefused:
        raise NotIdentified from None
    if principal.role not in rule.who:
        raise NotPermitted(principal=principal)
    return principal


def rules_of(app: ASGIApp) -> dict[tuple[str, str], Rule]:
    """Each route's one rule by (method, path template). Raises UnruledRoutes naming all others."""
    found: dict[tuple[str, str], Rule] = {}
    offenders: list[str] = []
    for route, path, rules in _ruled(getattr(app, "routes", []), prefix=""):
        methods: set[str] = getattr(route, "methods", None) or {"*"}
        if len(rules) != 1:
            offenders.append(f"{','.join(sorted(methods))} {path}: {len(rules)} rules")
            continue
        found.update({(method, path): rules[0] for method in methods})
    if offenders:
        raise UnruledRoutes("; ".join(offenders))
    return found


def _ruled(routes: list[BaseRoute], *, prefix: str) -> Iterator[tuple[BaseRoute, str, list[Rule]]]:
    for context in iter_route_contexts(routes):
        route = context.original_route
        path = prefix + (context.path or "")
        if isinstance(route, Mount):
            yield from _ruled(list(route.routes), prefix=path)
            continue
        dependant = getattr(context, "dependant", None)
        yield route, path, list(_rules(dependant)) if isinstance(dependant, Dependant) else []


def _rules(dependant: Dependant) -> Iterator[Rule]:
    rule = getattr(dependant.call, "rule", None)
    if isinstance(rule, Rule):
        yield rule
    for inner in dependant.dependencies:
        yield from _rules(inner)
