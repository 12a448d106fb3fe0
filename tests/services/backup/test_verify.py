"""Whatever somebody does to a repository without its key is found, and named."""

import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.services.backup.house import House, a_house

from voicefile.backup.repository import Repository, Room, named
from voicefile.backup.verify import Remembered, _Looking, verify
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.crypto.primitives import SigningKey
from voicefile.translog.note import VerifierKey

MANIPULATIONS = int(os.environ.get("VOICEFILE_BACKUP_MANIPULATIONS", "120"))
"""How many are tried: 10,000 before a release."""

Target = dict[Room, dict[str, bytes]]


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
async def backed_up(tmp_path_factory) -> tuple[Target, Target, VerifierKey, Remembered]:
    """A target of three backups, as it was after the second, the key, and what a look remembers."""
    async with a_house(tmp_path_factory.mktemp("verify"), companies=1) as house:
        (home,) = house.stand.companies
        gone = await house.filed(home)
        await house.backed_up()
        await house.erase(home, gone["recording_id"])
        await house.filed(home)
        await house.backed_up()
        earlier = await read(house)
        other = await house.filed(home)
        await house.erase(home, other["recording_id"])
        await house.backed_up()
        verdict = await verify(house.repository, house.key)
        assert verdict.sound, verdict.findings
        return await read(house), earlier, house.key, verdict.remember


pytestmark = pytest.mark.asyncio(loop_scope="module")


def edited(things: dict[str, bytes], name: str, chance: random.Random) -> None:
    content = bytearray(things[name])
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    things[name] = bytes(content)


def cut(things: dict[str, bytes], name: str, chance: random.Random) -> None:
    things[name] = things[name][: chance.randrange(len(things[name]))]


def grown(things: dict[str, bytes], name: str, chance: random.Random) -> None:
    things[name] += chance.randbytes(1 + chance.randrange(100))


def dropped(things: dict[str, bytes], name: str, chance: random.Random) -> None:
    del things[name]


def swapped(things: dict[str, bytes], name: str, chance: random.Random) -> None:
    other = chance.choice([each for each in things if each != name] or [name])
    if other == name:
        del things[name]
    else:
        things[name], things[other] = things[other], things[name]


HANDS = (edited, cut, grown, dropped, swapped)


async def test_every_manipulation_is_found_and_named(backed_up):
    target, _, key, remembered = backed_up
    chance = random.Random(20_261_128)
    missed = []
    for number in range(MANIPULATIONS):
        changed = {room: dict(things) for room, things in target.items()}
        room = chance.choice([each for each in Room if changed[each]])
        name = chance.choice(sorted(changed[room]))
        hand = chance.choice(HANDS)
        hand(changed[room], name, chance)
        if changed == target:
            continue
        verdict = await verify(await written(changed), key, remembered=remembered)
        named = any(name in finding.where for finding in verdict.findings)
        # What is at the end of a chain is named by what remembers it, or by the link before.
        if verdict.sound or not (named or room is not Room.OBJECTS):
            missed.append((number, hand.__name__, room, name, [str(f) for f in verdict.findings]))
    assert missed == []


async def test_an_untouched_repository_is_sound(backed_up):
    target, _, key, remembered = backed_up
    verdict = await verify(await written(target), key, remembered=remembered)
    assert verdict.sound, verdict.findings
    assert (verdict.manifests, verdict.unnamed) == (3, [])


async def test_a_target_that_was_set_back_as_a_whole_is_found_by_who_remembers(backed_up):
    _, earlier, key, remembered = backed_up
    verdict = await verify(await written(earlier), key, remembered=remembered)
    assert {finding.what for finding in verdict.findings} == {"set back to before"}
    # The planted control: without a memory nobody can tell.
    assert (await verify(await written(earlier), key)).sound


@pytest.mark.parametrize("room", [Room.MANIFESTS, Room.TOMBSTONES, Room.KEYS])
async def test_a_room_that_was_set_back_alone_is_found(backed_up, room: Room):
    target, earlier, key, remembered = backed_up
    mixed = {**target, room: earlier[room]}
    assert not (await verify(await written(mixed), key, remembered=remembered)).sound


async def test_notes_under_another_key_count_for_nothing(backed_up):
    target, _, key, _ = backed_up
    other = VerifierKey(key.name, SigningKey.generate().public)
    verdict = await verify(await written(target), other)
    assert len(verdict.findings) >= len(target[Room.MANIFESTS]) + len(target[Room.TOMBSTONES])


async def test_something_that_is_not_sealed_is_found(backed_up):
    """Signed by whoever holds backup's key, so that nothing else is wrong with it."""
    target, _, key, _ = backed_up
    repository = await written(target)
    looking = _Looking(repository, key, 0.0)
    plain = b"Erika Mustermann" * 100
    put = await repository.put(Room.OBJECTS, plain)
    await looking._object(Room.OBJECTS, put, sealed=True)
    assert [finding.what for finding in looking.verdict.findings] == ["not sealed"]
    assert put == named(plain)
