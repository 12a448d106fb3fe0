"""Asking: one person wants something erased before its time. Nothing happens until another agrees.

What is asked for lapses after a while by itself, and can be taken back before.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from voicefile.auth.credentials.change_credential import Order, within
from voicefile.auth.erasing.certificate import What
from voicefile.auth.erasing.erasing_store import ErasureAsked
from voicefile.auth.erasing.hold import reachable
from voicefile.auth.errors import ChangeNotPossible, NotFound
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import VersionConflict
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Role


@dataclass(frozen=True)
class Wish:
    """What is to be erased."""

    what: What
    object: str


async def ask(wish: Wish, *, order: Order, ports: Ports) -> Stored[ErasureAsked]:
    """Raises NotFound, ChangeNotPossible (it is erased already, or the tenant is closed)."""
    erasure = new_id()
    deed = deed_of(Action.ACTION_ERASURE_ASKED, wish.object, erasure, order=order)
    async with refusal_told(ports.deeds, deed, NotFound, ChangeNotPossible):
        await _require(wish, order=order, ports=ports)
    now_s = int(ports.now_s())
    asked = ErasureAsked(
        what=wish.what.value,
        object=wish.object,
        asked_by=order.by.id,
        asked_at_s=now_s,
        expires_at_s=now_s + ports.settings.erasure_confirm_s,
        purpose=order.purpose,
    )
    records = ports.erasures.of(order.by.tenant)
    return await ports.deeds.write(
        deed, lambda event: records.insert(erasure, asked, pending=(event,))
    )


async def withdraw(erasure: str, *, order: Order, ports: Ports) -> None:
    """By anybody who might have asked: it only keeps something. Raises NotFound."""
    deed = deed_of(Action.ACTION_ERASURE_WITHDRAWN, "", erasure, order=order)
    async with refusal_told(ports.deeds, deed, NotFound):
        stored = await asked_for(erasure, order=order, ports=ports)
    # Recorded first: a deed of a withdrawal that then failed says too much, never too little.
    await ports.deeds.record(
        deed_of(Action.ACTION_ERASURE_WITHDRAWN, stored.record.object, erasure, order=order)
    )
    with suppress(VersionConflict):  # withdrawn by another at the same moment, or confirmed
        await ports.erasures.of(order.by.tenant).delete(stored)


async def pending(*, order: Order, ports: Ports) -> AsyncIterator[Stored[ErasureAsked]]:
    """What waits for a second person, of the asker's tenant."""
    async for stored in ports.erasures.of(order.by.tenant).all():
        if stored.record.expires_at_s > ports.now_s():
            yield stored


async def asked_for(erasure: str, *, order: Order, ports: Ports) -> Stored[ErasureAsked]:
    """What was asked, unless it lapsed. Raises NotFound."""
    stored = await ports.erasures.of(order.by.tenant).get(erasure)
    if stored is None or stored.record.expires_at_s <= ports.now_s():
        raise NotFound
    return stored


def deed_of(action: Action, object_id: str, erasure: str, *, order: Order) -> Deed:
    """The deed of asking, or of taking it back; related: the request."""
    return Deed(
        actor=Actor.of(order.by),
        action=action,
        tenant=order.by.tenant,
        object_id=object_id,
        purpose=order.purpose,
        request_id=order.request_id,
        related_id=erasure,
    )


async def _require(wish: Wish, *, order: Order, ports: Ports) -> None:
    """That it is there, theirs, and not erased yet."""
    if wish.what is What.TENANT:
        await _require_tenant(wish, order=order, ports=ports)
        return
    if wish.what is What.RECORDING:
        issued = await reachable(wish.object, order=order, ports=ports)
        if issued.recording.erased:
            raise ChangeNotPossible
        return
    stored = await ports.access.of(order.by.tenant).get(wish.object)
    # All that a customer has, so all of it has to be in the scope of whoever asks.
    if stored is None or not all(
        each.erased or within(each, order.by) for each in stored.record.recordings
    ):
        raise NotFound
    if all(each.erased for each in stored.record.recordings):
        raise ChangeNotPossible


async def _require_tenant(wish: Wish, *, order: Order, ports: Ports) -> None:
    tenant = await tenant_of(order.by.tenant, ports=ports)
    if wish.object != order.by.tenant or order.by.role is not Role.TENANT_ADMIN:
        raise NotFound
    if not tenant.record.open:
        raise ChangeNotPossible
