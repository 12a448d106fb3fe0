import pytest_asyncio
from tests.isolation.world import world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def filled(tmp_path_factory):
    """A vault with three tenants and everybody in them."""
    async with world(tmp_path_factory.mktemp("deeds")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def vault(filled):
    """The same, with tokens and sessions that will last for the test."""
    await filled.renewed()
    return filled
