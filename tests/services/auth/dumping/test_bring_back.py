"""What comes back is what auth has vouched for: whoever carries a backup may seal to recipients."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.services.backup.house import House, a_house

from voicefile.auth.dumping.back_up_keys import SLIPS
from voicefile.auth.dumping.bring_back import bring_back
from voicefile.auth.dumping.brought_back import Erased
from voicefile.auth.store import ACCESS, PRINCIPALS, TENANTS
from voicefile.cli.place import Place
from voicefile.cli.restore import ports_over
from voicefile.cli.restore_into_folder import IntoFolder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory) -> AsyncIterator[House]:
    """With one recording in its backup."""
    async with a_house(tmp_path_factory.mktemp("house"), companies=1) as made:
        await made.filed(made.stand.companies[0])
        await made.backed_up()
        yield made


async def brought_back(house: House, folder, documents, keys):
    """A restore of auth alone, from whatever somebody puts in its way."""
    place = Place(folder)
    place.data.mkdir(parents=True)
    into = IntoFolder(place, house.root)
    await into.bring_root()
    async with into.making("auth") as store:
        ports = ports_over(store, await into.root("auth"), "test", now_s=house.clock)
        return await bring_back(documents, keys, Erased(), ports=ports)


@pytest.mark.parametrize("forged", ["access", "principal", "tenant", "slips"])
async def test_what_somebody_sealed_to_the_recipients_themselves_is_refused(
    house: House, tmp_path, forged: str
):
    """They know the public keys. They do not know what makes a MAC."""
    found = await house.reading().manifest()
    dump, keys = await house.reading().dump(found, "auth"), await house.reading().keys()

    async def documents(kind: str):
        async for item in dump.items(kind):
            if forged == "access" and kind == ACCESS.name:
                item[2]["recordings"] = ["0" * 32]
            if forged == "principal" and kind == PRINCIPALS.name:
                item[2]["role"] = "operator"
            if forged == "tenant" and kind == TENANTS.name:
                item[2]["demo"] = False
            yield item

    async def slips(kind: str):
        async for item in keys.items(kind):
            if forged == "slips" and kind == SLIPS:
                item["subject"] = "0" * 32
            yield item

    done = await brought_back(house, tmp_path / "out", documents, slips)
    assert done.refused
    if forged in {"access", "slips"}:
        assert done.credentials == 0
