"""A stand for every test of the receiving half."""

import pytest
from tests.services.ingest.stand import Clock, standing

from voicefile.blobstore.memory import MemoryBlobStore


@pytest.fixture
async def stand(tmp_path):
    clock = Clock()
    async with standing(
        tmp_path / "ingest.db", blobs=MemoryBlobStore(now_s=clock), clock=clock
    ) as built:
        await built.learn()
        yield built
