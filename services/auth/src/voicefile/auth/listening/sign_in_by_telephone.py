"""Signing in by telephone: an access ID, then its PIN, then an answer, each keyed by itself.

Between two of them the caller has nothing but the line: what was keyed so far is a login, good in
its call alone and for minutes. Whether there is such an ID shows at no step; the PIN is checked as
on the web (`check_pin`), and the number that calls only says whose budget a try is charged to.
"""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from voicefile.auth.listening.access_errors import Busy, SignInRefused
from voicefile.auth.listening.access_store import TelephoneLogin
from voicefile.auth.listening.answer_question import one_try_more, right_answer
from voicefile.auth.listening.check_access import Asked, Try, check_pin, locator_of, put_question
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.open_session import (
    LEVEL_ANSWER,
    LEVEL_PIN,
    SignedIn,
    open_session,
)
from voicefile.auth.records import Stored
from voicefile.auth.stamped import Kept
from voicefile.auth.store import Access
from voicefile.auth.throttling.throttles import Visitor
from voicefile.crypto.errors import Tampered
from voicefile.crypto.secret import SecretText
from voicefile.docstore.port import PendingEvent, VersionConflict
from voicefile.identity.ids import PLATFORM, new_id


async def key_access_id(doors: Doors, access_id: str, *, by: Visitor, dialled: str) -> str:
    """The login's id, for an ID that nobody has as well. Raises AccessIdMistyped.

    Nothing was tried yet, so nothing is charged, and there is no deed.
    """
    login = TelephoneLogin(
        tenant=PLATFORM,
        locator=await locator_of(doors, access_id),
        call=by.call,
        dialled=dialled,
        expires_at_s=int(doors.ports.now_s()) + doors.settings.telephone_login_s,
    )
    login_id = new_id()
    await doors.logins.insert(login_id, login)
    return login_id


async def key_pin(
    doors: Doors, login_id: str, pin: SecretText, *, by: Visitor, request_id: str
) -> SignedIn | Asked:
    """Raises SignInRefused, alike for a wrong PIN and for a login that is over or of another call.

    Also RateLimited, Busy.
    """
    kept = await _kept(doors, login_id)
    login = None if kept is None else kept.record
    tried = Try(
        # Of a login that is not there nothing is looked up: `charge` refuses it first.
        locator="" if login is None else login.locator,
        pin=pin,
        by=by,
        request_id=request_id,
        dialled="" if login is None else login.dialled,
    )
    charge = partial(
        one_try_more,
        doors,
        doors.logins,
        login_id,
        most=doors.settings.telephone_login_tries,
        fits=_waits_for_pin(by),
    )
    let_in = partial(_let_in, doors, login_id, by=by, request_id=request_id)
    return await check_pin(doors, tried, charge=charge, let_in=let_in)


async def key_answer(
    doors: Doors, login_id: str, answer: SecretText, *, by: Visitor, request_id: str
) -> SignedIn:
    """Raises SignInRefused, alike for a wrong answer and for a login that waits for none; Busy."""
    kept = await one_try_more(
        doors,
        doors.logins,
        login_id,
        most=doors.settings.challenge_tries,
        fits=lambda login: login.call == by.call and login.credential != "",
    )
    access = await right_answer(doors, doors.logins, kept, answer, request_id=request_id)
    return await open_session(doors, access, level=LEVEL_ANSWER, by=by, request_id=request_id)


async def _kept(doors: Doors, login_id: str) -> Kept[TelephoneLogin] | None:
    """The login; one that somebody wrote past auth is none."""
    try:
        return await doors.logins.get(login_id)
    except Tampered:
        return None


def _waits_for_pin(by: Visitor) -> Callable[[TelephoneLogin], bool]:
    return lambda login: login.call == by.call and login.credential == ""


async def _let_in(
    doors: Doors, login_id: str, access: Stored[Access], *, by: Visitor, request_id: str
) -> SignedIn | Asked:
    if access.record.question is None:
        # The login ends before there is a session: of two PINs at once one opens one.
        await _used(doors, login_id, partial(replace, done=True), by=by)
        return await open_session(doors, access, level=LEVEL_PIN, by=by, request_id=request_id)
    waiting = partial(
        replace,
        tries=0,
        owner=access.tenant,
        credential=access.id,
        generation=access.record.generation,
    )
    return await put_question(
        doors,
        access,
        lambda event: _used(doors, login_id, waiting, by=by, pending=(event,)),
        request_id=request_id,
    )


async def _used(
    doors: Doors,
    login_id: str,
    change: Callable[[TelephoneLogin], TelephoneLogin],
    *,
    by: Visitor,
    pending: tuple[PendingEvent, ...] = (),
) -> Kept[TelephoneLogin]:
    """The login after its PIN. Raises SignInRefused if another PIN came first."""
    fits = _waits_for_pin(by)
    for _ in range(doors.settings.access_write_tries_max):
        kept = await _kept(doors, login_id)
        if kept is None or kept.record.done or not fits(kept.record):
            raise SignInRefused
        try:
            return await doors.logins.replace(kept, change(kept.record), pending=pending)
        except VersionConflict:
            continue  # A further try was charged meanwhile.
    raise Busy
