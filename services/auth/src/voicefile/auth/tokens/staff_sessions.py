"""Staff signing in: username, password and a code that works once."""

import re
from dataclasses import dataclass

import pyotp
from msgspec.structs import replace

from voicefile.auth.errors import NotRecognised
from voicefile.auth.listening.access_errors import Locked
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import PRINCIPALS, Principal
from voicefile.auth.tenants.principals import totp_secret_of
from voicefile.auth.throttling.pin_pool import Place, Rank
from voicefile.auth.throttling.throttles import Throttles, Visitor
from voicefile.auth.throttling.verifiers import new_salt
from voicefile.auth.tokens.issue_token import AccessToken, principal_of, sign_token
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.primitives import constant_time_equal, random_digits
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.docstore.port import VersionConflict
from voicefile.identity.ids import PLATFORM, new_id
from voicefile.identity.principal import Role

TOTP_STEP_S = 30
TOTP_STEPS_BESIDE = 1
"""Codes of the step before and after are taken, too: clocks differ."""
_CODE = re.compile(r"[0-9]{6}", re.ASCII)


@dataclass(frozen=True)
class SignIn:
    """What somebody types to sign in."""

    username: str
    password: SecretText
    totp: SecretText
    request_id: str

    def __repr__(self) -> str:
        return "<SignIn>"


async def sign_in(
    typed: SignIn, visitor: Visitor, *, throttles: Throttles, ports: Ports
) -> AccessToken:
    """A staff member's token. Raises NotRecognised, whatever is wrong, RateLimited and Busy.

    The attempt is charged before anything is compared, so a crash refunds nothing; and after its
    place in the queue is had, so that who is turned away as one too many loses no try.
    """
    locator = await ports.custody.login_locator(typed.username.strip().lower())
    known = await throttles.is_known(locator, visitor)
    try:
        with ports.pins.place(Rank.KNOWN if known else Rank.STRANGER) as place:
            charge = await throttles.charge(locator, visitor, known=known)
            stored = await _find(locator, ports=ports)
            tenant = PLATFORM if stored is None else stored.tenant
            await throttles.charge_totals(charge, tenant)
            step = await _checked(stored, typed, place=place, ports=ports)
    except Locked:
        await _refuse_locked(locator, typed, ports=ports)
        raise NotRecognised from None
    if stored is None or step is None:
        await _record_refusal(stored, typed, ports=ports)
        raise NotRecognised
    await _use_step(stored, step, typed, ports=ports)
    await throttles.succeeded(charge, tenant)
    await throttles.remember(locator, visitor)
    caller = principal_of(stored)
    return await sign_token(caller, lasts_s=ports.settings.staff_token_s, ports=ports)


async def _refuse_locked(locator: str, typed: SignIn, *, ports: Ports) -> None:
    """The same work and the same answer as for a wrong password: a lock shows nothing."""
    # Known or not, whoever guesses at usernames must not stand before customers in the queue.
    with ports.pins.place(Rank.STRANGER) as place:
        stored = await _find(locator, ports=ports)
        await _checked(stored, typed, place=place, ports=ports)
    await _record_refusal(stored, typed, ports=ports)


async def _find(locator: str, *, ports: Ports) -> Stored[Principal] | None:
    found = await ports.store.find(PRINCIPALS, "login", locator, limit=1)
    if not found:
        return None
    stored = await ports.principals.believe(found[0])
    is_staff = stored.record.active and stored.record.role != Role.PARTNER.value
    return stored if is_staff else None


async def _checked(
    stored: Stored[Principal] | None, typed: SignIn, *, place: Place, ports: Ports
) -> int | None:
    """The time step of the code, if password and code are right. The same work for nobody."""
    tenant = PLATFORM if stored is None else stored.tenant
    identity = await ports.custody.identity(
        tenant, None if stored is None else stored.record.pepper
    )
    offered = await place.verifier(
        identity.derive(Purpose.STAFF_PEPPER),
        typed.password,
        tenant=tenant,
        credential=new_id() if stored is None else stored.id,
        salt=new_salt() if stored is None else stored.record.secret_salt,
    )
    expected = b"" if stored is None else stored.record.secret_verifier
    secret = (
        SecretText(pyotp.random_base32())
        if stored is None
        else await totp_secret_of(stored, ports=ports)
    )
    step = _step_of(typed.totp, secret, now_s=ports.now_s())
    if stored is None or not constant_time_equal(offered, expected):
        return None
    return step if step is not None and step > stored.record.totp_step else None


def _step_of(code: SecretText, secret: SecretText, *, now_s: float) -> int | None:
    digits = code.expose().replace(" ", "")
    offered = digits if _CODE.fullmatch(digits) else random_digits(6) + "-"
    codes = pyotp.TOTP(secret.expose(), interval=TOTP_STEP_S)
    now_step = int(now_s) // TOTP_STEP_S
    matching = None
    for step in range(now_step - TOTP_STEPS_BESIDE, now_step + TOTP_STEPS_BESIDE + 1):
        if constant_time_equal(codes.generate_otp(step).encode(), offered.encode()):
            matching = step
    return matching


async def _use_step(stored: Stored[Principal], step: int, typed: SignIn, *, ports: Ports) -> None:
    """Uses the code up and records the sign-in, in one write: of two with one code, one wins."""
    caller = principal_of(stored)
    deed = Deed(
        actor=Actor.of(caller),
        action=Action.ACTION_STAFF_SIGNED_IN,
        tenant=caller.tenant,
        object_id=caller.id,
        request_id=typed.request_id,
    )
    used = replace(stored.record, totp_step=step)
    records = ports.principals.of(stored.tenant)
    try:
        await ports.deeds.write(deed, lambda event: records.replace(stored, used, pending=(event,)))
    except VersionConflict:
        raise NotRecognised from None


async def _record_refusal(stored: Stored[Principal] | None, typed: SignIn, *, ports: Ports) -> None:
    # For unknown names, too: a write that only known names cause would tell them apart.
    await ports.deeds.record(
        Deed(
            actor=Actor.unknown(),
            action=Action.ACTION_STAFF_SIGNED_IN,
            tenant=PLATFORM if stored is None else stored.tenant,
            object_id="" if stored is None else stored.id,
            outcome=Outcome.OUTCOME_REFUSED,
            request_id=typed.request_id,
        )
    )
