"""A SeaweedFS of this folder's own, started once; stores in it see nothing of each other."""

import gc
import secrets
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from tests.engines import running
from tests.engines.s3 import REGION, S3

from voicefile.blobstore.s3 import S3BlobStore
from voicefile.blobstore.s3_bucket import Limits
from voicefile.crypto.secret import SecretText

QUICK = Limits(tries=3, try_s=4.0, pause_s=0.05, settle_s=3.0)


@pytest.fixture(autouse=True)
def connections_that_were_cut() -> Iterator[None]:
    """An answer that nobody waits for leaves a connection behind which says goodbye; on a busy
    machine the test's loop ends before. Collected here, it is not held against the next test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    # The shared one is everybody's, so nobody may kill it; but it says whether one can be had.
    running.engine("s3")
    folder = tmp_path_factory.mktemp("s3")
    engine = S3(folder / "engine", folder / "certificates")
    engine.start()
    yield engine
    engine.stop()


async def opened(engine: S3, **how: Any) -> S3BlobStore:
    """A store of its own prefix, with the engine's keys but for what is said otherwise."""
    return await S3BlobStore.open(
        how.pop("endpoint", engine.endpoint),
        how.pop("bucket", engine.bucket),
        **{
            "region": REGION,
            "access_key": engine.access_key,
            "secret_key": SecretText(engine.secret_key),
            "ca": engine.authority,
            "prefix": f"{secrets.token_hex(4)}/",
            "limits": QUICK,
            **how,
        },
    )


@pytest_asyncio.fixture
async def s3_store(s3: S3) -> AsyncIterator[S3BlobStore]:
    async with await opened(s3) as store:
        yield store
