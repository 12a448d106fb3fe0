"""Releasing a key: one recording, one listening, one lease; recorded before the key leaves.

A release is granted once for a listening; other instances that play the same listening join it.
Each gives it back for itself, and with the last one it ends: where a listener's requests go to
many instances, one of them falls idle while the others play on. Renewing checks everything again,
so that after erasing, logging out or a re-issue access ends within a lease everywhere.
"""

from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from voicefile.auth.errors import UnusableKey
from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import Busy, NotHearable, ReleaseOver
from voicefile.auth.listening.access_metrics import releases, releases_counted
from voicefile.auth.listening.access_store import Instance, Release
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.list_hearable import details_of
from voicefile.auth.listening.listeners import (
    Listener,
    access_of,
    holder_of,
    listener_of,
    listener_with_purpose,
    recording_of,
)
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.stamped import Kept
from voicefile.auth.store import Access, Recording, RecordingDetails
from voicefile.auth.tampering import tampering_told
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.errors import Malformed
from voicefile.crypto.primitives import seal_to, sha256
from voicefile.crypto.secret import SecretKey
from voicefile.deeds.deed import Action, Deed
from voicefile.docstore.port import DocumentExists, PendingEvent, VersionConflict
from voicefile.identity.ids import PLATFORM, new_id

GRACE_S = 60
"""How much longer than its listening a release document is kept."""


@dataclass(frozen=True)
class Wish:
    """What an instance of playback asks for."""

    recording_id: str
    listening: str
    instance_key: bytes
    purpose: str | None
    request_id: str

    @property
    def instance(self) -> bytes:
        """What is kept of the key: enough to know it again."""
        return sha256(self.instance_key)


@dataclass(frozen=True)
class Released:
    """A release and the data key, sealed to the instance that asked."""

    release_id: str
    lease_s: int
    tenant: str
    recording: Recording
    details: RecordingDetails = field(repr=False)
    sealed_key: bytes
    joined: bool


async def release_key(doors: Doors, bearer: str, wish: Wish) -> Released:
    """Raises as `listener_with_purpose`, NotHearable, AuditUnavailable."""
    with releases_counted():
        released = await _released(doors, bearer, wish)
    releases().labels(outcome="joined" if released.joined else "granted").inc()
    return released


async def _released(doors: Doors, bearer: str, wish: Wish) -> Released:
    listener = await listener_with_purpose(
        doors, bearer, purpose=wish.purpose, request_id=wish.request_id
    )
    wished = _deed(listener, Action.ACTION_RELEASE_GRANTED, wish, release="")
    async with refusal_told(doors.ports.deeds, wished, NotHearable):
        access = await access_of(
            doors, listener, request_id=wish.request_id, recording=wish.recording_id
        )
        recording = recording_of(listener, access, wish.recording_id)
    _require_usable(wish.instance_key)
    release, joined = await _granted_or_joined(doors, listener, access, wish)
    return await _sealed(doors, recording, release, wish, joined=joined)


async def renew_release(
    doors: Doors,
    release_id: str,
    *,
    instance_key: bytes,
    request_id: str,
    bearer: str | None = None,
) -> int:
    """The lease's seconds. Raises as `holder_of` and `listener_of` do, NotHearable, ReleaseOver.

    Everything is checked again as the release knows it. A bearer, which must be its holder's,
    shows beside that its holder is there still.
    """
    shown = None if bearer is None else await listener_of(doors, bearer, request_id=request_id)
    for _ in range(doors.settings.access_write_tries_max):
        kept = await _known(doors, release_id, shown, request_id=request_id)
        release = kept.record if shown is None else _vouched(doors, kept.record)
        instance = sha256(instance_key)
        if release.ended or not _has(release, instance):
            raise ReleaseOver
        listener = await holder_of(doors, release, request_id=request_id)
        try:
            access = await access_of(
                doors, listener, request_id=request_id, credential=release.credential
            )
            recording_of(listener, access, release.recording)
        except NotHearable:
            raise ReleaseOver from None
        try:
            await doors.releases.replace(kept, _leased(doors, release, instance))
        except VersionConflict:
            continue
        return doors.settings.lease_s
    raise Busy


async def end_release(
    doors: Doors, release_id: str, *, instance_key: bytes, bytes_sent: int, request_id: str
) -> None:
    """The listening is over here, says an instance that has its key; saying it twice is as well.

    How it ended is playback's deed. That its key came back, and after how many bytes, is told
    here beside: neither of the two can be taken from the log, or made smaller, for itself.
    """
    instance = sha256(instance_key)
    for _ in range(doors.settings.access_write_tries_max):
        async with tampering_told(
            doors.ports.deeds,
            tenant=PLATFORM,
            object_id=release_id,
            request_id=request_id,
            instead=NotHearable,
        ):
            kept = await doors.releases.get(release_id)
        if kept is None or kept.record.ended or not _has(kept.record, instance):
            return
        try:
            await doors.ports.deeds.write(
                access_deeds.returned(kept, bytes_sent, request_id),
                partial(_give_back, doors, kept, instance),
            )
        except VersionConflict:
            continue
        return
    raise Busy


async def _granted_or_joined(
    doors: Doors, listener: Listener, access: Stored[Access], wish: Wish
) -> tuple[Kept[Release], bool]:
    name = _name_of(listener, wish)
    for _ in range(doors.settings.access_write_tries_max):
        try:
            kept = await _living(doors, listener, wish, name)
            if kept is None:
                await doors.gate.pass_through()
                return await _granted(doors, listener, access, wish, name), False
            if not _may_go_on(doors, kept.record.leased_until_s):
                await doors.releases.replace(kept, _ended(kept, kept.record))
                continue
            return await _joined(doors, listener, kept, wish), True
        except (DocumentExists, VersionConflict):
            continue  # Another instance was first with this listening: look again.
    raise Busy


async def _known(
    doors: Doors, release_id: str, shown: Listener | None, *, request_id: str
) -> Kept[Release]:
    """The release. Raises NotHearable for none, and for another's than who was shown."""
    async with tampering_told(
        doors.ports.deeds,
        tenant=PLATFORM if shown is None else shown.tenant,
        object_id=release_id,
        request_id=request_id,
        instead=NotHearable,
    ):
        kept = await doors.releases.get(release_id)
    if kept is None:
        raise NotHearable
    release = kept.record
    if shown is not None and (
        (release.tenant, release.holder, release.role) != (shown.tenant, shown.id, shown.role)
    ):
        raise NotHearable
    return kept


async def _living(doors: Doors, listener: Listener, wish: Wish, name: str) -> Kept[Release] | None:
    """The release of this listening, if it has one."""
    async with tampering_told(
        doors.ports.deeds,
        tenant=listener.tenant,
        object_id=wish.recording_id,
        request_id=wish.request_id,
        instead=NotHearable,
    ):
        return await doors.releases.find_one("listening", name)


async def _granted(
    doors: Doors, listener: Listener, access: Stored[Access], wish: Wish, name: str
) -> Kept[Release]:
    now_s = int(doors.ports.now_s())
    release = _leased(
        doors,
        Release(
            tenant=listener.tenant,
            listening=name,
            holder=listener.id,
            role=listener.role,
            credential=access.id,
            recording=wish.recording_id,
            purpose=access_deeds.purpose_of(wish.purpose),
            opened_at_s=now_s,
            leased_until_s=now_s,
            expires_at_s=now_s,
            instances=(),
            session="" if listener.session is None else listener.session.id,
            vouched_until_s=0,
        ),
        wish.instance,
    )
    release = _vouched(doors, release)
    release_id = new_id()
    # Record before release: the document with its deed is durable before the key is even opened.
    return await doors.ports.deeds.write(
        _deed(listener, Action.ACTION_RELEASE_GRANTED, wish, release=release_id),
        lambda event: doors.releases.insert(release_id, release, pending=(event,)),
    )


async def _joined(
    doors: Doors, listener: Listener, kept: Kept[Release], wish: Wish
) -> Kept[Release]:
    release = _vouched(doors, _leased(doors, kept.record, wish.instance))
    if _has(kept.record, wish.instance):
        # The same instance asks again, for an answer it did not get: recorded already.
        return await doors.releases.replace(kept, release)
    return await doors.ports.deeds.write(
        _deed(listener, Action.ACTION_RELEASE_JOINED, wish, release=kept.id),
        lambda event: doors.releases.replace(kept, release, pending=(event,)),
    )


async def _sealed(
    doors: Doors, recording: Recording, kept: Kept[Release], wish: Wish, *, joined: bool
) -> Released:
    custody, tenant = doors.ports.custody, kept.record.tenant
    context = Context(
        custody.deployment,
        tenant,
        object_id(recording.id, "slip"),
        Kind.WRAPPED_KEY,
        wrapping_key=kept.id.encode(),
    )
    key = await custody.slip_key(tenant, recording.id, recording.slip)
    return Released(
        release_id=kept.id,
        lease_s=doors.settings.lease_s,
        tenant=tenant,
        recording=recording,
        details=await details_of(custody, tenant, recording),
        sealed_key=seal_to(wish.instance_key, context.encode(), key),
        joined=joined,
    )


async def _give_back(
    doors: Doors, kept: Kept[Release], instance: bytes, event: PendingEvent
) -> None:
    """One instance has done; the release ends unless another one may still be playing."""
    others = _others(doors, kept.record, instance)
    left = replace(kept.record, instances=others)
    left = left if others else _ended(kept, left)
    await doors.releases.replace(kept, left, pending=(event,))


def _ended(kept: Kept[Release], release: Release) -> Release:
    return replace(release, ended=True, listening=kept.id)


def _has(release: Release, instance: bytes) -> bool:
    return any(each.key == instance for each in release.instances)


def _others(doors: Doors, release: Release, instance: bytes) -> tuple[Instance, ...]:
    """The other instances that may still play; one that died is forgotten like an idle one."""
    return tuple(
        each
        for each in release.instances
        if each.key != instance and _may_go_on(doors, each.leased_until_s)
    )


def _may_go_on(doors: Doors, leased_until_s: int) -> bool:
    """Whether a lease that lapsed may still be renewed: a pause is not yet the end."""
    return leased_until_s + doors.settings.listening_idle_s > doors.ports.now_s()


def _leased(doors: Doors, release: Release, instance: bytes) -> Release:
    until_s = int(doors.ports.now_s()) + doors.settings.lease_s
    kept_s = doors.settings.listening_idle_s + GRACE_S
    return replace(
        release,
        instances=(*_others(doors, release, instance), Instance(instance, until_s)),
        leased_until_s=until_s,
        expires_at_s=until_s + kept_s,
    )


def _vouched(doors: Doors, release: Release) -> Release:
    """A token was seen just now: as long as one may live, the listening goes on without."""
    until_s = int(doors.ports.now_s()) + doors.ports.settings.staff_token_s
    return replace(release, vouched_until_s=until_s)


def _require_usable(instance_key: bytes) -> None:
    """Raises UnusableKey; better before a release is recorded than after."""
    try:
        seal_to(instance_key, b"", SecretKey.random())
    except Malformed:
        raise UnusableKey from None


def _name_of(listener: Listener, wish: Wish) -> str:
    """One listener's own: nobody joins another's listening by naming it the same."""
    purpose = wish.purpose or ""
    parts = (listener.tenant, listener.role, listener.id, purpose, wish.recording_id)
    return sha256("\0".join((*parts, wish.listening)).encode()).hex()


def _deed(listener: Listener, action: Action, wish: Wish, *, release: str) -> Deed:
    return Deed(
        actor=listener.actor,
        action=action,
        tenant=listener.tenant,
        object_id=wish.recording_id,
        purpose=access_deeds.purpose_of(wish.purpose),
        request_id=wish.request_id,
        # By it the log ties the end of the listening, which names nothing else, to the recording.
        related_id=release,
    )
