import pytest

from voicefile.blobstore.conformance import BlobStoreConformance
from voicefile.blobstore.port import BlobStore
from voicefile.blobstore.s3 import S3BlobStore


class TestS3(BlobStoreConformance):
    @pytest.fixture
    def store(self, s3_store: S3BlobStore) -> BlobStore:
        return s3_store
