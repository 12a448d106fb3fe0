import pytest

from voicefile.blobstore.conformance import BlobStoreConformance
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.port import BlobStore


class TestMemory(BlobStoreConformance):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobStore()
