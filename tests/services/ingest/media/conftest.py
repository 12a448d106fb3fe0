"""Real decoders for the tests of this folder: one zygote per module."""

import pytest_asyncio

from voicefile.ingest.media.decoder import Decoders


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoders():
    async with Decoders(concurrency=2).running() as running:
        yield running
