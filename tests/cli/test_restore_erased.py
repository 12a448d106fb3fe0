"""What was erased after a backup that is restored: it stays erased, and its certificate comes."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from tests.services.backup.house import House, a_house, heard, house_in
from tests.stand import Company

from voicefile.auth.dumping.require_roots import RootMissing
from voicefile.auth.erasing import left
from voicefile.auth.erasing.shred_tenant import shred_tenants
from voicefile.auth.keys import blind_index
from voicefile.auth.keys.change_root import change_root, destroy_old_root
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.backup.events import RECORDING
from voicefile.backup.manifest import left_in
from voicefile.backup.repository import Room
from voicefile.backup.verify import verify
from voicefile.deeds.deed import Actor
from voicefile.ingest.store import FEED

pytestmark = pytest.mark.asyncio(loop_scope="module")
DAY_S = 86_400


@dataclass
class Ended:
    """A house with one backup, and what became of things after it."""

    house: House
    stays: Company
    shredded: Company
    alone: dict
    """A customer's only recording; erased, and the customer with it."""
    joined: dict
    """Erased; its customer has another recording."""
    kept: dict
    tokens: dict[str, bytes]
    """What finds the references of the contracts that are `joined` and `kept`."""
    certificates: dict[str, str]
    """As the vault answered before it was lost."""


async def certificate(house: House, home: Company, recording: str) -> str:
    headers = {"Authorization": f"Bearer {await home.partner_token()}"}
    path = f"/auth/v1/recordings/{recording}/shred-certificate"
    answer = await house.stand.client.get(path, headers=headers)
    return answer.text if answer.is_success else str(answer.status_code)


async def of_tenant(house: House, home: Company, what: str = "shred-certificate") -> str:
    answer = await house.stand.client.get(f"/auth/v1/tenants/{home.id}/{what}")
    return answer.text if answer.is_success else str(answer.status_code)


async def shred(house: House, home: Company) -> None:
    ports, before_s = house.stand.ports, house.clock.ahead_s
    await close_tenant(home.id, by=Actor.service(), ports=ports)
    house.clock.ahead_s = before_s + 91 * DAY_S
    assert await shred_tenants(ports) == 1
    house.clock.ahead_s = before_s


async def token_of(house: House, home: Company, reference: str) -> bytes:
    identity = await house.stand.ports.custody.identity(home.id)
    (token,) = blind_index.tokens(identity, {"contract_reference": reference})
    return token


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ended(tmp_path_factory) -> AsyncIterator[Ended]:
    async with a_house(tmp_path_factory.mktemp("ended")) as house:
        stays, shredded = house.stand.companies
        alone = await house.filed(stays)
        kept = await house.filed(stays, contract_reference="V-kept-4711")
        joined = await house.filed(
            stays, contract_reference="V-joined-4712", join_access_id=kept["access_id"]
        )
        joined = {**kept, "recording_id": joined["recording_id"]}
        await house.filed(shredded)
        tokens = {
            "kept": await token_of(house, stays, "V-kept-4711"),
            "joined": await token_of(house, stays, "V-joined-4712"),
        }
        await house.backed_up()
        for each in (alone, joined):
            await house.erase(stays, each["recording_id"])
        await shred(house, shredded)
        await house.stand.published()
        await house.rounds.copy()
        certificates = {
            each["recording_id"]: await certificate(house, stays, each["recording_id"])
            for each in (alone, joined)
        }
        certificates["tenant"] = await of_tenant(house, shredded)
        certificates["keys"] = await of_tenant(house, shredded, "receipt-keys")
        assert min(map(len, certificates.values())) > 100
        yield Ended(house, stays, shredded, alone, joined, kept, tokens, certificates)


def holding(folder: Path, token: bytes) -> list[str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in found if token in path.read_bytes()]


async def test_all_that_was_certified_is_certified_by_the_restored_vault(
    ended: Ended, tmp_path: Path
):
    house = ended.house
    place, restored = await house.restored(tmp_path / "restored")
    assert restored.whole, restored
    assert (restored.auth.shredded, restored.auth.certificates) == ([ended.shredded.id], 3)
    assert restored.auth.without_certificate == []
    async with house_in(place.data, house.pairs) as again:
        home = Company(**{**vars(ended.stays), "client": again.stand.client, "_tokens": {}})
        told = {
            each["recording_id"]: await certificate(again, home, each["recording_id"])
            for each in (ended.alone, ended.joined)
        }
        told["tenant"] = await of_tenant(again, ended.shredded)
        told["keys"] = await of_tenant(again, ended.shredded, "receipt-keys")
        sounds = [
            await heard(again.stand.client, each)
            for each in (ended.alone, ended.joined, ended.kept)
        ]
        # Ingest, whose documents are older, was told: nothing of the tenant is left there.
        await again.told()
        feed = await again.stand.stores["ingest"].scan(FEED, tenant=ended.shredded.id)
    assert told == ended.certificates
    assert [sound is None for sound in sounds] == [True, True, False]
    assert feed == []


async def test_no_index_leads_to_an_erased_contract(ended: Ended, tmp_path: Path):
    place, _ = await ended.house.restored(tmp_path / "restored")
    assert holding(place.data, ended.tokens["joined"]) == []
    # The control: what leads to the other contract of the same customer is found by this look.
    assert holding(place.data, ended.tokens["kept"]) == ["auth.db"]


async def test_what_is_left_is_believed_by_auths_own_word_alone(ended: Ended, tmp_path: Path):
    """Somebody who has backup's key puts a certificate there that nobody has signed."""
    house, recording = ended.house, ended.joined["recording_id"]
    graves = await house.reading().graves()
    forged = {}
    for _, wanted in graves.left:
        for each in await left_in(house.repository, wanted):
            if (each.what, each.id) == (RECORDING, recording):
                told = left.read(each.content, left.RecordingLeft)
                false = msgspec.structs.replace(told.recording, certificate="x.y.z")
                forged[each.id] = msgspec.msgpack.encode(
                    msgspec.structs.replace(told, recording=false)
                )
    reading = house.reading()

    async def put_there(graves, *, since_s):
        for _, wanted in graves.left:
            for each in await left_in(house.repository, wanted):
                yield msgspec.structs.replace(each, content=forged.get(each.id, each.content))

    reading.left = put_there
    place, restored = await house.restored_by(reading, tmp_path / "restored")
    assert restored.auth.without_certificate == [recording]
    assert b"x.y.z" not in place.documents("auth").read_bytes()


async def test_without_what_is_left_it_is_erased_and_the_report_says_so(
    ended: Ended, tmp_path: Path
):
    """Tombstones of before certificates went with them; or the object is lost."""
    house, target = ended.house, tmp_path / "target"
    shutil.copytree(house.place.backup, target)
    shutil.rmtree(target / Room.LEFT)
    place, restored = await house.restored(tmp_path / "restored", of=target)
    wanted = {ended.alone["recording_id"], ended.joined["recording_id"], ended.shredded.id}
    assert set(restored.auth.without_certificate) == wanted
    assert restored.auth.certificates == 0
    async with house_in(place.data, house.pairs) as again:
        code = await of_tenant(again, ended.shredded)
        keys = await of_tenant(again, ended.shredded, "receipt-keys")
        sound = await heard(again.stand.client, ended.joined)
    assert (code, keys, sound) == ("404", ended.certificates["keys"], None)
    verdict = await verify(house.reading(of=target).repository, house.key)
    assert {finding.where.partition("/")[0] for finding in verdict.findings} == {Room.LEFT}


async def test_a_backup_of_before_the_root_was_changed_says_which_version_it_needs(tmp_path: Path):
    async with a_house(tmp_path / "changed", companies=1) as house:
        filed = await house.filed(house.stand.companies[0])
        first = await house.backed_up()
        shutil.copytree(house.root, tmp_path / "old")
        await change_root(by=Actor.service(), ports=house.stand.ports)
        house.clock.ahead_s += 3_600
        await change_root(by=Actor.service(), ports=house.stand.ports)
        old = await destroy_old_root(by=Actor.service(), ports=house.stand.ports)
        await house.backed_up()
        at_s = first.found.manifest.taken_at_s + 60
        with pytest.raises(RootMissing) as missing:
            await house.restored(tmp_path / "restored", at_s=at_s)
        assert (missing.value.service, missing.value.versions) == ("auth", (old,))
        # Put beside the newer ones, it goes on in the same folder.
        shutil.copy(tmp_path / "old" / "auth" / f"{old}.root", house.root / "auth")
        place, restored = await house.restored(tmp_path / "restored", at_s=at_s)
        assert restored.whole
    async with house_in(place.data, house.pairs, house.clock) as again:
        assert await heard(again.stand.client, filed) is not None
