"""PINs: drawn at random, kept as a peppered hash, shown once or sealed to whoever prints them."""

import base64
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from voicefile.auth.errors import LetterShopMissing
from voicefile.auth.keys.custody import Custody
from voicefile.auth.store import Tenant
from voicefile.auth.tenants.policy import Policy
from voicefile.auth.throttling.pin_pool import Place, Rank
from voicefile.auth.throttling.verifiers import new_salt
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.primitives import random_digits, seal_text_to
from voicefile.crypto.secret import SecretKey, SecretText


class PinHasher(Protocol):
    """Hashes PINs that are being issued, and passwords: memory-hard, so in a bounded pool."""

    async def hash(
        self,
        pepper: SecretKey,
        pin: SecretText,
        *,
        tenant: str,
        credential: str,
        salt: bytes,
        rank: Rank = Rank.ISSUING,
    ) -> bytes:
        """The verifier of the PIN. Raises when too many are waiting."""

    def place(self, rank: Rank) -> AbstractContextManager[Place]:
        """A place to hash in, to be had before a try is charged. Raises when there is none."""


@dataclass(frozen=True)
class NewPin:
    """A PIN that was just drawn: what is kept of it, and what is told."""

    salt: bytes
    verifier: bytes
    pepper: str
    """The identity key version that peppered the verifier."""
    told: dict[str, str]
    """One member of the answer: `pin`, or `sealed_pin` for the letter shop."""

    def __repr__(self) -> str:
        return "<NewPin>"


async def new_pin(
    policy: Policy,
    *,
    credential: str,
    tenant: str,
    letter_shop: bytes | None,
    custody: Custody,
    pins: PinHasher,
) -> NewPin:
    """Draws a PIN; if `letter_shop` is given, only that key's owner can read it."""
    pin = SecretText(random_digits(policy.pin_digits))
    identity = await custody.identity(tenant)
    salt = new_salt()
    verifier = await pins.hash(
        identity.derive(Purpose.PIN_PEPPER), pin, tenant=tenant, credential=credential, salt=salt
    )
    if letter_shop is None:
        return NewPin(salt, verifier, identity.id, {"pin": pin.expose()})
    context = pin_context(custody.deployment, tenant, credential)
    sealed = seal_text_to(letter_shop, context.encode(), pin.expose().encode())
    told = {"sealed_pin": base64.b64encode(sealed).decode()}
    return NewPin(salt, verifier, identity.id, told)


def letter_shop_for(tenant: Tenant, policy: Policy, *, sealed: bool) -> bytes | None:
    """The key a PIN has to be sealed to, or None if it may be told. Raises LetterShopMissing."""
    if not (sealed or policy.sealed_pin_only):
        return None
    if not tenant.letter_shop_key:
        raise LetterShopMissing
    return tenant.letter_shop_key


def pin_context(deployment: bytes, tenant: str, credential: str) -> Context:
    """What a letter shop compares the sealed box with before it prints."""
    return Context(deployment, tenant, object_id(credential, "pin"), Kind.FIELD)
