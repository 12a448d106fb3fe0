"""Changing a credential: freeze, revoke, undelivered, restore; how far its letter has come.

Each change is one write of the access document with its deed in it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from voicefile.auth.errors import (
    ChangedMeanwhile,
    ChangeNotPossible,
    CredentialOver,
    NotFound,
    TenantClosed,
)
from voicefile.auth.events import RecordingChanged, fact_alone
from voicefile.auth.listening.candidates import OPEN_STATES
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import OVER, Access, CredentialState, LetterState, Recording
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.deeds.deed import Action, Actor, Deed, Purpose
from voicefile.docstore.port import VersionConflict
from voicefile.identity.principal import Principal, Role

_LETTERS = {
    LetterState.WANTED: {LetterState.PRINTED, LetterState.SENT},
    LetterState.PRINTED: {LetterState.SENT},
    LetterState.SENT: {LetterState.RETURNED},
    LetterState.RETURNED: {LetterState.WANTED},
}
"""From which state a letter can come into which."""


@dataclass(frozen=True)
class Order:
    """Who wants a change, why, and in which request."""

    by: Principal
    purpose: Purpose = Purpose.PURPOSE_UNSPECIFIED
    request_id: str = ""

    def deed(self, action: Action, credential: str) -> Deed:
        """The deed of carrying it out."""
        return Deed(
            actor=Actor.of(self.by),
            action=action,
            tenant=self.by.tenant,
            object_id=credential,
            purpose=self.purpose,
            request_id=self.request_id,
        )


async def freeze(credential: str, *, order: Order, ports: Ports) -> Stored[Access]:
    """Nobody signs in with it until this is taken back or a new PIN is issued."""

    def frozen(access: Access) -> Access:
        # Only what is open: what came back undelivered would be restored with the PIN it has.
        if access.state not in OPEN_STATES:
            raise ChangeNotPossible
        return replace(access, state=CredentialState.FROZEN, restorable=True)

    action = Action.ACTION_CREDENTIAL_FROZEN
    return await change_credential(credential, frozen, action, order=order, ports=ports)


async def revoke(credential: str, *, order: Order, ports: Ports) -> Stored[Access]:
    """Nobody ever signs in with it again; answers kept for retries go, too."""

    def revoked(access: Access) -> Access:
        return replace(without_answers(access), state=CredentialState.REVOKED)

    action = Action.ACTION_CREDENTIAL_REVOKED
    return await change_credential(credential, revoked, action, order=order, ports=ports)


async def undelivered(credential: str, *, order: Order, ports: Ports) -> Stored[Access]:
    """The letter came back: it may have been read, so its PIN opens nothing any more."""

    def came_back(access: Access) -> Access:
        if access.state is CredentialState.FROZEN:
            raise ChangeNotPossible
        return replace(access, state=CredentialState.UNDELIVERED, letter=LetterState.RETURNED)

    action = Action.ACTION_CREDENTIAL_UNDELIVERED
    return await change_credential(credential, came_back, action, order=order, ports=ports)


async def restore(credential: str, *, order: Order, ports: Ports) -> Stored[Access]:
    """Takes its keepers' freeze back.

    What came back undelivered needs a new PIN instead, and so does what auth froze itself: its
    PIN was guessed at, or its question.
    """

    def restored(access: Access) -> Access:
        if access.state is not CredentialState.FROZEN or not access.restorable:
            raise ChangeNotPossible
        return replace(access, state=CredentialState.ISSUED, restorable=False)

    action = Action.ACTION_CREDENTIAL_RESTORED
    return await change_credential(credential, restored, action, order=order, ports=ports)


async def change_letter(
    credential: str, letter: LetterState, *, order: Order, ports: Ports
) -> Stored[Access]:
    """The letter is printed, sent, has come back, or is wanted again."""
    came_back = letter is LetterState.RETURNED

    def changed(access: Access) -> Access:
        if letter not in _LETTERS[access.letter]:
            raise ChangeNotPossible
        # However it is told: a PIN that strangers may have read opens nothing any more.
        state = CredentialState.UNDELIVERED if came_back else access.state
        return replace(access, letter=letter, state=state)

    action = Action.ACTION_CREDENTIAL_UNDELIVERED if came_back else Action.ACTION_LETTER_CHANGED
    return await change_credential(credential, changed, action, order=order, ports=ports)


async def change_credential(
    credential: str,
    change: Callable[[Access], Access],
    action: Action,
    *,
    order: Order,
    ports: Ports,
) -> Stored[Access]:
    """Applies a change to the newest version.

    Raises NotFound, TenantClosed, CredentialOver, ChangeNotPossible, ChangedMeanwhile.
    """
    records, deed = ports.access.of(order.by.tenant), order.deed(action, credential)
    for _ in range(ports.settings.write_tries_max):
        stored = await reachable(credential, action, order=order, ports=ports)
        async with refusal_told(ports.deeds, deed, ChangeNotPossible):
            changed = change(stored.record)
        beside = tuple(fact_alone(fact) for fact in _facts(stored, changed))
        try:
            return await ports.deeds.write(
                deed,
                lambda event, stored=stored, changed=changed, beside=beside: (  # type: ignore[misc]
                    records.replace(stored, changed, pending=(event, *beside))
                ),
            )
        except VersionConflict:
            continue
    raise ChangedMeanwhile


async def reachable(
    credential: str, action: Action, *, order: Order, ports: Ports
) -> Stored[Access]:
    """The credential, if it is theirs to change so. Raises NotFound, TenantClosed, CredentialOver.

    Where it is not, that they tried is recorded.
    """
    refusals = (NotFound, TenantClosed, CredentialOver)
    async with refusal_told(ports.deeds, order.deed(action, credential), *refusals):
        return await _reachable(credential, order=order, ports=ports)


async def _reachable(credential: str, *, order: Order, ports: Ports) -> Stored[Access]:
    tenant = await tenant_of(order.by.tenant, ports=ports)
    stored = await ports.access.of(order.by.tenant).get(credential)
    if stored is None or not _may_change(stored.record, order.by):
        raise NotFound
    if not tenant.record.open:
        raise TenantClosed
    if stored.record.state in OVER:
        raise CredentialOver
    return stored


def without_answers(access: Access) -> Access:
    """No answer kept for retries may tell a PIN that does not hold any more."""
    recordings = tuple(replace(recording, answer=None) for recording in access.recordings)
    return replace(access, recordings=recordings)


def _may_change(access: Access, by: Principal) -> bool:
    if by.role is Role.PARTNER:
        return access.partner == by.id
    return any(within(recording, by) for recording in access.recordings)


def within(recording: Recording, by: Principal) -> bool:
    """Whether the recording lies in the scope somebody acts in."""
    return (not by.department or by.department == recording.department) and (
        not by.project or by.project == recording.project
    )


def _facts(stored: Stored[Access], changed: Access) -> list[RecordingChanged]:
    if changed.letter is stored.record.letter:
        return []
    return [
        RecordingChanged.of(stored.tenant, recording, changed.letter)
        for recording in changed.recordings
    ]
