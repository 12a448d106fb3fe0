"""Care's search: an exact value finds its customer, in the own tenant, and the log knows first."""

from dataclasses import replace

import pytest
from msgspec import structs
from tests.services.auth.issuing_world import an_auth, slug

from voicefile.auth.credentials.search_customers import Search, search_customers
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.deeds.deed import Actor, Purpose
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Principal, Role


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


@pytest.fixture
async def care(vault, partner):
    return await vault.token(partner.tenant, Role.CARE)


async def search(vault, token, *, purpose="customer-request", **value):
    return await vault.call(
        "POST", "/v1/customer-searches", token=token, purpose=purpose, json=value
    )


@pytest.mark.parametrize(
    "value",
    [
        {"contract_reference": "v 2027-0815"},
        {"phone": "+49 170 1234567"},
        {"email": "erika@example.org"},
        {"customer_number": "k4711"},
    ],
)
async def test_each_field_finds_the_customer(vault, partner, care, value):
    answer = await vault.issued(partner)
    await vault.issued(partner, contract_reference="other", customer={"name": "Other Person"})
    (found,) = (await search(vault, care, **value)).json()["customers"]
    assert found["customer"]["name"] == "Erika Mustermann-Kanari"
    (recording,) = found["recordings"]
    assert recording["recording_id"] == answer["recording_id"]
    assert recording["contract_reference"] == "V-2027/0815"
    assert recording["state"] == "playable"


async def test_care_finds_out_that_a_customer_objected(vault, partner, care):
    answer = await vault.issued(partner)
    for objected in (False, True):
        stored = await vault.credential(partner, answer["recording_id"])
        recordings = [structs.replace(each, objected=objected) for each in stored.record.recordings]
        changed = structs.replace(stored.record, recordings=tuple(recordings))
        await vault.ports.access.of(partner.tenant).replace(stored, changed)
        (found,) = (await search(vault, care, email="erika@example.org")).json()["customers"]
        assert [each["objected"] for each in found["recordings"]] == [objected]


async def test_a_search_shows_no_more_than_is_needed_to_tell_two_apart(vault, partner, care):
    await vault.issued(partner)
    told = (await search(vault, care, email="erika@example.org")).text
    for hidden in ("1980-05-17", "Kanarienweg", "agent-7"):
        assert hidden not in told


async def test_the_search_is_recorded_before_anything_is_opened(vault, partner):
    await vault.issued(partner)

    class Blind(Exception):
        pass

    class NoKeys:
        def __getattr__(self, name):
            return getattr(vault.custody, name)

        async def subject_key(self, tenant, subject):
            raise Blind

    by = Principal(new_id(), partner.tenant, Role.CARE)
    wanted = Search("email", "erika@example.org", Purpose.PURPOSE_DISPUTE, "")
    with pytest.raises(Blind):
        await search_customers(wanted, by=by, ports=replace(vault.ports, custody=NoKeys()))
    searched, seen = await vault.deeds("CUSTOMERS_SEARCHED")
    assert (searched.object_id, searched.actor) == ("", by.id)
    assert len(seen.object_id) == 32
    assert searched.purpose == seen.purpose == Purpose.PURPOSE_DISPUTE


async def test_a_search_that_finds_nothing_is_a_deed_too(vault, partner, care):
    told = await search(vault, care, email="nobody@example.org")
    assert told.json() == {"customers": []}
    assert len(await vault.deeds("CUSTOMERS_SEARCHED")) == 1


async def test_another_tenant_finds_nothing(vault, partner):
    await vault.issued(partner)
    stranger = await vault.token(await vault.tenant("borealis.example"), Role.CARE)
    told = await search(vault, stranger, email="erika@example.org")
    assert told.json() == {"customers": []}


async def test_care_of_a_department_sees_its_own_recordings_only(vault):
    tenant = await vault.tenant()
    admin = await vault.token(tenant, Role.TENANT_ADMIN)
    for name in ("north", "south"):
        await vault.call("POST", "/v1/scopes", token=admin, json={"department": name})
    partner = await vault.partner(tenant)
    first = await vault.issued(partner, scope={"department": "north"})
    await vault.issued(partner, scope={"department": "south"}, join_access_id=first["access_id"])
    seen = {}
    for department in ("north", "south", "west"):
        token = await vault.token(tenant, Role.CARE, department=department)
        found = (await search(vault, token, email="erika@example.org")).json()["customers"]
        seen[department] = [len(each["recordings"]) for each in found]
    assert seen == {"north": [1], "south": [1], "west": []}


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@b", "phone": "1"}, {"email": None}], ids=["none", "two", "null"]
)
async def test_exactly_one_thing_is_searched_for(vault, care, body):
    told = await search(vault, care, **body)
    assert (told.status_code, slug(told)) == (422, "search-unclear")


async def test_there_is_no_search_by_name(vault, care):
    told = await search(vault, care, name="Erika Mustermann-Kanari")
    assert told.status_code == 422
    assert "Erika" not in told.text


async def test_a_search_says_why(vault, care):
    told = await search(vault, care, purpose=None, email="a@b")
    assert (told.status_code, slug(told)) == (422, "purpose-required")


@pytest.mark.parametrize("role", [Role.PARTNER, Role.AUDITOR, Role.TENANT_ADMIN])
async def test_only_care_searches(vault, partner, role):
    token = await vault.token(partner.tenant, role)
    assert (await search(vault, token, email="a@b")).status_code == 403


async def test_a_closed_tenant_is_not_searched(vault, partner, care):
    await vault.issued(partner)
    await close_tenant(partner.tenant, by=Actor.service(), ports=vault.ports)
    told = await search(vault, care, email="erika@example.org")
    assert (told.status_code, slug(told)) == (403, "tenant-closed")
