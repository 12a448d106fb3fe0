"""Access tokens: short-lived, signed by auth, checked by every service without asking."""

import secrets
from dataclasses import dataclass, field
from typing import Final

from voicefile.auth.errors import NotRecognised
from voicefile.auth.keys.compact_jws import signed
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import PRINCIPALS, Principal
from voicefile.auth.tenants.principals import client_secret_verifier
from voicefile.auth.tokens.client_assertion import Assertion, check_assertion
from voicefile.crypto.primitives import constant_time_equal
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.identity import principal as identified
from voicefile.identity.ids import PLATFORM, PrincipalId, TenantId
from voicefile.identity.principal import Role
from voicefile.identity.tokens import AUDIENCE

TYP: Final = "at+jwt"
_JTI_BYTES: Final = 16


@dataclass(frozen=True)
class AccessToken:
    """A token and how long it lasts."""

    text: str = field(repr=False)
    expires_in_s: int


@dataclass(frozen=True)
class ClientSecret:
    """A demo partner's way of proving itself."""

    client_id: str
    secret: SecretText


async def issue_token(
    proof: Assertion | ClientSecret, *, request_id: str, ports: Ports
) -> AccessToken:
    """A partner's token. Raises NotRecognised, whatever is wrong; the deed is durable first."""
    stored = await principal_by_id(proof.client_id, ports=ports)
    try:
        caller = await _proven(stored, proof, ports=ports)
    except NotRecognised:
        if stored is not None:
            await _record_refusal(stored, request_id, ports=ports)
        raise
    deed = Deed(
        actor=Actor.of(caller),
        action=Action.ACTION_TOKEN_ISSUED,
        tenant=caller.tenant,
        object_id=caller.id,
        request_id=request_id,
    )
    await ports.deeds.record(deed)
    return await sign_token(caller, lasts_s=ports.settings.partner_token_s, ports=ports)


async def _proven(
    stored: Stored[Principal] | None, proof: Assertion | ClientSecret, *, ports: Ports
) -> identified.Principal:
    if isinstance(proof, Assertion):
        jwk = stored.record.jwk if stored is not None and _is_partner(stored) else None
        await check_assertion(proof, jwk, ports=ports)
    else:
        await _check_secret(stored, proof, ports=ports)
    if stored is None:
        raise NotRecognised
    return principal_of(stored)


async def _record_refusal(stored: Stored[Principal], request_id: str, *, ports: Ports) -> None:
    """Somebody used a client's id and could not prove it.

    That this takes longer than for an unknown id tells who asks that the client exists: its id
    is 128 random bits, so whoever has it knows that. An unknown one is a mere knock, and counted.
    """
    await ports.deeds.record(
        Deed(
            actor=Actor.unknown(),
            action=Action.ACTION_TOKEN_ISSUED,
            tenant=stored.tenant,
            object_id=stored.id,
            outcome=Outcome.OUTCOME_REFUSED,
            request_id=request_id,
        )
    )


async def principal_by_id(principal_id: str, *, ports: Ports) -> Stored[Principal] | None:
    """Before a tenant is known: a client names nothing but itself. Raises Tampered."""
    document = await ports.store.get(PRINCIPALS, principal_id)
    return None if document is None else await ports.principals.believe(document)


async def sign_token(caller: identified.Principal, *, lasts_s: int, ports: Ports) -> AccessToken:
    """The token that says who this is; whoever calls this has recorded why."""
    now_s = int(ports.now_s())
    claims: dict[str, object] = {
        "iss": ports.deployment,
        "aud": AUDIENCE,
        "sub": caller.id,
        "tenant": caller.tenant,
        "role": caller.role.value,
        "dept": caller.department,
        "project": caller.project,
        "iat": now_s,
        "exp": now_s + lasts_s,
        "jti": secrets.token_hex(_JTI_BYTES),
    }
    signer = await ports.custody.token_signer()
    return AccessToken(signed(claims, typ=TYP, signer=signer), lasts_s)


def principal_of(stored: Stored[Principal]) -> identified.Principal:
    """Who a record says this is."""
    record = stored.record
    return identified.Principal(
        id=PrincipalId(stored.id),
        tenant=TenantId(stored.tenant),
        role=Role(record.role),
        department=record.department,
        project=record.project,
    )


def _is_partner(stored: Stored[Principal]) -> bool:
    return stored.record.active and stored.record.role == Role.PARTNER.value


async def _check_secret(
    stored: Stored[Principal] | None, proof: ClientSecret, *, ports: Ports
) -> None:
    # An unknown client is measured against the platform's key and an empty verifier: the same
    # work, and nothing can equal it.
    tenant = PLATFORM if stored is None else stored.tenant
    version = None if stored is None else stored.record.pepper
    identity = await ports.custody.identity(tenant, version)
    offered = client_secret_verifier(identity, proof.secret, proof.client_id)
    expected = b"" if stored is None else stored.record.secret_verifier
    if not constant_time_equal(offered, expected) or stored is None:
        raise NotRecognised
    demo = await ports.tenants.of(stored.tenant).get(stored.tenant)
    if not _is_partner(stored) or demo is None or not demo.record.demo:
        raise NotRecognised
