"""Principals: who may sign in, and with what. Secrets are drawn here and shown once.

Nobody chooses a secret: partners bring a public key (a demo tenant's may have a drawn secret),
staff get a drawn password and a second factor.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import jwt
import pyotp
from msgspec.structs import replace

from voicefile.auth.errors import ChangedMeanwhile, NameTaken, NotFound, UnusableKey
from voicefile.auth.padding import padded, unpadded
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Principal
from voicefile.auth.tenants import scopes
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import PLATFORM_DOMAIN
from voicefile.auth.tenants.scopes import Scope
from voicefile.auth.throttling.verifiers import new_salt
from voicefile.crypto.envelope import Context, Kind, object_id, open_field, seal_field
from voicefile.crypto.keyring import IdentityKey, Purpose
from voicefile.crypto.primitives import hmac_sha512
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import DocumentExists, VersionConflict
from voicefile.identity.ids import PLATFORM, new_id
from voicefile.identity.principal import Role

SECRET_BYTES = 32
PASSWORD_BYTES = 15
VERIFIER_BYTES = 32
NAME_BLOCK_BYTES = 64
JWK_MEMBERS = {"OKP": ("kty", "crv", "x"), "EC": ("kty", "crv", "x", "y")}
JWK_CURVES = {"Ed25519": "EdDSA", "P-256": "ES256"}
"""The curves a partner's key may lie on, and what it signs with."""


@dataclass(frozen=True)
class NewPrincipal:
    """Somebody who shall be able to sign in."""

    role: Role
    name: str = field(default="", repr=False)
    handle: str = field(default="", repr=False)
    """Staff: the username's first part."""
    scope: Scope = field(default_factory=Scope)
    jwk: dict[str, str] | None = None
    """Partner: its public key. Without one it gets a secret, in a demo tenant only."""


@dataclass(frozen=True)
class Added:
    """A new principal and, this once, what it signs in with."""

    id: str
    client_secret: SecretText | None = None
    username: str | None = field(default=None, repr=False)
    password: SecretText | None = None
    totp_secret: SecretText | None = None


async def add_principal(
    tenant: str, new: NewPrincipal, *, by: Actor, ports: Ports, request_id: str = ""
) -> Added:
    """Raises UnusableKey, UnknownScope, NameTaken, NotFound."""
    assert new.handle or new.role is Role.PARTNER, "staff sign in by a name"
    principal_id = new_id()
    domain, demo = await _place(tenant, new, ports=ports)
    if new.role is Role.PARTNER:
        record, added = await _partner(tenant, principal_id, new, demo=demo, ports=ports)
    else:
        record, added = await _staff(tenant, principal_id, new, domain=domain, ports=ports)
    deed = Deed(
        actor=by,
        action=Action.ACTION_PRINCIPAL_ADDED,
        tenant=tenant,
        object_id=principal_id,
        request_id=request_id,
    )
    records = ports.principals.of(tenant)
    try:
        await ports.deeds.write(
            deed, lambda event: records.insert(principal_id, record, pending=(event,))
        )
    except DocumentExists:
        raise NameTaken from None
    return added


async def remove_principal(
    tenant: str, principal_id: str, *, by: Actor, ports: Ports, request_id: str = ""
) -> None:
    """It gets no further token; its id goes on standing in the log. Raises NotFound."""
    deed = Deed(
        actor=by,
        action=Action.ACTION_PRINCIPAL_REMOVED,
        tenant=tenant,
        object_id=principal_id,
        request_id=request_id,
    )
    records = ports.principals.of(tenant)
    for _ in range(ports.settings.write_tries_max):
        stored = await records.get(principal_id)
        async with refusal_told(ports.deeds, deed, NotFound):
            if stored is None or not stored.record.active:
                raise NotFound
        try:
            await _deactivate(stored, deed=deed, ports=ports)
        except VersionConflict:
            continue
        return
    raise ChangedMeanwhile


async def all_principals(tenant: str, *, ports: Ports) -> AsyncIterator[tuple[str, Principal, str]]:
    """Id, record and name of each, for the tenant's admin."""
    async for stored in ports.principals.of(tenant).all():
        yield stored.id, stored.record, await _name(stored, ports=ports)


async def name_of(principal_id: str, *, tenant: str, ports: Ports) -> str:
    """The name of somebody of the tenant, for its admin; empty for whoever has none there."""
    stored = await ports.principals.of(tenant).get(principal_id) if principal_id else None
    return "" if stored is None else await _name(stored, ports=ports)


async def _deactivate(stored: Stored[Principal], *, deed: Deed, ports: Ports) -> None:
    # The username is free again; the secrets are gone.
    removed = replace(
        stored.record, active=False, login=None, secret_verifier=b"", jwk=None, totp=b""
    )
    records = ports.principals.of(stored.tenant)
    await ports.deeds.write(deed, lambda event: records.replace(stored, removed, pending=(event,)))


async def _place(tenant: str, new: NewPrincipal, *, ports: Ports) -> tuple[str, bool]:
    if (tenant == PLATFORM) != (new.role is Role.OPERATOR):
        raise NotFound
    if tenant == PLATFORM:
        return PLATFORM_DOMAIN, False
    stored = await tenant_of(tenant, ports=ports)
    scopes.effective(stored.record, await ports.rules_of_reseller(stored), new.scope)
    return stored.record.login_domain, stored.record.demo


async def _partner(
    tenant: str, principal_id: str, new: NewPrincipal, *, demo: bool, ports: Ports
) -> tuple[Principal, Added]:
    identity = await ports.custody.identity(tenant)
    record = Principal(
        role=Role.PARTNER.value,
        department=new.scope.department,
        project=new.scope.project,
        name=_sealed_name(new.name, identity, tenant, principal_id, ports=ports),
        pepper=identity.id,
    )
    if new.jwk is not None:
        return replace(record, jwk=public_jwk(new.jwk)), Added(principal_id)
    if not demo:
        raise UnusableKey
    secret = SecretText(secrets.token_urlsafe(SECRET_BYTES))
    verifier = client_secret_verifier(identity, secret, principal_id)
    return replace(record, secret_verifier=verifier), Added(principal_id, client_secret=secret)


async def _staff(
    tenant: str, principal_id: str, new: NewPrincipal, *, domain: str, ports: Ports
) -> tuple[Principal, Added]:
    identity = await ports.custody.identity(tenant)
    username = f"{new.handle}@{domain}"
    password = SecretText(secrets.token_urlsafe(PASSWORD_BYTES))
    totp_secret = SecretText(pyotp.random_base32())
    salt = new_salt()
    context = _context(ports, tenant, principal_id, "totp")
    record = Principal(
        role=new.role.value,
        department=new.scope.department,
        project=new.scope.project,
        login=await ports.custody.login_locator(username),
        name=_sealed_name(new.name, identity, tenant, principal_id, ports=ports),
        secret_salt=salt,
        secret_verifier=await ports.pins.hash(
            identity.derive(Purpose.STAFF_PEPPER),
            password,
            tenant=tenant,
            credential=principal_id,
            salt=salt,
        ),
        pepper=identity.id,
        totp=seal_field(
            identity.derive(Purpose.STAFF_FIELDS), context, totp_secret.expose().encode()
        ),
    )
    added = Added(principal_id, username=username, password=password, totp_secret=totp_secret)
    return record, added


def client_secret_verifier(identity: IdentityKey, secret: SecretText, principal_id: str) -> bytes:
    """A keyed hash is enough for a secret of 256 random bits: there is nothing to guess."""
    message = b"client-secret\x00" + principal_id.encode() + secret.expose().encode()
    return hmac_sha512(identity.derive(Purpose.STAFF_PEPPER), message)[:VERIFIER_BYTES]


async def totp_secret_of(stored: Stored[Principal], *, ports: Ports) -> SecretText:
    """The second factor's secret. Raises Tampered."""
    identity = await ports.custody.identity(stored.tenant, stored.record.pepper)
    context = _context(ports, stored.tenant, stored.id, "totp")
    opened = open_field(identity.derive(Purpose.STAFF_FIELDS), context, stored.record.totp)
    return SecretText(opened.decode())


def public_jwk(jwk: dict[str, str]) -> dict[str, str]:
    """The public members of an Ed25519 or P-256 key. Raises UnusableKey, also for a private one."""
    members = JWK_MEMBERS.get(jwk.get("kty", ""))
    if members is None or jwk.get("crv") not in JWK_CURVES or "d" in jwk:
        raise UnusableKey
    try:
        key = {name: jwk[name] for name in members}
        jwt.PyJWK(key, algorithm=JWK_CURVES[jwk["crv"]])
    except (KeyError, ValueError, jwt.PyJWTError):
        raise UnusableKey from None
    return key


async def _name(stored: Stored[Principal], *, ports: Ports) -> str:
    if not stored.record.name:
        return ""
    identity = await ports.custody.identity(stored.tenant, stored.record.pepper)
    context = _context(ports, stored.tenant, stored.id, "name")
    opened = open_field(identity.derive(Purpose.STAFF_FIELDS), context, stored.record.name)
    return unpadded(opened).decode()


def _sealed_name(
    name: str, identity: IdentityKey, tenant: str, principal_id: str, *, ports: Ports
) -> bytes:
    context = _context(ports, tenant, principal_id, "name")
    content = padded(name.encode(), block_bytes=NAME_BLOCK_BYTES)
    return seal_field(identity.derive(Purpose.STAFF_FIELDS), context, content)


def _context(ports: Ports, tenant: str, principal_id: str, field_name: str) -> Context:
    return Context(
        ports.custody.deployment, tenant, object_id(principal_id, field_name), Kind.FIELD
    )
