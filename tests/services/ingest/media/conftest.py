"""Real decoders for the tests of this folder: one zygote per module, and only own ones counted."""

import pytest
import pytest_asyncio
from tests.services.ingest.media.processes import leave_out_others

from voicefile.ingest.media.decoder import Decoders


@pytest.fixture(scope="module", autouse=True)
def only_own_zygotes():
    leave_out_others()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoders():
    async with Decoders(concurrency=2).running() as running:
        yield running
