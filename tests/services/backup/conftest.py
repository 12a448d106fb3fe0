"""One vault for all tests of a module: none spoils it for the next."""

from collections.abc import AsyncIterator

import pytest_asyncio
from tests.services.backup.house import House, a_house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory) -> AsyncIterator[House]:
    """With two tenants, and nothing in it yet."""
    async with a_house(tmp_path_factory.mktemp("house")) as made:
        yield made
