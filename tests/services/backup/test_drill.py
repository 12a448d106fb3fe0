"""The drill: restores what there is every day, and opens canaries with a key that opens no more."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from tests.services.backup.house import House, a_house

from voicefile.backup.drill import Report, Reports, drill, reporter_of
from voicefile.backup.errors import KeyInvalid
from voicefile.backup.manifest import opened
from voicefile.backup.repository import Room
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.port import BlobName
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.deeds.deed import Action, Deed
from voicefile.dumps.recipient import Recipient

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def drill_pair() -> Iterator[SealingKeyPair]:
    pair = SealingKeyPair.generate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICEFILE_BACKUP_DRILL_KEY", str(Recipient("drill", pair.public)))
        patch.setenv("VOICEFILE_BACKUP_DRILL_REPORTS", str(reporter_of(pair).public))
        yield pair


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def drilled(tmp_path_factory, drill_pair) -> AsyncIterator[House]:
    async with a_house(tmp_path_factory.mktemp("drilled")) as house:
        await house.filed(house.stand.companies[0])
        await house.backed_up()
        yield house


async def run(house: House, pair: SealingKeyPair) -> Report:
    return await drill(house.repository, house.key, pair, MemoryBlobStore(), now_s=house.clock)


async def names_of(house: House) -> set[BlobName]:
    return {entry.name async for entry in house.repository.entries(Room.DRILLS)}


async def test_every_tenants_canary_is_restored_and_opened(drilled: House, drill_pair):
    before = await names_of(drilled)
    drilled.clock.ahead_s += 100
    report = await run(drilled, drill_pair)
    assert report.good, report.findings
    assert (report.canaries, report.tenants) == (2, 2)
    assert 100 <= report.rpo_s < 200
    (name,) = await names_of(drilled) - before
    raw = await drilled.repository.get_by_name(Room.DRILLS, name)
    assert opened(raw, Report, reporter_of(drill_pair).public, where="") == report


async def test_a_byte_that_rotted_anywhere_is_reported(drilled: House, drill_pair):
    objects = drilled.place.backup / Room.OBJECTS
    files = [path for path in objects.rglob("*") if path.is_file()]
    path = max(files, key=lambda each: each.stat().st_size)
    was = path.read_bytes()
    content = bytearray(was)
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(content))
    report = await run(drilled, drill_pair)
    path.write_bytes(was)
    assert not report.good
    assert any(path.name in finding for finding in report.findings)


async def test_the_drills_key_opens_no_dump(drilled: House, drill_pair):
    reading = drilled.reading(drill_pair)
    found = await reading.manifest()
    for service in ("auth", "ingest", "playback", "audit"):
        with pytest.raises(KeyInvalid):
            await reading.dump(found, service)
    with pytest.raises(KeyInvalid):
        await reading.keys()


async def test_another_key_finds_no_canary(drilled: House):
    assert not (await run(drilled, SealingKeyPair.generate())).good


async def _rubbish() -> AsyncIterator[bytes]:
    yield b"{"


@dataclass
class Written:
    """Deeds, as a series records them."""

    deeds: list[Deed]

    async def record(self, deed: Deed) -> None:
        self.deeds.append(deed)


async def test_a_report_is_told_once_and_one_of_a_strangers_never(drilled: House, drill_pair):
    written = Written([])
    reports = Reports(drilled.repository, reporter_of(drill_pair).public, written)  # type: ignore[arg-type]
    await reports.look()
    await run(drilled, drill_pair)
    await reports.look()
    await reports.look()
    await run(drilled, SealingKeyPair.generate())
    rotted = drilled.repository.room(Room.DRILLS)
    await rotted.put(BlobName("0" * 32), _rubbish())
    await reports.look()
    await rotted.delete(BlobName("0" * 32))
    assert [deed.action for deed in written.deeds] == [Action.ACTION_BACKUP_DRILLED]
