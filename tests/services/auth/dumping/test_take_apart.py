"""What stands in a dump, for those who could open it: without the subject key it is noise."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.services.backup.house import House, a_house

from voicefile.auth.dumping.back_up_keys import SLIPS
from voicefile.auth.store import ACCESS, DEPLOYMENT, TENANTS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory) -> AsyncIterator[House]:
    """With one recording in its backup."""
    async with a_house(tmp_path_factory.mktemp("house"), companies=1) as made:
        await made.filed(made.stand.companies[0])
        await made.backed_up()
        yield made


async def items(dump, kind: str) -> list[Any]:
    return [item async for item in dump.items(kind)]


def values_in(value: Any) -> list[bytes]:
    """Every text and every run of bytes in it."""
    if isinstance(value, dict):
        return [found for each in (*value, *value.values()) for found in values_in(each)]
    if isinstance(value, list | tuple):
        return [found for each in value for found in values_in(each)]
    if isinstance(value, str):
        return [value.encode()]
    return [bytes(value)] if isinstance(value, bytes) else []


async def test_an_access_document_shows_two_kinds_of_random_ids_and_nothing_else(house: House):
    (home,), (filed,) = house.stand.companies, house.issued
    stored = await house.stand.ports.access.of(home.id).find_one("recording", filed["recording_id"])
    assert stored is not None
    access = stored.record
    found = await house.reading().manifest()
    dump = await house.reading().dump(found, "auth")
    ((credential, tenant, body, _),) = await items(dump, ACCESS.name)
    assert (credential, tenant) == (stored.id, home.id)
    assert set(body) == {"subject", "recordings", "sealed", "mac"}
    secrets = [
        access.pin_verifier,
        access.pin_salt,
        access.locator.encode(),
        access.subject.key.sealed,
        access.recordings[0].slip.sealed,
        *access.tokens,
        *access.subject.fields.values(),
    ]
    everything = b""
    for kind in await dump.kinds():
        for item in await items(dump, kind):
            everything += b"\n".join(values_in(item))
    assert [secret for secret in secrets if secret and secret in everything] == []
    # The control: what is meant to be there is.
    assert filed["recording_id"].encode() in everything


async def test_slips_and_epochs_are_in_the_key_backup_alone(house: House):
    (home,) = house.stand.companies
    found = await house.reading().manifest()
    dump = await house.reading().dump(found, "auth")
    for _, _, body, _ in await items(dump, TENANTS.name):
        assert body["keys"]["epochs"] == []
    for _, _, body, _ in await items(dump, DEPLOYMENT.name):
        assert body["periods"] == []
    keys = await house.reading().keys()
    (slips,) = await items(keys, SLIPS)
    assert slips["tenant"] == home.id
    assert len(slips["slips"]) == 1
