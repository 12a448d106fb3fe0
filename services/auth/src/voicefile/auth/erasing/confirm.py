"""Confirming: the second person types what goes, and then it goes.

Never who asked; never after it lapsed, or after who asked was removed. What a hold, the law or the
customer's objection keeps is not erased by two people either: they are told what stands against it.
"""

from contextlib import suppress
from dataclasses import dataclass, field

from voicefile.auth.credentials.change_credential import Order, within
from voicefile.auth.erasing.ask import asked_for
from voicefile.auth.erasing.certificate import What, Why
from voicefile.auth.erasing.erase import Erased, Wanted, erase
from voicefile.auth.erasing.erase import Order as EraseOrder
from voicefile.auth.erasing.erasing_store import ErasureAsked
from voicefile.auth.errors import (
    ChangedMeanwhile,
    ConfirmationMistyped,
    KeptByLaw,
    NotFound,
    RecordingHeld,
    SecondPersonRequired,
)
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Access, Recording
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import VersionConflict

TYPED_CHARS = 8
"""So much of the id has to be typed: nobody agrees by a click."""
_REFUSALS = (NotFound, SecondPersonRequired, ConfirmationMistyped, RecordingHeld, KeptByLaw)


@dataclass(frozen=True)
class Confirmed:
    """What came of it."""

    what: What
    erased: Erased = field(default_factory=Erased)
    delete_on: str = ""
    """A tenant's: closed now, and erased on this day."""


async def confirm(erasure: str, typed: str, *, order: Order, ports: Ports) -> Confirmed:
    """Raises NotFound, SecondPersonRequired, ConfirmationMistyped, RecordingHeld, KeptByLaw."""
    refused = Deed(
        actor=Actor.of(order.by),
        action=Action.ACTION_RECORDING_ERASED,
        tenant=order.by.tenant,
        request_id=order.request_id,
        related_id=erasure,
    )
    async with refusal_told(ports.deeds, refused, *_REFUSALS):
        stored = await _confirmable(erasure, typed, order=order, ports=ports)
        confirmed = await _done(stored, order=order, ports=ports)
    # After it is done: killed in between, confirming again finds nothing left to do.
    with suppress(VersionConflict):  # the other of two who confirmed at once was quicker
        await ports.erasures.of(order.by.tenant).delete(stored)
    return confirmed


async def _confirmable(
    erasure: str, typed: str, *, order: Order, ports: Ports
) -> Stored[ErasureAsked]:
    stored = await asked_for(erasure, order=order, ports=ports)
    first = await ports.principals.of(order.by.tenant).get(stored.record.asked_by)
    if first is None or not first.record.active:
        raise NotFound
    if stored.record.asked_by == order.by.id:
        raise SecondPersonRequired
    if typed != stored.record.object[:TYPED_CHARS]:
        raise ConfirmationMistyped
    return stored


async def _done(asked: Stored[ErasureAsked], *, order: Order, ports: Ports) -> Confirmed:
    what = What(asked.record.what)
    if what is What.TENANT:
        delete_on = await close_tenant(
            asked.record.object,
            by=Actor.of(order.by),
            asked=asked.id,
            request_id=order.request_id,
            ports=ports,
        )
        return Confirmed(what, delete_on=delete_on)
    for _ in range(ports.settings.write_tries_max):
        access = await _access(asked, ports=ports)
        try:
            return Confirmed(what, await _erased(access, asked, order=order, ports=ports))
        except VersionConflict:
            continue
    raise ChangedMeanwhile


async def _access(asked: Stored[ErasureAsked], *, ports: Ports) -> Stored[Access]:
    records, what = ports.access.of(asked.tenant), What(asked.record.what)
    if what is What.RECORDING:
        found = await records.find_one("recording", asked.record.object)
    else:
        found = await records.get(asked.record.object)
    if found is None:
        raise NotFound
    return found


async def _erased(
    access: Stored[Access], asked: Stored[ErasureAsked], *, order: Order, ports: Ports
) -> Erased:
    today = day_of(int(ports.now_s() * 1000))
    whole = What(asked.record.what) is What.CUSTOMER
    chosen = [
        each
        for each in access.record.recordings
        if not each.erased and (whole or each.id == asked.record.object)
    ]
    if not all(within(each, order.by) for each in chosen):
        raise NotFound
    free = {each.id for each in chosen if not (each.held or each.keep_until > today)}
    if chosen and not free:
        raise RecordingHeld if any(each.held for each in chosen) else KeptByLaw
    erased = await erase(access, _among(free), order=_order(asked, order, whole=whole), ports=ports)
    kept = tuple(each.id for each in chosen if each.id not in free)
    return Erased(erased.recordings, (*erased.held, *kept), erased.customer)


def _among(ids: set[str]) -> Wanted:
    def wanted(recording: Recording) -> bool:
        return recording.id in ids

    return wanted


def _order(asked: Stored[ErasureAsked], order: Order, *, whole: bool) -> EraseOrder:
    return EraseOrder(
        by=Actor.of(order.by),
        why=Why.CUSTOMER if whole else Why.EARLY,
        purpose=asked.record.purpose,  # type: ignore[arg-type]  # as it was stored
        asked=asked.id,
        request_id=order.request_id,
    )
