"""Receiving: one voice file from the socket to the answer that it is decided.

The order of writes is the promise. Reservation, then blobs, then auth's one write that issues
access, then the mark. A crash between any two leaves what a retry or the sweeper can mend, never
a recording without its key or an answer without its recording.
"""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import structlog

from voicefile.crypto.secret import DataKey, SecretText
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.identity.principal import Principal
from voicefile.ingest.ask_auth import Who
from voicefile.ingest.errors import (
    AnswerExpired,
    AuthUnavailable,
    AuthUnreachable,
    IngestError,
    IngestRefused,
    KeyReused,
    RecordingGone,
)
from voicefile.ingest.issue import Issuing, issue
from voicefile.ingest.mark import Marking, mark_issued
from voicefile.ingest.media.decoder import DecodeLimits, Decoders
from voicefile.ingest.media.errors import MediaRefused
from voicefile.ingest.metrics import uploads
from voicefile.ingest.multipart import Upload
from voicefile.ingest.places import Places
from voicefile.ingest.reservations import Claim, Hold, idempotency_key
from voicefile.ingest.schemas import Answer, Metadata, parse_metadata
from voicefile.ingest.seal import hashed
from voicefile.ingest.seal_recording import SealedRecording, seal_recording
from voicefile.ingest.store import Reservation, SealingKey
from voicefile.ingest.tenants import Tenants, check_metadata, check_open, within

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Arrival:
    """A request as it stands at the door."""

    by: Principal
    request_id: str
    content_type: str
    body: AsyncIterator[bytes] = field(repr=False)
    idempotency_key: str | None = field(repr=False)


@dataclass(frozen=True)
class Desk:
    """What receiving needs: what issuing and marking need, and a decoder and places."""

    issuing: Issuing
    marking: Marking
    tenants: Tenants
    decoders: Decoders
    places: Places
    now_s: Callable[[], float]

    async def issued(self, reservation: Reservation, *, key: SecretText) -> bool:
        """Whether auth has issued what this reservation stands for."""
        who = Who(reservation.tenant, reservation.client)
        try:
            kept = await self.issuing.auth.answer(
                reservation.recording, who=who, key=key, digest=None
            )
        except AnswerExpired:
            return True
        return kept is not None


@dataclass(frozen=True)
class _Order:
    """One upload by somebody under one key."""

    by: Principal
    request_id: str
    key: SecretText
    upload: Upload


async def receive(arrival: Arrival, *, desk: Desk) -> Answer:
    """Takes one voice file in, or finds that it is in already. Raises IngestError, MediaError."""
    with _counted():
        return await _told_if_refused(arrival, desk=desk)


@contextmanager
def _counted() -> Iterator[None]:
    """Counts what came to no end here; what did is counted where it is known as what."""
    try:
        yield
    except (IngestRefused, MediaRefused):
        uploads().labels(outcome="refused").inc()
        raise
    except Exception:
        uploads().labels(outcome="undecided").inc()
        raise


async def _told_if_refused(arrival: Arrival, *, desk: Desk) -> Answer:
    subject: list[str] = []
    try:
        return await _received(arrival, desk=desk, subject=subject)
    except (IngestRefused, MediaRefused):
        await desk.marking.deeds.record(
            Deed(
                actor=Actor.of(arrival.by),
                action=Action.ACTION_UPLOAD_REFUSED,
                tenant=arrival.by.tenant,
                object_id=subject[0] if subject else "",
                outcome=Outcome.OUTCOME_REFUSED,
                request_id=arrival.request_id,
            )
        )
        raise


async def _received(arrival: Arrival, *, desk: Desk, subject: list[str]) -> Answer:
    key = idempotency_key(arrival.idempotency_key)
    settings = desk.issuing.settings
    upload = Upload(arrival.body, arrival.content_type, settings=settings)
    order = _Order(by=arrival.by, request_id=arrival.request_id, key=key, upload=upload)
    reservations = desk.marking.reservations
    claim = await reservations.claim(
        key, by=arrival.by, issued=lambda found: desk.issued(found, key=key)
    )
    subject.append(claim.reservation.recording)
    try:
        return await _worked(order, claim, desk=desk)
    finally:
        reservations.pass_on(claim.reservation.id)


async def _worked(order: _Order, claim: Claim, *, desk: Desk) -> Answer:
    settings = desk.issuing.settings
    if claim.issued:
        async with desk.places.taken(order.by, wait_s=settings.duplicate_wait_s):
            answer = await _answer_again(order, claim.reservation, desk=desk)
        uploads().labels(outcome="repeated").inc()
        return answer
    hold = Hold(
        claim.reservation,
        reservations=desk.marking.reservations,
        settings=settings,
        now_s=desk.now_s,
    )
    place = desk.places.taken(order.by, wait_s=settings.upload_queue_s)
    async with _undone_if_failed(hold, desk=desk), place:
        ready = await _take_in(order, hold, desk=desk)
    answer = await _issue(order, ready, hold, desk=desk)
    held = hold.reservation
    await mark_issued(held, request_id=order.request_id, at=desk.marking, sole=held.attempt == 1)
    uploads().labels(outcome="stored").inc()
    log.info("recording_stored", recording=held.recording, bytes=ready.sealed.original.plain_bytes)
    return answer


@dataclass(frozen=True)
class _Ready:
    """Everything durable and checked; only auth's word is missing."""

    metadata: Metadata
    digest: bytes
    sealed: SealedRecording
    key: DataKey
    to: SealingKey


async def _take_in(order: _Order, hold: Hold, *, desk: Desk) -> _Ready:
    tenant = order.by.tenant
    facts = await desk.tenants.known(tenant)
    check_open(facts)
    to = await desk.issuing.keys.check(tenant, facts.sealing_key)
    said = parse_metadata(await order.upload.metadata(), now_s=desk.now_s())
    metadata = within(order.by, said)
    check_metadata(facts, metadata)
    key = DataKey.random()
    sealed = await seal_recording(
        order.upload.audio(),
        key=key,
        hold=hold,
        blobs=desk.marking.blobs,
        decoders=desk.decoders,
        deployment=desk.issuing.deployment,
        limits=DecodeLimits(duration_max_s=desk.issuing.settings.duration_max_s),
    )
    digest = said.request_digest(sealed.original.sha256)
    return _Ready(metadata=metadata, digest=digest, sealed=sealed, key=key, to=to)


async def _issue(order: _Order, ready: _Ready, hold: Hold, *, desk: Desk) -> Answer:
    wanted = {
        "recording_id": hold.reservation.recording,
        "tenant": order.by.tenant,
        "partner": order.by.id,
        "idempotency_key": order.key.expose(),
        "request_digest": base64.b64encode(ready.digest).decode(),
        "metadata": ready.metadata.model_dump(mode="json", exclude_none=True),
        "request_id": order.request_id,
        **ready.sealed.as_ordered(),
    }
    try:
        return await issue(wanted, key=ready.key, to=ready.to, hold=hold, at=desk.issuing)
    except Exception as error:
        surely_not = isinstance(error, IngestError) and not isinstance(error, AuthUnavailable)
        if surely_not or isinstance(error, AuthUnreachable):
            await _undo(hold, desk=desk)
        else:
            # It may have been issued with these blobs: they stay, and a retry asks auth first.
            await desk.marking.reservations.let_go(hold.reservation)
        raise


async def _answer_again(order: _Order, reservation: Reservation, *, desk: Desk) -> Answer:
    """The answer given before, if this is the same upload; its bytes are read and not kept."""
    said = parse_metadata(await order.upload.metadata(), now_s=desk.now_s())
    digest = said.request_digest(await hashed(order.upload.audio()))
    who = Who(order.by.tenant, order.by.id)
    kept = await desk.issuing.auth.answer(
        reservation.recording, who=who, key=order.key, digest=digest
    )
    if kept is None:
        raise RecordingGone
    if kept.matches is not True:
        raise KeyReused
    if reservation.marked:
        # The PIN leaves once more, so that is a deed of its own.
        await desk.marking.deeds.record(
            Deed(
                actor=Actor.of(order.by),
                action=Action.ACTION_RECORDING_READ,
                tenant=order.by.tenant,
                object_id=reservation.recording,
                request_id=order.request_id,
            )
        )
    else:
        await mark_issued(reservation, request_id=order.request_id, at=desk.marking)
    return kept.answer


@asynccontextmanager
async def _undone_if_failed(hold: Hold, *, desk: Desk) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        # Refused, cut off, shut down: auth was not asked, so nobody points to these blobs.
        await _undo(hold, desk=desk)
        raise


async def _undo(hold: Hold, *, desk: Desk) -> None:
    held = hold.reservation
    try:
        for name in held.blobs.values():
            await desk.marking.blobs.delete(name)
        if held.attempt == 1:
            await desk.marking.reservations.free(held)
        else:
            # An earlier attempt may still be on its way to auth: the key keeps its recording id.
            await desk.marking.reservations.let_go(held)
    except Exception:
        # The refusal is the news; what could not be tidied up now the sweeper finds.
        log.exception("undo_failed", recording=held.recording)
