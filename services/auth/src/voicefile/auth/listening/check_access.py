"""Checking access: an access ID and a PIN open a session, or a question where there is one.

Whatever is wrong, the answer is one and the same: unknown ID, wrong PIN, frozen, expired, locked.
Tries are charged before anything is compared, deeds are durable before anything is answered. A PIN
is checked here alone, whichever way it came: what a way in has to itself is handed to `check_pin`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

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
from voicefile.docstore.port import PendingEvent, VersionConflict

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """The PIN was right; the question comes first."""

    tenant: str
    question: Question = field(repr=False)
    prompt: str = field(repr=False)
    """What it asks, if the partner said so."""
    challenge: SecretText | None
    """What the answer has to bring; on the telephone it is given to the login."""


@dataclass(frozen=True)
class Try:
    """A PIN that somebody typed or keyed for an access ID."""

    locator: str
    pin: SecretText
    by: Visitor
    request_id: str
    dialled: str = ""
    """The one tenant whose IDs get in; empty: anybody's."""


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
    tried = Try(await locator_of(doors, access_id), pin, by, request_id)
    let_in = partial(_let_in, doors, by=by, request_id=request_id)
    return await check_pin(doors, tried, charge=_nothing, let_in=let_in)


async def locator_of(doors: Doors, access_id: str) -> str:
    """What the directory finds an access ID by, there or not. Raises AccessIdMistyped."""
    digits = normalised(access_id)
    if digits is None:
        raise AccessIdMistyped
    return await doors.ports.custody.directory_locator(digits)


async def check_pin(
    doors: Doors,
    tried: Try,
    *,
    charge: Callable[[], Awaitable[object]],
    let_in: Callable[[Stored[Access]], Awaitable[T]],
) -> T:
    """What `let_in` answers for a right PIN. Raises SignInRefused, RateLimited, Busy.

    `charge` is what the way in counts of each try beside the throttles; it comes before them.
    """
    known = await doors.throttles.is_known(tried.locator, tried.by)
    slowed = not known and await doors.throttles.under_attack()
    with counted():
        async with doors.pace.answering(slowed=slowed):
            checked = await _checked(doors, tried, known=known, charge=charge)
            if not checked.right:
                await _refuse(doors, checked, tried.request_id)
                raise SignInRefused
            answer = await let_in(checked.access)
            await doors.throttles.succeeded(checked.charge, checked.candidate.tenant)
            return answer


async def put_question(
    doors: Doors,
    access: Stored[Access],
    write: Callable[[PendingEvent], Awaitable[object]],
    *,
    request_id: str,
    challenge: SecretText | None = None,
) -> Asked:
    """The question, once `write` has stored, with the deed, that an answer is waited for."""
    question = access.record.question
    assert question is not None, "only a credential with a question puts one"
    actor = await access_deeds.customer(access, doors.ports.custody)
    deed = access_deeds.of_customer(actor, Action.ACTION_QUESTION_ASKED, access, request_id)
    await doors.ports.deeds.write(deed, write)
    return Asked(access.tenant, question, await _prompt(doors, access), challenge)


async def _nothing() -> None:
    """On the web a try is nothing but a try: each brings its access ID anew."""


async def _checked(
    doors: Doors, tried: Try, *, known: bool, charge: Callable[[], Awaitable[object]]
) -> Checked:
    rank = Rank.KNOWN if known else Rank.STRANGER
    with doors.pool.place(rank) as place:
        await charge()
        charged = await doors.throttles.charge(tried.locator, tried.by, known=known)
        found = await candidate(doors.ports, tried.locator, request_id=tried.request_id)
        spent = await doors.throttles.charge_totals(charged, found.tenant)
        record = found.stored.record
        verifier = await _verifier(
            doors, place, found.stored, tried.pin, salt=record.pin_salt, pepper=record.pepper
        )
        fits = same(verifier, record.pin_verifier)
        dialled = tried.dialled in {"", found.tenant}
        right = fits and found.real and found.open and dialled and not spent
        access = found.stored
        if right:
            access = await _under_newest_pepper(doors, place, access, tried.pin)
        return Checked(charged, found, right, access)


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
    if access.record.question is None:
        return await open_session(doors, access, level=LEVEL_PIN, by=by, request_id=request_id)
    secret = new_secret()
    challenge = Challenge(
        tenant=access.tenant,
        credential=access.id,
        generation=access.record.generation,
        tries=0,
        expires_at_s=int(doors.ports.now_s()) + doors.settings.challenge_s,
    )
    return await put_question(
        doors,
        access,
        lambda event: doors.challenges.insert(hashed(secret), challenge, pending=(event,)),
        request_id=request_id,
        challenge=secret,
    )


async def _prompt(doors: Doors, access: Stored[Access]) -> str:
    opened = await open_customer(
        access.record.subject,
        custody=doors.ports.custody,
        tenant=access.tenant,
        names=(QUESTION_PROMPT,),
    )
    return opened.fields.get(QUESTION_PROMPT, "")
