"""The deeds of signing in and listening, in one place so that each is told in the same way."""

from collections.abc import Mapping
from typing import Final

from voicefile.auth.keys.custody import Custody
from voicefile.auth.listening.access_store import Release
from voicefile.auth.records import Stored
from voicefile.auth.stamped import Kept
from voicefile.auth.store import Access
from voicefile.crypto.keyring import Purpose as KeyPurpose
from voicefile.crypto.primitives import hmac_sha512
from voicefile.deeds.deed import Action, Actor, Deed, Outcome, Purpose, Role
from voicefile.identity.ids import ID_BYTES, PLATFORM

_PURPOSES: Final[Mapping[str, Purpose]] = {
    "customer-request": Purpose.PURPOSE_CUSTOMER_REQUEST,
    "complaint": Purpose.PURPOSE_COMPLAINT,
    "dispute": Purpose.PURPOSE_DISPUTE,
    "quality": Purpose.PURPOSE_QUALITY,
    "legal": Purpose.PURPOSE_LEGAL,
    "authority": Purpose.PURPOSE_AUTHORITY,
}


async def customer(access: Stored[Access], custody: Custody) -> Actor:
    """The customer as deeds know them: linked to the subject by the tenant's key alone."""
    identity = await custody.identity(access.tenant)
    tag = hmac_sha512(identity.derive(KeyPurpose.PSEUDONYM), access.record.subject.id.encode())
    return Actor(tag[:ID_BYTES].hex(), Role.ROLE_CUSTOMER)


def purpose_of(code: str | None) -> Purpose:
    """The purpose a care agent named; none for whoever needs none."""
    if code is None:
        return Purpose.PURPOSE_UNSPECIFIED
    return _PURPOSES[code]


def code_of(purpose: Purpose) -> str:
    """The code of a purpose; empty for none."""
    return next((code for code, each in _PURPOSES.items() if each == purpose), "")


def sign_in_refused(access: Stored[Access] | None, request_id: str) -> Deed:
    """Whoever it was is not known; an unknown access ID belongs to no tenant."""
    return Deed(
        actor=Actor.unknown(),
        action=Action.ACTION_CUSTOMER_SIGNED_IN,
        tenant=PLATFORM if access is None else access.tenant,
        object_id="" if access is None else access.id,
        outcome=Outcome.OUTCOME_REFUSED,
        request_id=request_id,
    )


def answer_refused(access: Stored[Access], request_id: str) -> Deed:
    return Deed(
        actor=Actor.unknown(),
        action=Action.ACTION_QUESTION_ANSWERED,
        tenant=access.tenant,
        object_id=access.id,
        outcome=Outcome.OUTCOME_REFUSED,
        request_id=request_id,
    )


def of_customer(actor: Actor, action: Action, access: Stored[Access], request_id: str) -> Deed:
    """What a customer did with their own access."""
    return Deed(
        actor=actor,
        action=action,
        tenant=access.tenant,
        object_id=access.id,
        request_id=request_id,
    )


def returned(release: Kept[Release], bytes_sent: int, request_id: str) -> Deed:
    """An instance of playback gave the release's key back and says how much it sent by it."""
    return Deed(
        actor=Actor.service(),
        action=Action.ACTION_RELEASE_RETURNED,
        tenant=release.record.tenant,
        object_id=release.id,
        request_id=request_id,
        bytes_sent=bytes_sent,
    )


def frozen(access: Stored[Access], request_id: str) -> Deed:
    """Auth itself froze a credential that was guessed at too often."""
    return Deed(
        actor=Actor.service(),
        action=Action.ACTION_CREDENTIAL_FROZEN,
        tenant=access.tenant,
        object_id=access.id,
        request_id=request_id,
    )


def integrity_failed(tenant: str, object_id: str, request_id: str) -> Deed:
    """Somebody wrote past auth into its store."""
    return Deed(
        actor=Actor.service(),
        action=Action.ACTION_INTEGRITY_FAILED,
        tenant=tenant,
        object_id=object_id,
        outcome=Outcome.OUTCOME_FAILED,
        request_id=request_id,
    )
