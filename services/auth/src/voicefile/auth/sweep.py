"""Sweeping: what ran out goes away, and what a crash left half done."""

from msgspec.structs import replace

from voicefile.auth.erasing.erasing_store import ERASURES
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged, Stored
from voicefile.auth.settings import CLOCKS_APART_S_MAX
from voicefile.auth.store import ACCESS, ASSERTIONS, Access
from voicefile.docstore.port import Collection, VersionConflict

BATCH_DOCUMENTS = 100


async def sweep(ports: Ports) -> int:
    """One round; answers how many things it dealt with."""
    return (
        await sweep_answers(ports)
        + await sweep_claims(ports)
        + await sweep_assertions(ports)
        + await sweep_erasures(ports)
    )


async def sweep_answers(ports: Ports) -> int:
    """Removes answers whose time is over: sealed or not, they hold PINs."""
    now_s, done = int(ports.now_s()), 0
    for document in await ports.store.due(ACCESS, "answer", now_s, limit=BATCH_DOCUMENTS):
        try:
            stored = await ports.access.believe(document)
        except RecordForged:
            continue  # told by the scrub; it must not keep the answers of others alive
        try:
            await ports.access.of(stored.tenant).replace(stored, _without_expired(stored, now_s))
        except VersionConflict:
            continue  # changed meanwhile: the next round finds what is still due
        done += 1
    return done


def _without_expired(stored: Stored[Access], now_s: int) -> Access:
    recordings = tuple(
        replace(recording, answer=None)
        if recording.answer is not None and recording.answer.expires_at_s <= now_s
        else recording
        for recording in stored.record.recordings
    )
    return replace(stored.record, recordings=recordings)


async def sweep_claims(ports: Ports) -> int:
    """Gives back claimed access IDs that no credential was written for."""
    until_s = int(ports.now_s()) - ports.settings.claim_max_s
    done = 0
    for locator, claim in await ports.directory.claimed_until(until_s, limit=BATCH_DOCUMENTS):
        if await ports.store.get(ACCESS, claim.credential) is None:
            await ports.directory.release(locator, claim)
        else:
            await ports.directory.confirm(locator, claim)
        done += 1
    return done


async def sweep_assertions(ports: Ports) -> int:
    """Forgets client assertions that have expired: they are refused without being remembered."""
    # Expired by every instance's clock: where one is behind, it would take them a second time.
    expired_s = int(ports.now_s()) - CLOCKS_APART_S_MAX
    return await _swept(ASSERTIONS, expired_s, ports=ports)


async def sweep_erasures(ports: Ports) -> int:
    """Forgets what somebody asked to have erased, and nobody confirmed."""
    return await _swept(ERASURES, int(ports.now_s()), ports=ports)


async def _swept(collection: Collection, until_s: int, *, ports: Ports) -> int:
    expired = await ports.store.due(collection, "expires", until_s, limit=BATCH_DOCUMENTS)
    for document in expired:
        try:
            await ports.store.delete(collection, document)
        except VersionConflict:
            continue
    return len(expired)
