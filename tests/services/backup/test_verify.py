"""Whatever somebody does to a repository without its key is found, and named."""

import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio
from tests.services.backup.house import House, a_house

from voicefile.backup.manifest import manifests
from voicefile.backup.read_back import Reading
from voicefile.backup.repository import Repository, Room, named
from voicefile.backup.tombstones import read_notes
from voicefile.backup.verify import Remembered, Verdict, _Looking, verify
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.crypto.primitives import SigningKey
from voicefile.translog.note import VerifierKey

MANIPULATIONS = int(os.environ.get("VOICEFILE_BACKUP_MANIPULATIONS", "120"))
"""How many are tried: 10,000 before a release, in some minutes."""
DAYS_S = 2 * 86_400

Target = dict[Room, dict[str, bytes]]
Blamed = list[set[str]]
"""Of each set at least one has to be named."""


@dataclass(frozen=True)
class Backed:
    """A target of several backups over three days, and how it was after each of them."""

    now: Target
    earlier: list[Target]
    key: VerifierKey
    remembered: Remembered
    at_s: float
    lists: dict[Room, list[str]]
    """Names of manifests and of notes of tombstones, in their order."""
    unmissed: set[str]
    """A key backup whose manifest was given up: no restore asks for it."""

    async def look(self, target: Target, remembered: Remembered | None = None) -> Verdict:
        known = self.remembered if remembered is None else remembered
        return await verify(await written(target), self.key, remembered=known, now_s=self.at_s)


async def one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def read(house: House) -> Target:
    """Everything at the target, in memory."""
    found: Target = {}
    for room in Room:
        store = house.repository.room(room)
        found[room] = {
            entry.name: await store.read(entry.name, 0, entry.sealed_bytes)
            async for entry in house.repository.entries(room)
        }
    return found


async def written(target: Target) -> Repository:
    stores = {}
    for room, things in target.items():
        stores[room] = store = MemoryBlobStore()
        for name, content in things.items():
            await store.put(name, one(content))
    return Repository("folder", stores)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backed(tmp_path_factory) -> Backed:
    """Something was erased before each backup but the first, which the third gave up."""
    async with a_house(tmp_path_factory.mktemp("verify"), companies=1) as house:
        (home,) = house.stand.companies
        filed = await house.filed(home)
        await house.repository.put(Room.DRILLS, b"how a drill went")
        earlier = []
        for day_s in (0, 0, DAYS_S, 0):
            house.clock.ahead_s += day_s
            if earlier:
                await house.erase(home, filed["recording_id"])
                filed = await house.filed(home)
            await house.backed_up()
            earlier.append(await read(house))
        verdict = await verify(house.repository, house.key, now_s=house.clock())
        assert verdict.sound, verdict.findings
        found = await manifests(house.repository, house.key)
        assert [each.manifest.n for each in found] == [2, 3, 4]
        notes = await read_notes(house.repository, house.key)
        lists = {
            Room.MANIFESTS: [str(each.note.named.address) for each in found],
            Room.TOMBSTONES: [str(named(each.note).address) for each in notes],
        }
        keys = {str(each.manifest.keys.named.address) for each in found if each.manifest.keys}
        now = earlier.pop()
        given_up = {name for name, raw in now[Room.KEYS].items() if raw[:1] == b"{"} - keys
        key, at_s = house.key, house.clock()
        return Backed(now, earlier, key, verdict.remember, at_s, lists, given_up)


pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120 + MANIPULATIONS // 10),
]


def any_file(target: Target, chance: random.Random) -> tuple[dict[str, bytes], str]:
    things = target[chance.choice([room for room in Room if target[room]])]
    return things, chance.choice(sorted(things))


def edited(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    things, name = any_file(target, chance)
    content = bytearray(things[name])
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    things[name] = bytes(content)
    return [{name}]


def cut(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    things, name = any_file(target, chance)
    things[name] = things[name][: chance.randrange(len(things[name]))]
    return [{name}]


def grown(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    things, name = any_file(target, chance)
    things[name] += chance.randbytes(1 + chance.randrange(100))
    return [{name}]


def dropped(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    """Of a report of a drill that is missing, an alarm tells."""
    rooms = {room: target[room] for room in Room if room is not Room.DRILLS}
    things, name = any_file({**rooms, Room.DRILLS: {}}, chance)
    if name in backed.unmissed:
        return edited(target, backed, chance)
    del things[name]
    return [{name}]


def swapped(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    """Also across rooms."""
    (these, name), (those, other) = any_file(target, chance), any_file(target, chance)
    if these[name] == those[other]:
        return edited(target, backed, chance)
    these[name], those[other] = those[other], these[name]
    return [{name}, {other}]


def reordered(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    """What stands in a list's notes, each under the next one's name."""
    room = chance.choice(sorted(backed.lists))
    names, things = backed.lists[room], target[room]
    by = 1 + chance.randrange(len(names) - 1)
    moved = {name: things[names[at - by]] for at, name in enumerate(names)}
    things.update(moved)
    return [{name} for name in names]


def shortened(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    """A list without its newest notes, one or more."""
    room = chance.choice(sorted(backed.lists))
    gone = backed.lists[room][-1 - chance.randrange(len(backed.lists[room])) :]
    for name in gone:
        del target[room][name]
    return [set(gone)]


def replayed(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    """An old manifest, also one that was given up, in the newest one's place."""
    old = backed.now[Room.MANIFESTS] | backed.earlier[0][Room.MANIFESTS]
    newest = backed.lists[Room.MANIFESTS][-1]
    name = chance.choice(sorted(set(old) - {newest}))
    target[Room.MANIFESTS][newest] = old[name]
    return [{newest}]


def set_back(target: Target, backed: Backed, chance: random.Random) -> Blamed:
    """All of it, or one room, as it was after an earlier backup."""
    earlier = chance.choice(backed.earlier)
    rooms = chance.choice([list(Room), *([room] for room in Room if room is not Room.DRILLS)])
    missing = set().union(*(set(target[room]) - set(earlier[room]) for room in rooms))
    for room in rooms:
        target[room] = dict(earlier[room])
    return [missing]


Hand = Callable[[Target, Backed, random.Random], Blamed]
HANDS: tuple[Hand, ...] = (
    edited,
    cut,
    grown,
    dropped,
    swapped,
    reordered,
    shortened,
    replayed,
    set_back,
)


async def test_every_manipulation_is_found_and_named(backed: Backed):
    chance = random.Random(20_261_128)
    missed = []
    for number in range(MANIPULATIONS):
        changed = {room: dict(things) for room, things in backed.now.items()}
        hand = HANDS[number % len(HANDS)]
        blamed = hand(changed, backed, chance)
        assert changed != backed.now
        verdict = await backed.look(changed)
        said = [str(finding) for finding in verdict.findings]
        if not all(any(name in each for name in names for each in said) for names in blamed):
            missed.append((number, hand.__name__, blamed, said))
    assert missed == []


async def test_an_untouched_repository_is_sound(backed: Backed):
    verdict = await backed.look(backed.now)
    assert verdict.sound, verdict.findings
    assert (verdict.manifests, verdict.unnamed) == (3, [])


async def test_a_manifest_that_was_given_up_and_is_there_again_is_listed_and_counts_for_nothing(
    backed: Backed,
):
    first = backed.earlier[0]
    again = {room: first[room] | things for room, things in backed.now.items()}
    (name,) = set(again[Room.MANIFESTS]) - set(backed.now[Room.MANIFESTS])
    assert f"{Room.MANIFESTS}/{name}" in (await backed.look(again)).unnamed
    reading = Reading(await written(again), backed.key, deployment="test", pair=None)  # type: ignore[arg-type]
    assert (await reading.manifest()).note.sha256 == backed.remembered.manifest.sha256


async def test_a_target_that_was_set_back_as_a_whole_is_found_by_who_remembers(backed: Backed):
    earlier = backed.earlier[-1]
    verdict = await backed.look(earlier)
    assert {finding.what for finding in verdict.findings} == {"set back to before"}
    # The planted control: without a memory nobody can tell.
    assert (await backed.look(earlier, Remembered())).sound


async def test_notes_under_another_key_count_for_nothing(backed: Backed):
    target = backed.now
    other = VerifierKey(backed.key.name, SigningKey.generate().public)
    verdict = await verify(await written(target), other)
    assert len(verdict.findings) >= len(target[Room.MANIFESTS]) + len(target[Room.TOMBSTONES])


async def test_something_that_is_not_sealed_is_found(backed: Backed):
    """Signed by whoever holds backup's key, so that nothing else is wrong with it."""
    repository = await written(backed.now)
    looking = _Looking(repository, backed.key, 0.0)
    plain = b"Erika Mustermann" * 100
    put = await repository.put(Room.OBJECTS, plain)
    await looking._object(Room.OBJECTS, put, sealed=True)
    assert [finding.what for finding in looking.verdict.findings] == ["not sealed"]
    assert put == named(plain)
