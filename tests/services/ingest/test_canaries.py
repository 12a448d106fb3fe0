"""Canaries: one for each tenant there is, for the drill alone, and spared by sweeps."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.port import BlobName
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.crypto.stream import open_whole
from voicefile.docstore.port import Document
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.dump import Item
from voicefile.dumps.errors import RecipientsMissing
from voicefile.dumps.recipient import Recipient, unbox
from voicefile.dumps.settings import DumpSettings
from voicefile.identity.ids import new_id
from voicefile.ingest.canaries import CANARIES, Canaries, is_canary
from voicefile.ingest.store import TENANTS
from voicefile.ingest.tenants import Tenants

PAIR = SealingKeyPair.generate()


@pytest.fixture
async def docs(tmp_path) -> AsyncIterator[SqliteDocStore]:
    store = await SqliteDocStore.open(tmp_path / "ingest.db", (TENANTS, CANARIES))
    yield store
    await store.close()


@pytest.fixture
async def tenants(docs) -> list[str]:
    found = sorted(new_id() for _ in range(3))
    await docs.insert_many(TENANTS, [Document(each, each, {"facts": 1}) for each in found])
    return found


@pytest.fixture
def blobs() -> MemoryBlobStore:
    return MemoryBlobStore()


def drilled_with(docs, blobs, pair: SealingKeyPair) -> Canaries:
    told = DumpSettings(drill_key=str(Recipient("drill", pair.public)))
    return Canaries(docs, blobs, told, deployment="test")


async def given(canaries: Canaries) -> list[dict]:
    return [item.content async for item in canaries.all() if isinstance(item, Item)]


async def test_each_tenant_has_one_that_the_drill_opens(docs, blobs, tenants):
    found = await given(drilled_with(docs, blobs, PAIR))
    assert [each["tenant"] for each in found] == tenants
    for each in found:
        name, recording = BlobName(each["blob"]), each["recording"]
        box = each["box"]
        key = unbox(box, PAIR, name="drill", deployment=b"test", dump=recording)
        where = Context(b"test", each["tenant"], object_id(recording, "original"), Kind.AUDIO)
        plain = open_whole(key, where, await blobs.read(name, 0, await blobs.size(name)))
        assert sha256(plain).hexdigest() == each["sha256"]
        assert await is_canary(docs, name)


async def test_they_are_made_once_for_each_key_of_a_drill(docs, blobs, tenants):
    first = await given(drilled_with(docs, blobs, PAIR))
    assert await given(drilled_with(docs, blobs, PAIR)) == first
    second = await given(drilled_with(docs, blobs, SealingKeyPair.generate()))
    assert {each["blob"] for each in first} & {each["blob"] for each in second} == set()


async def test_those_of_an_erased_tenant_are_forgotten_and_may_be_swept(docs, blobs, tenants):
    first = await given(drilled_with(docs, blobs, PAIR))
    await Tenants(docs).erase(tenants[0])
    assert await given(drilled_with(docs, blobs, PAIR)) == first[1:]
    assert not await is_canary(docs, BlobName(first[0]["blob"]))
    assert await is_canary(docs, BlobName(first[1]["blob"]))


async def test_without_a_drill_there_are_none(docs, blobs, tenants):
    with pytest.raises(RecipientsMissing):
        await given(Canaries(docs, blobs, DumpSettings(), deployment="test"))
    assert await docs.scan(CANARIES) == []
