"""A rogue administrator can write the database, but holds no key: every manipulation shows."""

import asyncio
import copy
import json
from dataclasses import replace

import pytest
from tests.services.auth.issuing_world import an_auth, metadata

from voicefile.auth.issuing.access_id import normalised
from voicefile.auth.issuing.recording_status import recording_status
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.records import access_documents
from voicefile.auth.scrub import Scrubbed, scrub, scrub_if_due
from voicefile.auth.store import ACCESS, DEPLOYMENT, DIRECTORY, PRINCIPALS, TENANTS
from voicefile.auth.sweep import sweep_answers
from voicefile.crypto.errors import Tampered
from voicefile.docstore.port import Document
from voicefile.identity.principal import Role


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


@pytest.fixture
async def documents(vault, partner):
    """The access documents of a victim and of somebody who has a PIN of their own."""
    found = []
    for name in ("V-1", "V-2"):
        said = {"sensitive": True, "question": {"kind": "postcode", "answer": "12345"}}
        answer = await vault.issued(partner, **said, contract_reference=name)
        stored = await vault.credential(partner, answer["recording_id"])
        found.append(stored.document)
    return found


def at(body, path):
    for step in path[:-1]:
        body = body[step]
    return body, path[-1]


SWAPPED = [
    ("pin_verifier",),
    ("pin_salt",),
    ("locator",),
    ("subject",),
    ("subject", "key"),
    ("subject", "fields", "name"),
    ("question",),
    ("question", "verifier"),
    ("tokens",),
    ("recordings",),
    ("recordings", 0, "id"),
    ("recordings", 0, "slip"),
    ("recordings", 0, "slip", "sealed"),
    ("recordings", 0, "blobs"),
    ("recordings", 0, "blobs", "telephone", "name"),
    ("recordings", 0, "details"),
    ("recordings", 0, "answer"),
    ("mac",),
]


async def write(vault, victim, body):
    """Past auth: straight into the database, clearing unique values out of the way first."""
    stored = await vault.docs.get(ACCESS, victim.id)
    if stored is not None:
        await vault.docs.delete(ACCESS, stored)
    await vault.docs.insert(ACCESS, Document(victim.id, victim.tenant, body))


EDITED = [
    (("state",), "active"),
    (("partner",), "0" * 32),
    (("generation",), 7),
    (("question",), None),
    (("pepper",), "0" * 32),
    (("recordings", 0, "state"), "held"),
    (("recordings", 0, "sensitive"), False),
    (("recordings", 0, "objected"), True),
    (("recordings", 0, "partner"), "0" * 32),
    (("recordings", 0, "delete_on"), "2999-01-01"),
]


async def is_noticed(vault, victim):
    try:
        await vault.ports.access.of(victim.tenant).get(victim.id)
    except Tampered:
        return True
    return False


async def test_a_part_of_another_document_is_noticed(vault, documents):
    victim, other = documents
    await vault.docs.delete(ACCESS, other)
    noticed = []
    for path in SWAPPED:
        body, source = copy.deepcopy(victim.body), copy.deepcopy(other.body)
        place, name = at(body, path)
        donor, _ = at(source, path)
        assert place[name] != donor[name], path
        place[name] = donor[name]
        await write(vault, victim, {**body, "blob_names": []})
        noticed.append((path, await is_noticed(vault, victim)))
    assert noticed == [(path, True) for path in SWAPPED]
    # The control: the document itself, put back in the same way, is believed.
    await write(vault, victim, victim.body)
    assert not await is_noticed(vault, victim)


async def test_an_edited_field_is_noticed(vault, documents):
    victim, _ = documents
    noticed = []
    for path, value in EDITED:
        body = copy.deepcopy(victim.body)
        place, name = at(body, path)
        place[name] = value
        await write(vault, victim, body)
        noticed.append((path, await is_noticed(vault, victim)))
    assert noticed == [(path, True) for path, _ in EDITED]


async def test_a_whole_document_under_another_id_is_noticed(vault, documents):
    victim, other = documents
    await vault.docs.delete(ACCESS, other)
    await write(vault, victim, other.body)
    with pytest.raises(Tampered):
        await vault.ports.access.of(victim.tenant).get(victim.id)


async def test_a_document_given_to_another_tenant_is_noticed(vault, documents):
    victim, _ = documents
    elsewhere = await vault.tenant("borealis.example")
    await vault.docs.delete(ACCESS, victim)
    moved = await vault.docs.insert(ACCESS, Document(victim.id, elsewhere, victim.body))
    assert not await is_noticed(vault, victim), "it is missing where it was"
    assert await is_noticed(vault, moved)


async def test_an_index_that_leads_astray_is_noticed(vault, partner, documents):
    victim, other = documents
    (wanted,) = (each["id"] for each in victim.body["recordings"])

    class Astray:
        """A database whose index was bent: it answers another document of the same tenant."""

        def __getattr__(self, name):
            return getattr(vault.docs, name)

        async def find(self, *_, **__):
            return [await vault.docs.get(ACCESS, other.id)]

    bent = replace(vault.ports, access=access_documents(Astray(), vault.custody))
    with pytest.raises(Tampered):
        await recording_status(wanted, tenant=partner.tenant, partner=partner.id, ports=bent)


async def test_a_forgery_that_a_route_met_is_a_deed(vault, documents):
    victim, _ = documents
    await write(vault, victim, {**victim.body, "state": "active"})
    care = await vault.token(victim.tenant, Role.CARE)
    path = f"/v1/credentials/{victim.id}/state"
    told = await vault.call("POST", path, token=care, purpose="dispute", json={"change": "freeze"})
    assert told.status_code == 500
    assert victim.id not in told.text
    (deed,) = await vault.deeds("INTEGRITY_FAILED")
    assert (deed.tenant, deed.object_id) == (victim.tenant, victim.id)


async def test_the_scrub_comes_once_a_day_however_often_somebody_else_leads(vault):
    await vault.tenant()
    assert await scrub_if_due(vault.ports) == Scrubbed()
    read = []
    for _ in range(3):
        for _ in range(24):
            vault.clock.s += 3_600
            read.append((await scrub_if_due(vault.ports)).read)
    assert sum(count > 0 for count in read) == 3
    # Two that both believe to lead read twice, and that is all.
    vault.clock.s += 86_400
    both = await asyncio.gather(scrub_if_due(vault.ports), scrub_if_due(vault.ports))
    assert any(each.read for each in both)
    assert await scrub_if_due(vault.ports) == Scrubbed()


async def test_a_forgery_nobody_asks_for_is_found_by_the_scrub(vault, documents):
    victim, _ = documents
    clean = await scrub(vault.ports)
    assert (clean.read, clean.forged) == (4, 0)
    await write(vault, victim, {**victim.body, "state": "active"})
    await vault.docs.insert(ACCESS, Document("invented", "nowhere", {"state": "active"}))
    found = await scrub(vault.ports)
    assert (found.read, found.forged) == (5, 2)
    assert len(await vault.deeds("INTEGRITY_FAILED")) == 2


async def test_every_reader_notices(vault, partner, documents):
    victim, _ = documents
    body = copy.deepcopy(victim.body)
    body["state"] = "active"
    await write(vault, victim, body)
    records = vault.ports.access.of(victim.tenant)
    recording = victim.body["recordings"][0]["id"]
    with pytest.raises(Tampered):
        await records.find_one("recording", recording)
    with pytest.raises(Tampered):
        [each async for each in records.all()]
    said = metadata(contract_reference="V-1")
    care = await vault.token(victim.tenant, Role.CARE)
    searched = await vault.call(
        "POST",
        "/v1/customer-searches",
        token=care,
        purpose="dispute",
        json={"contract_reference": said["contract_reference"]},
    )
    assert searched.status_code == 500
    assert "Erika" not in searched.text


async def test_a_tenants_rules_cannot_be_widened_past_auth(vault, partner):
    document = await vault.docs.get(TENANTS, partner.tenant)
    body = {**document.body, "demo": False, "rules": {"pin_digits": 6}}
    await vault.docs.replace(TENANTS, replace(document, body=body))
    with pytest.raises(Tampered):
        await vault.ports.tenants.of(partner.tenant).get(partner.tenant)


async def test_an_invented_agent_signs_in_nowhere(vault, partner):
    staff = await vault.staff(partner.tenant)
    document = await vault.docs.get(PRINCIPALS, staff.id)
    invented = {**document.body, "role": "tenant_admin", "login": "f" * 64}
    await vault.docs.insert(PRINCIPALS, Document("a" * 32, partner.tenant, invented))
    with pytest.raises(Tampered):
        await vault.ports.principals.of(partner.tenant).get("a" * 32)


async def test_another_tenants_keys_do_not_open_in_this_ones_place(vault, partner):
    other = await vault.tenant("borealis.example")
    mine = await vault.docs.get(TENANTS, partner.tenant)
    theirs = await vault.docs.get(TENANTS, other)
    await vault.docs.replace(
        TENANTS, replace(mine, body={**mine.body, "keys": theirs.body["keys"]})
    )
    vault.custody.forget(partner.tenant)
    with pytest.raises(Tampered):
        await vault.custody.identity(partner.tenant)


async def test_a_planted_sealing_key_is_never_published(vault, partner):
    keys = await vault.custody.namespace(partner.tenant)
    planted = replace(
        keys, epochs=(*keys.epochs[:-1], replace(keys.epochs[-1], sealing_public=b"\x09" * 32))
    )
    sealing = await vault.custody.sealing_key(partner.tenant, planted)
    assert sealing.public == keys.current_epoch.sealing_public


async def test_the_deployments_record_is_believed_only_with_its_mac(vault):
    document = await vault.docs.get(DEPLOYMENT, "deployment")
    await vault.docs.replace(
        DEPLOYMENT, replace(document, body={**document.body, "lasting_root": "0" * 32})
    )
    with pytest.raises(Tampered):
        await vault.ports.deployments.of("").get("deployment")


async def test_what_is_told_of_a_forgery_names_nothing(vault, documents):
    victim, _ = documents
    body = copy.deepcopy(victim.body)
    body["state"] = "active"
    await write(vault, victim, body)
    with pytest.raises(Tampered) as noticed:
        await vault.ports.access.of(victim.tenant).get(victim.id)
    assert victim.id not in json.dumps(str(noticed.value))


async def test_a_directory_entry_bent_to_another_customer_takes_no_recording(vault, partner):
    named, victim = await vault.issued(partner), await vault.issued(partner)
    locator = await vault.custody.directory_locator(normalised(named["access_id"]))
    entry = await vault.docs.get(DIRECTORY, locator)
    stranger = (await vault.credential(partner, victim["recording_id"])).id
    bent = replace(entry, body={**entry.body, "credential": stranger})
    await vault.docs.replace(DIRECTORY, bent)
    answer = await vault.issue(partner, join_access_id=named["access_id"])
    assert answer.status_code == 404
    stored = await vault.credential(partner, victim["recording_id"])
    assert len(stored.record.recordings) == 1


async def test_a_forged_record_keeps_no_answer_of_others_alive(vault, partner):
    forged, honest = await vault.issued(partner), await vault.issued(partner)
    stored = await vault.credential(partner, forged["recording_id"])
    await vault.docs.replace(
        ACCESS, replace(stored.document, body={**stored.document.body, "state": "active"})
    )
    vault.clock.s += vault.settings.answer_max_s
    await sweep_answers(vault.ports)
    kept = (await vault.credential(partner, honest["recording_id"])).record.recordings[0].answer
    assert kept is None


async def test_a_forged_record_holds_up_no_other_tenants_rotation(vault):
    forging, honest = sorted([await vault.tenant(), await vault.tenant("borealis.example")])
    for tenant in (forging, honest):
        answer = await vault.issued(partner := await vault.partner(tenant))
        stored = await vault.credential(partner, answer["recording_id"])
        if tenant == forging:
            body = {**stored.document.body, "state": "active"}
            await vault.docs.replace(ACCESS, replace(stored.document, body=body))
    vault.clock.s += vault.settings.epoch_max_s
    await rotate(vault.ports)
    keys = await vault.custody.namespace(honest)
    moved = await vault.credential(partner, answer["recording_id"])
    assert moved.record.recordings[0].slip.epoch == keys.current_epoch.id
    assert len(keys.epochs) == 2
