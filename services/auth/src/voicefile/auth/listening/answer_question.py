"""Answering the question: what a correct PIN was told to bring before there is a session.

Whoever answers holds the PIN already, so the budget is small and the credential's own: three
wrong answers a day, nine in a row freeze it. What waits for the answer is a challenge on the web,
the login on the telephone; all else is the same.
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import Busy, SignInRefused
from voicefile.auth.listening.access_metrics import counted
from voicefile.auth.listening.access_store import Challenge, TelephoneLogin
from voicefile.auth.listening.candidates import OPEN_STATES, is_tenant_open
from voicefile.auth.listening.customer_sessions import hashed
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.open_session import LEVEL_ANSWER, SignedIn, freeze, open_session
from voicefile.auth.records import Stored
from voicefile.auth.stamped import Kept, Stamped
from voicefile.auth.store import Access
from voicefile.auth.throttling.throttles import Visitor
from voicefile.auth.throttling.verifiers import answer_verifier, same
from voicefile.crypto.errors import Tampered
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action
from voicefile.docstore.port import VersionConflict

DIGITS = frozenset("0123456789")

W = TypeVar("W", Challenge, TelephoneLogin)
"""What waits for something that may be tried a few times."""


async def answer_question(
    doors: Doors, challenge: SecretText, answer: SecretText, *, by: Visitor, request_id: str
) -> SignedIn:
    """Raises SignInRefused; the same for a wrong answer and for a challenge that never was."""
    waiting, most = doors.challenges, doors.settings.challenge_tries
    kept = await one_try_more(doors, waiting, hashed(challenge), most=most)
    access = await right_answer(doors, waiting, kept, answer, request_id=request_id)
    return await open_session(doors, access, level=LEVEL_ANSWER, by=by, request_id=request_id)


async def right_answer(
    doors: Doors, waiting: Stamped[W], kept: Kept[W], answer: SecretText, *, request_id: str
) -> Stored[Access]:
    """Whose answer it was; it is recorded, and cannot be given once more. Raises SignInRefused."""
    access = await _challenged(doors, kept.record)
    with counted():
        answers = await doors.throttles.charge_answer(access.id)
    if not await _is_answer(doors, access, answer):
        await doors.ports.deeds.record(access_deeds.answer_refused(access, request_id))
        if answers.in_a_row >= doors.throttles.limits.answer_failures_in_a_row:
            await freeze(doors, access, request_id=request_id)
            await doors.throttles.answers_cleared(access.id)
        raise SignInRefused
    await _close(doors, waiting, kept, access, request_id=request_id)
    await doors.throttles.answers_cleared(access.id)
    return access


async def one_try_more(
    doors: Doors,
    waiting: Stamped[W],
    document_id: str,
    *,
    most: int,
    fits: Callable[[W], bool] = lambda _: True,
) -> Kept[W]:
    """What waits, with one try more used up. Raises SignInRefused if it is not there any more."""
    for _ in range(doors.settings.access_write_tries_max):
        try:
            kept = await waiting.get(document_id)
        except Tampered:
            raise SignInRefused from None
        if kept is None or kept.record.done or not fits(kept.record) or kept.record.tries >= most:
            raise SignInRefused
        charged = replace(kept.record, tries=kept.record.tries + 1)
        try:
            return await waiting.replace(kept, charged)
        except VersionConflict:
            continue
    raise Busy


async def _challenged(doors: Doors, challenge: Challenge | TelephoneLogin) -> Stored[Access]:
    """The credential, if it is still as it was when the PIN was right. Raises SignInRefused."""
    try:
        access = await doors.ports.access.of(challenge.owner).get(challenge.credential)
        tenant_open = await is_tenant_open(doors.ports, challenge.owner)
    except Tampered:
        raise SignInRefused from None
    if (
        access is None
        or not tenant_open
        or access.record.question is None
        or access.record.state not in OPEN_STATES
        or access.record.generation != challenge.generation
    ):
        raise SignInRefused
    return access


async def _is_answer(doors: Doors, access: Stored[Access], answer: SecretText) -> bool:
    question = access.record.question
    assert question is not None, "only a credential with a question is challenged"
    identity = await doors.ports.custody.identity(access.tenant, question.pepper)
    # A date may be typed with dots, a postcode with blanks: only the digits were kept.
    digits = SecretText("".join(sign for sign in answer.expose() if sign in DIGITS))
    verifier = answer_verifier(
        identity.derive(Purpose.QUESTION_PEPPER),
        digits,
        tenant=access.tenant,
        credential=access.id,
    )
    return same(verifier, question.verifier)


async def _close(
    doors: Doors, waiting: Stamped[W], kept: Kept[W], access: Stored[Access], *, request_id: str
) -> None:
    """Records the right answer. Raises SignInRefused if it opened a session already."""
    actor = await access_deeds.customer(access, doors.ports.custody)
    deed = access_deeds.of_customer(actor, Action.ACTION_QUESTION_ANSWERED, access, request_id)
    done = replace(kept.record, done=True)
    try:
        await doors.ports.deeds.write(
            deed, lambda event: waiting.replace(kept, done, pending=(event,))
        )
    except VersionConflict:
        # Two answers at once: what waited opens one session.
        raise SignInRefused from None
