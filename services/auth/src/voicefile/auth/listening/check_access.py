"""Checking access: an access ID and a PIN open a session, or a question where there is one.

Whatever is wrong, the answer is one and the same: unknown ID, wrong PIN, frozen, expired, locked.
Tries are charged before anything is compared, deeds are durable before anything is answered.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from voicefile.auth.issuing.access_id import normalised
from voicefile.auth.issuing.customer import QUESTION_PROMPT, open_customer
from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import AccessIdMistyped, SignInRefused
from voicefile.auth.listening.access_metrics import counted
from voicefile.auth.listening.access_store import Challenge
from voicefile.auth.listening.candidates import Candidate, candidate
from voicefile.auth.listening.customer_sessions import hashed, new_secret
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.open_session import LEVEL_PIN, SignedIn, freeze, open_session
from voicefile.auth.records import Stored
from voicefile.auth.store import Access, Question
from voicefile.auth.throttling.pin_pool import Place, Rank
from voicefile.auth.throttling.throttles import Charge, Visitor
from voicefile.auth.throttling.verifiers import new_salt, same
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action
from voicefile.docstore.port import VersionConflict


@dataclass(frozen=True)
class Asked:
    """The PIN was right; the question comes first."""

    question: Question = field(repr=False)
    prompt: str = field(repr=False)
    """What it asks, if the partner said so."""
    challenge: SecretText


@dataclass(frozen=True)
class Checked:
    """A charged try and what came of it."""

    charge: Charge
    candidate: Candidate
    right: bool
    access: Stored[Access]
    """The access document, under a newer pepper if there was one."""


async def check_access(
    doors: Doors, access_id: str, pin: SecretText, *, by: Visitor, request_id: str
) -> SignedIn | Asked:
    """Raises AccessIdMistyped, SignInRefused, RateLimited, Busy."""
    digits = normalised(access_id)
    if digits is None:
        raise AccessIdMistyped
    locator = await doors.ports.custody.directory_locator(digits)
    known = await doors.throttles.is_known(locator, by)
    slowed = not known and await doors.throttles.under_attack()
    with counted():
        async with doors.pace.answering(slowed=slowed):
            return await _answered(doors, locator, pin, by=by, known=known, request_id=request_id)


async def _answered(
    doors: Doors, locator: str, pin: SecretText, *, by: Visitor, known: bool, request_id: str
) -> SignedIn | Asked:
    checked = await _checked(doors, locator, pin, by=by, known=known, request_id=request_id)
    if not checked.right:
        await _refuse(doors, checked, request_id)
        raise SignInRefused
    answer = await _let_in(doors, checked.access, by=by, request_id=request_id)
    await doors.throttles.succeeded(checked.charge, checked.candidate.tenant)
    return answer


async def _checked(
    doors: Doors, locator: str, pin: SecretText, *, by: Visitor, known: bool, request_id: str
) -> Checked:
    rank = Rank.KNOWN if known else Rank.STRANGER
    with doors.pool.place(rank) as place:
        charge = await doors.throttles.charge(locator, by, known=known)
        found = await candidate(doors.ports, locator, request_id=request_id)
        spent = await doors.throttles.charge_totals(charge, found.tenant)
        record = found.stored.record
        verifier = await _verifier(
            doors, place, found.stored, pin, salt=record.pin_salt, pepper=record.pepper
        )
        fits = same(verifier, record.pin_verifier)
        right = fits and found.real and found.open and not spent
        access = found.stored
        if right:
            access = await _under_newest_pepper(doors, place, access, pin)
        return Checked(charge, found, right, access)


async def _verifier(
    doors: Doors,
    place: Place,
    access: Stored[Access],
    pin: SecretText,
    *,
    salt: bytes,
    pepper: str | None,
) -> bytes:
    identity = await doors.ports.custody.identity(access.tenant, pepper)
    return await place.verifier(
        identity.derive(Purpose.PIN_PEPPER),
        pin,
        tenant=access.tenant,
        credential=access.id,
        salt=salt,
    )


async def _under_newest_pepper(
    doors: Doors, place: Place, access: Stored[Access], pin: SecretText
) -> Stored[Access]:
    """The PIN is in hand only now: a new pepper version reaches a credential at its sign-in."""
    newest = await doors.ports.custody.identity(access.tenant)
    if access.record.pepper == newest.id:
        return access
    salt = new_salt()
    verifier = await _verifier(doors, place, access, pin, salt=salt, pepper=newest.id)
    record = replace(access.record, pin_salt=salt, pin_verifier=verifier, pepper=newest.id)
    try:
        return await doors.ports.access.of(access.tenant).replace(access, record)
    except VersionConflict:
        return access  # Changed meanwhile; the next sign-in will do.


async def _refuse(doors: Doors, checked: Checked, request_id: str) -> None:
    found, charge = checked.candidate, checked.charge
    refused = access_deeds.sign_in_refused(found.stored if found.real else None, request_id)
    await doors.ports.deeds.record(refused)
    if not charge.known and charge.in_a_row >= doors.throttles.limits.stranger_failures_in_a_row:
        if found.real:
            await freeze(doors, found.stored, request_id=request_id)
        await doors.throttles.row_ended(charge.locator)


async def _let_in(
    doors: Doors, access: Stored[Access], *, by: Visitor, request_id: str
) -> SignedIn | Asked:
    question = access.record.question
    if question is None:
        return await open_session(doors, access, level=LEVEL_PIN, by=by, request_id=request_id)
    actor = await access_deeds.customer(access, doors.ports.custody)
    deed = access_deeds.of_customer(actor, Action.ACTION_QUESTION_ASKED, access, request_id)
    secret = new_secret()
    challenge = Challenge(
        tenant=access.tenant,
        credential=access.id,
        generation=access.record.generation,
        tries=0,
        expires_at_s=int(doors.ports.now_s()) + doors.settings.challenge_s,
    )
    await doors.ports.deeds.write(
        deed,
        lambda event: doors.challenges.insert(hashed(secret), challenge, pending=(event,)),
    )
    return Asked(question, await _prompt(doors, access), secret)


async def _prompt(doors: Doors, access: Stored[Access]) -> str:
    opened = await open_customer(
        access.record.subject,
        custody=doors.ports.custody,
        tenant=access.tenant,
        names=(QUESTION_PROMPT,),
    )
    return opened.fields.get(QUESTION_PROMPT, "")
