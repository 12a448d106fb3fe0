"""Releases, ends of listenings, keys that came back: they say the same, or somebody is told."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.services.audit.conftest import NOW_S, Instance, Keeper, new_id

from voicefile.audit.events import received
from voicefile.audit.indexing import Indexer
from voicefile.audit.metrics import releases_unmatched
from voicefile.audit.releases import BATCH_SEGMENTS, ReleaseWatch
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

    def joined(self, release: str) -> BusEvent:
        told = {"object_id": new_id(), "related_id": release, "outcome": Outcome.OUTCOME_DONE}
        return self._event(self.auth, Action.ACTION_RELEASE_JOINED, told)

    def ended(self, release: str, bytes_sent: int = 1_000) -> BusEvent:
        told = {"object_id": release, "outcome": Outcome.OUTCOME_DONE, "bytes_sent": bytes_sent}
        return self._event(self.playback, Action.ACTION_LISTENING_ENDED, told)

    def returned(self, release: str, bytes_sent: int = 1_000) -> BusEvent:
        told = {"object_id": release, "outcome": Outcome.OUTCOME_DONE, "bytes_sent": bytes_sent}
        return self._event(self.auth, Action.ACTION_RELEASE_RETURNED, told)

    def whole(self, release: str) -> list[BusEvent]:
        """Two instances play one listening, and each says what it sent."""
        return [
            self.granted(release),
            self.joined(release),
            self.ended(release, 1_000),
            self.returned(release, 1_000),
            self.ended(release, 500),
            self.returned(release, 500),
        ]

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


@pytest.mark.parametrize("seed", range(20))
async def test_what_agrees_leaves_nothing_behind_in_whatever_order_it_comes(
    watching, seed: int
) -> None:
    deeds, chance = watching.whole(new_id()), random.Random(seed)
    chance.shuffle(deeds)
    cut = chance.randrange(len(deeds))
    await watching.hears(*deeds[:cut])
    await watching.keeper.append(deeds[cut:])
    await watching.indexes()
    assert await watching.waiting() == set()
    watching.now_s += 10 * WITHIN_S
    assert await watching.told() == []


LACKS = {
    "the release": (0, "release"),
    "that an instance joined": (1, "release"),
    "the end of a listening": (2, "outcome"),
    "the end of the other's": (4, "outcome"),
}


@pytest.mark.parametrize(("taken", "missing"), LACKS.values(), ids=LACKS.keys())
async def test_a_deed_that_was_taken_away_is_missed(watching, taken: int, missing: str) -> None:
    release = new_id()
    deeds = watching.whole(release)
    del deeds[taken]
    await watching.hears(*deeds)
    watching.now_s += WITHIN_S
    assert await watching.told() == [(release, missing)]


@pytest.mark.parametrize("at", ["playback", "auth"])
async def test_bytes_that_only_one_of_the_two_speaks_of_are_told(watching, at: str) -> None:
    release, before = new_id(), counted("bytes")
    deeds = watching.whole(release)
    deeds[2:4] = (
        [watching.ended(release, 10), watching.returned(release, 1_000)]
        if at == "playback"
        else [watching.ended(release, 1_000), watching.returned(release, 10)]
    )
    await watching.hears(*deeds)
    watching.now_s += WITHIN_S
    assert await watching.told() == [(release, "bytes")]
    assert counted("bytes") == before + 1


async def test_an_instance_that_died_gives_nothing_back_and_that_is_no_complaint(watching) -> None:
    release = new_id()
    await watching.hears(watching.granted(release), watching.ended(release, 0))
    assert await watching.waiting() == {release}
    watching.now_s += WITHIN_S
    assert await watching.told() == []
    assert await watching.waiting() == set()


async def test_a_listening_that_could_not_begin_needs_no_end(watching) -> None:
    release = new_id()
    await watching.hears(watching.granted(release), watching.returned(release, 0))
    watching.now_s += WITHIN_S
    assert await watching.told() == []


async def test_who_joined_late_may_go_on_as_long_again(watching) -> None:
    release = new_id()
    granted, joined, *rest = watching.whole(release)
    await watching.hears(granted)
    watching.now_s += WITHIN_S - 1
    await watching.hears(joined)
    watching.now_s += WITHIN_S - 1
    assert await watching.told() == []
    await watching.hears(*rest)
    assert await watching.waiting() == set()


async def test_a_release_of_more_segments_than_one_look_takes_is_whole(watching) -> None:
    release = new_id()
    for _ in range(BATCH_SEGMENTS):
        await watching.hears(watching.joined(release), watching.ended(release))
    watching.now_s += WITHIN_S
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
    await watching.hears(watching.ended(release), watching.returned(release))
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
    await watching.hears(granted, watching.ended(release), watching.returned(release))
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
    await watching.hears(*(watching.returned(release) for release in releases[:3]))
    stored = await watching.docs.get(INDEXED, watching.tenant)
    await watching.docs.delete(INDEXED, stored)
    await watching.indexes()
    assert await watching.waiting() == set(releases[3:])
    watching.now_s += WITHIN_S
    assert {release for release, _ in await watching.told()} == set(releases[3:])
