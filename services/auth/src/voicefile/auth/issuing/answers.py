"""Answers kept for retries: only who holds the Idempotency-Key of the upload can open one.

The key itself is never stored, so a stolen database, even with all of auth's keys, shows no PIN.
"""

from voicefile.auth.store import SealedAnswer
from voicefile.crypto.envelope import Context, Kind, object_id, open_field, seal_field
from voicefile.crypto.keyring import IdentityKey, Purpose
from voicefile.crypto.primitives import hkdf_expand_sha512
from voicefile.crypto.secret import KEY_BYTES, SecretKey, SecretText


def seal_answer(
    answer: bytes,
    *,
    identity: IdentityKey,
    idempotency_key: SecretText,
    partner: str,
    context: Context,
    expires_at_s: int,
) -> SealedAnswer:
    """The answer under a key made from the tenant's and from what only the partner knows."""
    key = _key(identity, idempotency_key, partner)
    return SealedAnswer(seal_field(key, context, answer), expires_at_s, identity.id)


def open_answer(
    kept: SealedAnswer,
    *,
    identity: IdentityKey,
    idempotency_key: SecretText,
    partner: str,
    context: Context,
) -> bytes:
    """The very bytes that were answered the first time. Raises Tampered for another key."""
    return open_field(_key(identity, idempotency_key, partner), context, kept.sealed)


def answer_context(deployment: bytes, tenant: str, recording: str) -> Context:
    """What binds an answer to its recording."""
    return Context(deployment, tenant, object_id(recording, "answer"), Kind.FIELD)


def _key(identity: IdentityKey, idempotency_key: SecretText, partner: str) -> SecretKey:
    # A partner's id has a fixed length, so key and id cannot run into each other.
    info = idempotency_key.expose().encode() + partner.encode("ascii")
    return SecretKey(hkdf_expand_sha512(identity.derive(Purpose.ANSWERS), info, KEY_BYTES))
