"""Releases and how their listenings ended: each finds its other half, or somebody is told."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.services.audit.conftest import NOW_S, Instance, Keeper, new_id

from voicefile.audit.events import received
from voicefile.audit.indexing import Indexer
from voicefile.audit.metrics import releases_unmatched
from voicefile.audit.releases import ReleaseWatch
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import INDEXED, SEGMENTS, WATCHED, Segment, record_of
from voicefile.contracts.deed.v1 import Action, Deed, Event, Outcome
from voicefile.docstore.port import DocStore
from voicefile.eventbus.port import Event as BusEvent

WITHIN_S = 600


@dataclass
class Watching:
    """A log with its index and the watch over releases, at a time of its own."""

    docs: DocStore
    tenant: str
    keeper: Keeper
    now_s: int = NOW_S
    auth: Instance = field(default_factory=Instance)
    playback: Instance = field(default_factory=Instance)

    def __post_init__(self) -> None:
        settings = AuditSettings(outcome_within_s=WITHIN_S)
        self.watch = ReleaseWatch(self.docs, settings=settings, now_s=lambda: self.now_s)
        self.indexer = Indexer(self.docs, settings=settings, watch=self.watch)

    def granted(self, release: str, outcome: Outcome = Outcome.OUTCOME_DONE) -> BusEvent:
        told = {"object_id": new_id(), "related_id": release, "outcome": outcome}
        return self._event(self.auth, Action.ACTION_RELEASE_GRANTED, told)

    def ended(self, release: str) -> BusEvent:
        told = {"object_id": release, "outcome": Outcome.OUTCOME_DONE, "bytes_sent": 1_000}
        return self._event(self.playback, Action.ACTION_LISTENING_ENDED, told)

    def _event(self, by: Instance, action: Action, told: dict[str, Any]) -> BusEvent:
        by.n += 1
        deed = Deed(
            tenant=self.tenant, action=action, boot_id=by.boot, n=by.n, at_ms=NOW_S * 1000, **told
        )
        event_id = new_id()
        payload = Event(event_id=event_id, deed=deed).SerializeToString()
        return BusEvent(event_id, "voicefile.auth.v1", deed.object_id, payload)

    async def hears(self, *events: BusEvent) -> None:
        """Each event comes in a segment of its own, and each segment is a step of the index."""
        for event in events:
            await self.keeper.sequencer.append([d for d in [received(event)] if d])
            await self.indexes()

    async def indexes(self) -> None:
        while await self.indexer.index(self.tenant):
            pass

    async def told(self) -> list[tuple[str, str]]:
        with capture_logs() as logs:
            await self.watch.look()
        return [(each["release"], each["reason"]) for each in logs]

    async def waiting(self) -> set[str]:
        return {document.id for document in await self.docs.scan(WATCHED)}


@pytest.fixture
def watching(docs, tenant, keeper_of) -> Watching:
    return Watching(docs, tenant, keeper_of(docs))


def counted(missing: str) -> float:
    return releases_unmatched().labels(missing)._value.get()


@pytest.mark.parametrize("order", ["release first", "outcome first", "in one segment"])
async def test_two_halves_leave_nothing_behind(watching, order) -> None:
    release = new_id()
    both = [watching.granted(release), watching.ended(release)]
    if order == "in one segment":
        await watching.keeper.append(both)
        await watching.indexes()
    else:
        await watching.hears(*(both if order == "release first" else reversed(both)))
    assert await watching.waiting() == set()
    watching.now_s += 10 * WITHIN_S
    assert await watching.told() == []


async def test_a_release_without_an_outcome_is_told_once_and_not_too_soon(watching) -> None:
    release, before = new_id(), counted("outcome")
    await watching.hears(
        watching.granted(release), watching.granted(new_id(), Outcome.OUTCOME_REFUSED)
    )
    watching.now_s += WITHIN_S - 1
    assert await watching.told() == []
    watching.now_s += 1
    assert await watching.told() == [(release, "outcome")]
    assert await watching.told() == []
    assert counted("outcome") == before + 1
    await watching.hears(watching.ended(release))
    assert await watching.waiting() == set()


async def test_audio_that_left_without_a_release_is_told(watching) -> None:
    release, before = new_id(), counted("release")
    await watching.hears(watching.ended(release))
    watching.now_s += WITHIN_S
    assert await watching.told() == [(release, "release")]
    assert counted("release") == before + 1


async def test_the_log_itself_is_asked_before_anybody_is_told(watching) -> None:
    # A leader that was paused notes a release again whose end another one has seen already.
    release = new_id()
    granted = watching.granted(release)
    await watching.hears(granted, watching.ended(release))
    stored = await watching.docs.get(INDEXED, watching.tenant)
    await watching.docs.delete(INDEXED, stored)
    segment = (await watching.docs.scan(SEGMENTS))[0]
    await watching.watch.note(watching.tenant, [record_of(segment, Segment)])
    assert await watching.waiting() == {release}
    watching.now_s += WITHIN_S
    assert await watching.told() == []
    assert await watching.waiting() == set()


async def test_a_crash_before_the_index_said_so_is_mended_by_doing_it_again(watching) -> None:
    releases = [new_id() for _ in range(5)]
    await watching.hears(*(watching.granted(release) for release in releases))
    await watching.hears(*(watching.ended(release) for release in releases[:3]))
    stored = await watching.docs.get(INDEXED, watching.tenant)
    await watching.docs.delete(INDEXED, stored)
    await watching.indexes()
    assert await watching.waiting() == set(releases[3:])
    watching.now_s += WITHIN_S
    assert {release for release, _ in await watching.told()} == set(releases[3:])
