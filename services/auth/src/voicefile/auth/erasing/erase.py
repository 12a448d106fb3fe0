"""Erasing: one write destroys a recording's slip, and what only its key could open goes with it.

With the customer's last recording goes the customer: key, fields, verifier, question, tokens, and
the access ID's entry in the directory. The deed, the certificate and what others are told stand in
the same write: there is no erasure without a record, and none that is recorded and did not happen.

Killed between that write and the directory's, the document says so to the next `expire`. Done
twice it does nothing more: an erased recording is never alive again, whoever says what about it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from voicefile.auth.erasing import left, remains
from voicefile.auth.erasing.certificate import (
    Shredded,
    What,
    Why,
    commitment,
    shred_certificate,
)
from voicefile.auth.events import AccessErased, Fact, RecordingChanged
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.issuing.directory import Claim
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import Access, CredentialState, Recording
from voicefile.crypto.errors import UnknownKey
from voicefile.crypto.keyring import EPOCH_LIFE_MAX_S, IdentityKey
from voicefile.deeds.deed import Action, Actor, Deed, Purpose
from voicefile.docstore.port import VersionConflict
from voicefile.identity.ids import new_id
from voicefile.translog.origin import origin_of

Wanted = Callable[[Recording], bool]


@dataclass(frozen=True)
class Order:
    """Who erases, why, and upon whose asking."""

    by: Actor
    why: Why
    purpose: Purpose = Purpose.PURPOSE_UNSPECIFIED
    asked: str = ""
    """The id of the request that was confirmed."""
    request_id: str = ""


@dataclass(frozen=True)
class Erased:
    """What an order came to."""

    recordings: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    """Wanted, and not erased: a hold, or the customer's objection, stands against it."""
    customer: bool = False
    """The customer's record is gone as well."""


@dataclass(frozen=True)
class _Doomed:
    recording: Recording
    deed: Deed
    remains: Recording


async def erase(stored: Stored[Access], wanted: Wanted, *, order: Order, ports: Ports) -> Erased:
    """What is wanted of one customer's, but for what is held. Raises VersionConflict."""
    living = [each for each in stored.record.recordings if not each.erased]
    chosen = [each for each in living if wanted(each)]
    held = tuple(each.id for each in chosen if each.held)
    going = [each for each in chosen if not each.held]
    if going:
        last = len(going) == len(living)
        doomed = [await _doomed(stored, each, last, order=order, ports=ports) for each in going]
        stored = await _write(stored, doomed, last=last, order=order, ports=ports)
    await finish(stored, ports=ports)
    gone = stored.record.state is CredentialState.ERASED
    return Erased(tuple(each.id for each in going), held, gone)


async def finish(stored: Stored[Access], *, ports: Ports) -> None:
    """The directory's entry, once the document that it led to is nobody's any more."""
    access = stored.record
    if access.state is not CredentialState.ERASED or not access.locator:
        return
    await ports.directory.release(access.locator, Claim(stored.tenant, stored.id))
    with suppress(VersionConflict):  # done by somebody else, or the next round does it
        await ports.access.of(stored.tenant).replace(stored, remains.without_locator(access))


async def _doomed(
    stored: Stored[Access], recording: Recording, last: bool, *, order: Order, ports: Ports
) -> _Doomed:
    at_ms, deed_id, tenant = int(ports.now_s() * 1000), new_id(), stored.tenant
    certificate = shred_certificate(
        Shredded(
            what=What.CUSTOMER if last else What.RECORDING,
            tenant=tenant,
            recording=recording.id,
            erased_at_ms=at_ms,
            why=order.why,
            deed=deed_id,
            keys_end_by_s=await _keys_end_by_s(stored, recording, ports=ports),
        ),
        issuer=ports.deployment,
        log=origin_of(ports.deployment, tenant),
        signer=await ports.custody.receipt_signer(tenant),
    )
    deed = Deed(
        actor=order.by,
        action=Action.ACTION_RECORDING_ERASED,
        tenant=tenant,
        object_id=recording.id,
        purpose=order.purpose,
        request_id=order.request_id,
        related_id=order.asked,
        commitment=commitment(certificate),
        deed_id=deed_id,
        at_ms=at_ms,
    )
    on = day_of(at_ms)
    return _Doomed(recording, deed, remains.of_recording(recording, on=on, certificate=certificate))


async def _keys_end_by_s(stored: Stored[Access], recording: Recording, *, ports: Ports) -> int:
    """When the epoch ends that wrapped the slip: an older copy of it was wrapped under an older."""
    namespace = await ports.custody.namespace(stored.tenant)
    try:
        opened_at_s = namespace.epoch(recording.slip.epoch).opened_at_s
    except UnknownKey:
        # Another instance opened it since this one looked; it can't end later than this.
        opened_at_s = int(ports.now_s())
    return opened_at_s + EPOCH_LIFE_MAX_S


async def _write(
    stored: Stored[Access], doomed: Sequence[_Doomed], *, last: bool, order: Order, ports: Ports
) -> Stored[Access]:
    kept = {each.recording.id: each.remains for each in doomed}
    recordings = [kept.get(each.id, each) for each in stored.record.recordings]
    if last:
        changed = remains.of_customer(stored.record, recordings)
    else:
        living = [each for each in recordings if not each.erased]
        tokens = await remains.tokens_left(stored, living, ports=ports)
        changed = replace(stored.record, recordings=tuple(recordings), tokens=tokens)
    identity = await ports.custody.identity(stored.tenant)
    deeds: list[tuple[Deed, Fact | None]] = [
        (each.deed, _recording_erased(stored, each, identity)) for each in doomed
    ]
    if last:
        deeds.append(_customer_erased(stored, changed, order, apart=list(kept), identity=identity))
    records = ports.access.of(stored.tenant)
    return await ports.deeds.write_many(
        deeds, lambda events: records.replace(stored, changed, pending=events)
    )


def _recording_erased(
    stored: Stored[Access], doomed: _Doomed, identity: IdentityKey
) -> RecordingChanged:
    # With what it had: copies of that are to go elsewhere, too, and its remains name nothing.
    blobs = tuple(blob.name for blob in doomed.recording.blobs.values())
    told = left.of_recording(doomed.remains, tenant=stored.tenant, identity=identity)
    letter = stored.record.letter
    return RecordingChanged.of(stored.tenant, doomed.remains, letter, blobs=blobs, left=told)


def _customer_erased(
    stored: Stored[Access],
    changed: Access,
    order: Order,
    *,
    apart: Sequence[str],
    identity: IdentityKey,
) -> tuple[Deed, Fact]:
    deed = Deed(
        actor=order.by,
        action=Action.ACTION_CUSTOMER_ERASED,
        tenant=stored.tenant,
        object_id=stored.id,
        purpose=order.purpose,
        request_id=order.request_id,
        related_id=order.asked,
    )
    told = left.of_customer(
        changed, apart=apart, tenant=stored.tenant, credential=stored.id, identity=identity
    )
    return deed, AccessErased(stored.tenant, stored.id, told)
