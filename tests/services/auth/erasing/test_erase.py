"""Erasing: what goes, what stays, and that it is one write with its deeds and certificates."""

import asyncio
import base64
import dataclasses
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace
from tests.services.auth.issuing_world import Upload, an_auth, metadata, slug

from voicefile.auth.erasing.certificate import Why
from voicefile.auth.erasing.erase import Order, erase, finish
from voicefile.auth.erasing.expire import expire
from voicefile.auth.erasing.hold import as_held
from voicefile.auth.erasing.metrics import erasures_stuck
from voicefile.auth.records import due_day
from voicefile.auth.store import ACCESS, DIRECTORY, CredentialState, RecordingState, Slip
from voicefile.contracts.auth.v1 import RecordingState as StateCode
from voicefile.crypto.keyring import EPOCH_LIFE_MAX_S
from voicefile.crypto.primitives import sha256
from voicefile.deeds.deed import Actor
from voicefile.docstore.port import VersionConflict
from voicefile.identity.principal import Role

DAY_S = 86_400
ORDER = Order(by=Actor.service(), why=Why.EARLY)


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


def everything(_):
    return True


async def erased(vault, partner, recording, wanted=everything):
    return await erase(
        await vault.credential(partner, recording), wanted, order=ORDER, ports=vault.ports
    )


async def joined(vault, partner, count=2):
    """Recordings of one customer."""
    first = await vault.issued(partner)
    more = [
        await vault.issued(partner, contract_reference=f"V-{n}", join_access_id=first["access_id"])
        for n in range(1, count)
    ]
    return [first, *more]


async def search(vault, partner, **what):
    token = await vault.token(partner.tenant, Role.CARE)
    answer = await vault.call(
        "POST", "/v1/customer-searches", token=token, purpose="complaint", json=what
    )
    return answer.json()["customers"]


async def claims_of(vault, partner, certificate):
    """The certificate's claims, checked by another library with the published key."""
    kid = jwt.get_unverified_header(certificate)["kid"]
    keys = await vault.call("GET", f"/v1/tenants/{partner.tenant}/receipt-keys")
    (key,) = [each for each in keys.json()["keys"] if each["kid"] == kid]
    public = base64.urlsafe_b64decode(key["x"] + "=")
    return jwt.decode(certificate, Ed25519PublicKey.from_public_bytes(public), algorithms=["EdDSA"])


async def test_with_the_last_recording_nothing_of_the_customer_is_left(vault, partner):
    said = await vault.issued(partner)
    before = await vault.credential(partner, said["recording_id"])
    done = await erased(vault, partner, said["recording_id"])
    assert (done.recordings, done.held, done.customer) == ((said["recording_id"],), (), True)
    after = await vault.docs.get(ACCESS, before.id)
    left = {name: value for name, value in after.body.items() if value and name != "mac"}
    (recording,) = left.pop("recordings")
    assert left == {
        "partner": partner.id,
        "state": "erased",
        "letter": before.record.letter.value,
        "generation": 2,
        "subject": {"id": "", "key": {"epoch": "", "sealed": b""}, "fields": {}},
        "erased_days": [due_day(recording["erased_on"])],
    }
    kept = {name: value for name, value in recording.items() if value}
    assert set(kept) == {
        "id", "partner", "state", "slip", "stored_on", "delete_on", "erased_on", "certificate"
    }  # fmt: skip
    assert kept["slip"] == {"epoch": "", "sealed": b""}
    assert await vault.docs.scan(DIRECTORY) == []
    assert await search(vault, partner, contract_reference="V-2027/0815") == []


async def test_one_of_several_goes_alone_and_its_reference_with_it(vault, partner):
    first, second = await joined(vault, partner)
    before = await vault.credential(partner, first["recording_id"])
    gone = first["recording_id"]
    done = await erased(vault, partner, gone, lambda each: each.id == gone)
    assert (done.recordings, done.customer) == ((gone,), False)
    after = (await vault.credential(partner, gone)).record
    assert [each.state for each in after.recordings] == ["erased", "playable"]
    assert after.recordings[1] == before.record.recordings[1]
    assert after.subject == before.record.subject
    assert len(after.tokens) == len(before.record.tokens) - 1
    assert await search(vault, partner, contract_reference="V-2027/0815") == []
    (found,) = await search(vault, partner, contract_reference="V-1")
    assert await search(vault, partner, phone="0170 1234567") == [found]
    assert found["recordings"][1]["recording_id"] == second["recording_id"]


async def test_deeds_facts_and_state_are_one_write(vault, partner):
    said = await vault.issued(partner)
    before = await vault.credential(partner, said["recording_id"])
    await erased(vault, partner, said["recording_id"])
    after = await vault.docs.get(ACCESS, before.id)
    assert after.version == before.document.version + 2  # the second one: out of the directory
    recording, customer = (await vault.events())[-2:]
    assert recording.recording_changed.state == StateCode.RECORDING_STATE_ERASED
    assert recording.recording_changed.recording_id == said["recording_id"]
    # What it had, so that copies elsewhere go as well; the document names none of it any more.
    assert sorted(recording.recording_changed.blobs) == sorted(before.document.body["blob_names"])
    assert after.body["blob_names"] == []
    assert recording.deed.object_id == said["recording_id"]
    assert (customer.access_erased.tenant, customer.access_erased.credential) == (
        partner.tenant,
        before.id,
    )
    assert customer.deed.object_id == before.id


async def test_the_certificate_says_what_when_why_and_by_which_deed(vault, partner):
    said = await vault.issued(partner)
    opened_s = (await vault.custody.namespace(partner.tenant)).current_epoch.opened_at_s
    vault.clock.s += DAY_S
    await erased(vault, partner, said["recording_id"])
    (deed,) = await vault.deeds("RECORDING_ERASED")
    stored = await vault.credential(partner, said["recording_id"])
    certificate = stored.record.recordings[0].certificate
    claims = await claims_of(vault, partner, certificate)
    salt = claims.pop("salt")
    assert len(salt) == 43
    assert claims == {
        "v": 1,
        "iss": "test",
        "what": "customer",
        "tenant": partner.tenant,
        "recording_id": said["recording_id"],
        "log": f"voicefile/test/{partner.tenant}",
        "erased_at": "2027-01-16T08:00:00.000Z",
        "why": "early",
        "deed_id": deed.deed_id,
        "keys_end_by": "2027-01-22T08:00:00.000Z",
    }
    assert opened_s + EPOCH_LIFE_MAX_S == 1_800_604_800
    assert deed.commitment == sha256(certificate.encode())


async def test_done_again_it_does_nothing(vault, partner):
    said = await vault.issued(partner)
    await erased(vault, partner, said["recording_id"])
    before, told = await vault.docs.scan(ACCESS), len(await vault.events())
    again = await erased(vault, partner, said["recording_id"])
    assert (again.recordings, again.held) == ((), ())
    assert await vault.docs.scan(ACCESS) == before
    assert len(await vault.events()) == told


async def test_nothing_that_comes_later_brings_it_back(vault, partner):
    upload = Upload(partner)
    said = (await vault.issue(partner, upload)).json()
    await erased(vault, partner, upload.recording)
    # The upload itself once more, its answer, a join, a new PIN, a change of state.
    assert slug(await vault.ask(upload)) == "key-reused"
    answer = await vault.call(
        "POST",
        f"/internal/v1/issues/{upload.recording}/answer",
        peer="ingest",
        json={
            "tenant": partner.tenant,
            "partner": partner.id,
            "idempotency_key": upload.idempotency_key,
        },
    )
    assert slug(answer) == "answer-expired"
    join = await vault.issue(partner, join_access_id=said["access_id"])
    assert slug(join) == "unknown-access-id"
    credential = (await vault.credential(partner, upload.recording)).id
    token = await vault.token(partner.tenant, Role.PARTNER, partner.id)
    for path, body in (("reissue", None), ("state", {"change": "restore"})):
        refused = await vault.call(
            "POST", f"/v1/credentials/{credential}/{path}", token=token, json=body
        )
        assert slug(refused) == "credential-over"


async def test_the_partner_is_told_that_it_is_erased_and_nothing_else(vault, partner):
    said = await vault.issued(partner)
    await erased(vault, partner, said["recording_id"])
    status = await vault.call(
        "GET",
        f"/internal/v1/recordings/{said['recording_id']}",
        peer="ingest",
        params={"tenant": partner.tenant, "partner": partner.id},
    )
    told = status.json()
    assert (told["state"], told["credential_state"]) == ("erased", "erased")
    assert (told["erased_on"], told["receipt"]) == ("2027-01-15", None)
    assert (await claims_of(vault, partner, told["certificate"]))["what"] == "customer"


async def due(vault, partner, count, **said):
    return [await vault.issued(partner, retention_class="short", **said) for _ in range(count)]


async def states(vault, partner, issued):
    found = {}
    for said in issued:
        stored = await vault.credential(partner, said["recording_id"])
        for each in stored.record.recordings:
            found[each.id] = each.state
    return found


async def test_what_is_due_is_erased_on_its_day_and_not_before(vault, partner):
    short, long = await due(vault, partner, 3), [await vault.issued(partner)]
    vault.clock.s += 30 * DAY_S - 8 * 3_600 - 1  # the last second of the day before
    assert await expire(vault.ports) == 0
    vault.clock.s += 1
    assert await expire(vault.ports) == 3
    assert set((await states(vault, partner, short)).values()) == {"erased"}
    assert set((await states(vault, partner, long)).values()) == {"playable"}
    assert await expire(vault.ports) == 0
    certificates = [
        (await vault.credential(partner, said["recording_id"])).record.recordings[0].certificate
        for said in short
    ]
    assert {(await claims_of(vault, partner, each))["why"] for each in certificates} == {"expired"}


async def test_a_round_reads_what_is_due_and_not_what_is_kept(tmp_path):
    reads = []

    class Counting:
        def __init__(self, store):
            self._store = store

        def __getattr__(self, name):
            operation = getattr(self._store, name)
            if name not in {"find", "ranged", "scan", "due"}:
                return operation

            async def counted(*args, **how):
                found = await operation(*args, **how)
                reads.append(len(found))
                return found

            return counted

    async with an_auth(tmp_path, wrap_store=Counting) as vault:
        partner = await vault.partner(await vault.tenant())
        for _ in range(20):
            await vault.issued(partner)
        await due(vault, partner, 2)
        vault.clock.s += 30 * DAY_S
        reads.clear()
        assert await expire(vault.ports) == 2
        assert sum(reads) <= 2 + 1  # what is due, and where its day begins


async def test_a_forged_document_holds_up_nobody_else(vault, partner):
    issued = await due(vault, partner, 3)
    forged = await vault.credential(partner, issued[0]["recording_id"])
    body = {**forged.document.body, "issued_on": "2020-01-01"}
    await vault.docs.replace(ACCESS, dataclasses.replace(forged.document, body=body))
    vault.clock.s += 30 * DAY_S
    assert await expire(vault.ports) == 2
    assert erasures_stuck()._value.get() == 1
    assert sorted((await states(vault, partner, issued[1:])).values()) == ["erased", "erased"]


async def test_two_instances_at_once_erase_each_once(tmp_path):
    async with an_auth(tmp_path) as vault:
        partner = await vault.partner(await vault.tenant())
        issued = await due(vault, partner, 10)
        vault.clock.s += 30 * DAY_S
        done = await asyncio.gather(*(expire(vault.ports) for _ in range(3)))
        assert sum(done) + await expire(vault.ports) == 10
        assert len(await vault.deeds("RECORDING_ERASED")) == 10
        assert set((await states(vault, partner, issued)).values()) == {"erased"}


async def test_killed_before_the_directory_the_next_round_finishes(vault, partner):
    (said,) = await due(vault, partner, 1)
    stored = await vault.credential(partner, said["recording_id"])
    release = vault.ports.directory.release

    async def killed(*_):
        raise MemoryError

    vault.ports.directory.release = killed
    vault.clock.s += 30 * DAY_S
    with pytest.raises(BaseExceptionGroup):
        await expire(vault.ports)
    vault.ports.directory.release = release
    assert (await vault.ports.access.of(partner.tenant).get(stored.id)).record.locator
    assert len(await vault.docs.scan(DIRECTORY)) == 1
    assert await expire(vault.ports) == 0
    assert not (await vault.ports.access.of(partner.tenant).get(stored.id)).record.locator
    assert await vault.docs.scan(DIRECTORY) == []
    assert len(await vault.deeds("CUSTOMER_ERASED")) == 1


async def test_a_change_that_came_first_is_not_undone(vault, partner):
    first, second = await joined(vault, partner)
    stale = await vault.credential(partner, first["recording_id"])
    newest = await vault.credential(partner, first["recording_id"])
    held = tuple(as_held(replace(each, objected=True)) for each in newest.record.recordings)
    await vault.ports.access.of(partner.tenant).replace(
        newest, replace(newest.record, recordings=held)
    )
    with pytest.raises(VersionConflict):
        await erase(stale, everything, order=ORDER, ports=vault.ports)
    done = await erased(vault, partner, first["recording_id"])
    assert done.held == (first["recording_id"], second["recording_id"])
    assert set((await states(vault, partner, [first])).values()) == {RecordingState.HELD}


async def test_deeds_of_erasing_name_nobody(vault, partner):
    said = await vault.issued(partner, customer={"name": "Erika Mustermann-Kanari"})
    await erased(vault, partner, said["recording_id"])
    stored = await vault.docs.scan(ACCESS)
    assert b"Kanari" not in json.dumps([repr(each.body) for each in stored]).encode()
    assert metadata()["contract_reference"] not in repr(stored)


async def test_finishing_touches_nobody_who_lives(vault, partner):
    said = await vault.issued(partner)
    stored = await vault.credential(partner, said["recording_id"])
    await finish(stored, ports=vault.ports)
    assert (await vault.credential(partner, said["recording_id"])).record == stored.record
    assert stored.record.state is CredentialState.ISSUED
    assert stored.record.recordings[0].slip != Slip("", b"")
