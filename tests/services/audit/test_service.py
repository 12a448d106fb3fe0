"""Audit from outside: its doors, and that its proofs need nobody's word but the log key's."""

import asyncio
import base64
import hashlib
from dataclasses import replace
from typing import Any

import httpx
import pytest

from voicefile.audit.appendable import Appendable
from voicefile.audit.entry import commitment
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import SEGMENTS
from voicefile.contracts.deed.v1 import Action, Deed
from voicefile.docstore.port import StoreBroken
from voicefile.eventbus.port import Undelivered
from voicefile.identity.guard import RuleKind, rules_of
from voicefile.translog.checkpoint import open_checkpoint
from voicefile.translog.merkle import Frontier, leaf_hash
from voicefile.translog.note import VerifierKey
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.tiles import TILE_WIDTH, TilePath, tile_width

RECORDING = "ab" * 16
PARTNER = "cd" * 16
RECEIPT = "a.signed.receipt"
COMMITTED = hashlib.sha256(RECEIPT.encode()).digest()


def issued(instance: Any, tenant: str, recording: str = RECORDING) -> Any:
    return instance.does(
        tenant, action=Action.ACTION_ACCESS_ISSUED, object_id=recording, commitment=COMMITTED
    )


@pytest.fixture
async def filed(house, tenant, instance) -> Any:
    """A house whose tenant's log holds 400 deeds, one of them a receipt's."""
    before, after = instance.does_often(tenant, 270), instance.does_often(tenant, 129)
    await house.bus.publish([*before, issued(instance, tenant), *after])
    await house.published(tenant, 400)
    return house


async def test_a_proof_verifies_with_translog_and_the_log_key_alone(filed, tenant, token) -> None:
    answer = await filed.get(f"/v1/recordings/{RECORDING}/proof", bearer=token("auditor", tenant))
    assert answer.status_code == 200
    told = answer.json()
    key = VerifierKey.parse(told["verifier_key"])
    proof = TlogProof.parse(told["tlog_proof"])
    salt, entry = proof.extra[:32], proof.extra[32:]
    checkpoint = proof.verify(commitment(salt, entry), key)
    assert checkpoint.origin == f"voicefile/test/{tenant}"
    assert checkpoint.size >= 400
    deed = Deed.FromString(entry)
    assert (deed.object_id, deed.commitment) == (RECORDING, COMMITTED)
    assert told["index"] == proof.index == 270
    assert told["checkpoint"] == proof.checkpoint
    assert [base64.b64decode(step) for step in told["proof"]] == list(proof.hashes)
    assert base64.b64decode(told["salt"]) + base64.b64decode(told["entry"]) == proof.extra
    assert told["deed"]["action"] == "access-issued"


async def test_the_key_in_the_proof_is_the_one_published(filed, tenant, token) -> None:
    told = (
        await filed.get(f"/v1/recordings/{RECORDING}/proof", bearer=token("auditor", tenant))
    ).json()
    published = await filed.get(f"/v1/logs/{tenant}/key")
    assert published.text == told["verifier_key"] + "\n"


async def test_the_proof_of_a_joined_recording_is_found_too(house, tenant, instance, token) -> None:
    joined = instance.does(
        tenant, action=Action.ACTION_RECORDING_JOINED, object_id=RECORDING, commitment=COMMITTED
    )
    await house.bus.publish([joined])
    await house.published(tenant, 1)
    path = f"/v1/recordings/{RECORDING}/proof"
    assert (await house.get(path, bearer=token("care", tenant))).status_code == 200


async def test_a_partner_proves_what_it_brought_and_nothing_else(
    house, tenant, instance, token
) -> None:
    brought = instance.does(
        tenant,
        action=Action.ACTION_ACCESS_ISSUED,
        object_id=RECORDING,
        commitment=COMMITTED,
        actor=PARTNER,
    )
    await house.bus.publish([brought])
    await house.published(tenant, 1)
    path = f"/v1/recordings/{RECORDING}/proof"
    assert (await house.get(path, bearer=token("partner", tenant, PARTNER))).status_code == 200
    foreign = await house.get(path, bearer=token("partner", tenant))
    missing = await house.get(
        f"/v1/recordings/{'0' * 32}/proof", bearer=token("partner", tenant, PARTNER)
    )
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content


async def test_an_outsider_recounts_the_log_from_its_tiles(filed, tenant) -> None:
    key = VerifierKey.parse((await filed.get(f"/v1/logs/{tenant}/key")).text.strip())
    note = (await filed.get(f"/v1/logs/{tenant}/checkpoint")).text
    signed = open_checkpoint(note, key)
    hashes, leaves = b"", []
    for index in range(-(-signed.size // TILE_WIDTH)):
        width = tile_width(0, index, signed.size)
        hashes += (await tile_of(filed, tenant, TilePath(0, index, width))).content
        bundle = (await tile_of(filed, tenant, TilePath(None, index, width))).content
        leaves += [bundle[at + 2 : at + 34] for at in range(0, len(bundle), 34)]
    assert hashes == b"".join(leaf_hash(leaf) for leaf in leaves)
    assert Frontier().extended(map(leaf_hash, leaves)).root() == signed.root


async def tile_of(house: Any, tenant: str, path: TilePath) -> httpx.Response:
    answer = await house.get(f"/v1/logs/{tenant}/tile/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "immutable" in answer.headers["cache-control"]
    return answer


@pytest.mark.parametrize(
    "tile", ["0/002", "0/001.p/255", "3/000", "1/000", "1/000.p/2", "0/000.p/256", "x", "0/../0"]
)
async def test_what_is_not_published_is_no_tile(filed, tenant, tile) -> None:
    assert (await filed.get(f"/v1/logs/{tenant}/tile/{tile}")).status_code == 404


async def test_an_auditor_reads_the_own_log_page_by_page(filed, tenant, token) -> None:
    bearer, start, indices = token("auditor", tenant), 0, []
    while start is not None and start < 400:
        page = await filed.get(
            f"/v1/logs/{tenant}/entries?start={start}&limit=150", bearer=bearer, purpose="legal"
        )
        told = page.json()
        for entry in told["entries"]:
            salt, raw = base64.b64decode(entry["salt"]), base64.b64decode(entry["entry"])
            assert len(commitment(salt, raw)) == 32
            assert Deed.FromString(raw).deed_id == entry["deed"]["deed_id"]
            indices.append(entry["index"])
        start = told["next"]
    assert indices[:400] == list(range(400))


async def test_each_reading_is_itself_a_deed(filed, tenant, token) -> None:
    bearer = token("auditor", tenant)
    await filed.get(f"/v1/logs/{tenant}/entries?limit=1", bearer=bearer, purpose="complaint")
    await filed.get(f"/v1/recordings/{RECORDING}/proof", bearer=bearer)
    await filed.get(f"/v1/recordings/{'00' * 16}/proof", bearer=bearer)
    await filed.published(tenant, 403)
    page = await filed.get(f"/v1/logs/{tenant}/entries?start=400&limit=3", bearer=bearer)
    deeds = [entry["deed"] for entry in page.json()["entries"]]
    assert [(d["action"], d["outcome"], d["object_id"]) for d in deeds] == [
        ("log-read", "done", tenant),
        ("proof-read", "done", RECORDING),
        ("proof-read", "refused", "00" * 16),
    ]
    assert {d["role"] for d in deeds} == {"auditor"}
    assert deeds[0]["purpose"] == "complaint"


async def test_foreign_and_missing_are_the_same_bytes(filed, tenant, other_tenant, token) -> None:
    foreign = token("auditor", other_tenant)
    own = token("auditor", tenant)
    answers = [
        await filed.get(f"/v1/logs/{tenant}/entries", bearer=foreign),
        await filed.get(f"/v1/logs/{'12' * 16}/entries", bearer=own),
        await filed.get("/v1/logs/platform/entries", bearer=own),
        await filed.get(f"/v1/recordings/{RECORDING}/proof", bearer=foreign),
        await filed.get(f"/v1/recordings/{'34' * 16}/proof", bearer=own),
        await filed.get(f"/v1/logs/{'56' * 16}/checkpoint"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


async def test_the_platform_s_log_is_the_operator_s_to_read(house, tenant, instance, token) -> None:
    await house.bus.publish([instance.does(""), instance.does(tenant)])
    await house.published("", 1)
    await house.published(tenant, 1)
    operator = token("operator", "")
    page = await house.get("/v1/logs/platform/entries", bearer=operator)
    assert len(page.json()["entries"]) == 1
    assert (await house.get(f"/v1/logs/{tenant}/entries", bearer=operator)).status_code == 404


async def test_a_receipt_not_under_a_checkpoint_is_not_found_yet(
    docs, tenant, instance, keeper_of, house_of, tmp_path, token
) -> None:
    keeper = keeper_of(docs)
    await keeper.append(instance.does_often(tenant, 3))
    await keeper.publish(tenant)
    await keeper.append([issued(instance, tenant)])
    path = f"/v1/recordings/{RECORDING}/proof"
    async with house_of(docs, tmp_path / "root", publishing=False) as house:
        assert (await house.get(path, bearer=token("partner", tenant))).status_code == 404


async def test_only_auth_asks_whether_deeds_can_be_appended(house, tenant, instance) -> None:
    await house.bus.publish(instance.does_often(tenant, 9))
    path = "/audit/internal/v1/appendable"
    async with house.client(peer="auth") as auth:
        answer = (await auth.get(path)).json()
        assert answer["appendable"] is True
        assert answer["sequenced"][instance.boot] == 9
    async with house.client(peer="playback") as playback:
        assert (await playback.get(path)).status_code == 403
    async with house.client() as nobody:
        assert (await nobody.get(path)).status_code == 401


async def test_without_a_running_sequencer_nothing_can_be_appended(docs, keeper_of) -> None:
    keeper = keeper_of(docs)
    appendable = Appendable(docs, keeper.lead, settings=AuditSettings())
    assert (await appendable.verdict()).appendable is False
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.sequencer.run())
        await asyncio.sleep(0)
        assert (await appendable.verdict()).appendable is True
        await keeper.sequencer.stop()
    assert (await appendable.verdict()).appendable is False


async def test_a_disk_that_refuses_is_not_appendable(docs, keeper_of) -> None:
    keeper, now_s = keeper_of(docs), 0.0
    appendable = Appendable(docs, keeper.lead, settings=AuditSettings(), monotonic=lambda: now_s)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.sequencer.run())
        await asyncio.sleep(0)
        assert (await appendable.verdict()).appendable is True
        await docs.close()
        now_s = 0.2
        assert (await appendable.verdict()).appendable is True
        now_s = 0.3
        assert (await appendable.verdict()).appendable is False
        await keeper.sequencer.stop()


async def test_a_write_that_fails_is_told_and_the_deed_comes_again(
    docs, tenant, instance, keeper_of
) -> None:
    keeper, events = keeper_of(docs), instance.does_often(tenant, 3)
    await docs.close()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.sequencer.run())
        with pytest.raises(StoreBroken):
            await keeper.sequencer.handle(events)
        await keeper.sequencer.stop()


async def test_what_comes_after_the_end_stays_with_the_bus(
    docs, tenant, instance, house_of, tmp_path
) -> None:
    async with house_of(docs, tmp_path / "root", publishing=False) as house, house.bus.running():
        async with house.service.running():
            await house.bus.publish(instance.does_often(tenant, 2))
        with pytest.raises(Undelivered):
            await house.bus.publish([instance.does(tenant)])


@pytest.mark.parametrize("role", ["partner", "customer", "care", "tenant_admin", "operator"])
async def test_entries_are_for_auditors(filed, tenant, token, role) -> None:
    bearer = token(role, "" if role == "operator" else tenant)
    answer = await filed.get(f"/v1/logs/{tenant}/entries", bearer=bearer)
    assert answer.status_code == (404 if role == "operator" else 403)


@pytest.mark.parametrize(
    "path", [f"/v1/logs/{'0' * 32}/entries", f"/v1/recordings/{RECORDING}/proof"]
)
async def test_nobody_reads_without_a_token(house, path) -> None:
    assert (await house.get(path)).status_code == 401


async def test_a_restart_keeps_the_key_and_the_log(
    docs, tenant, instance, house_of, tmp_path
) -> None:
    seen = []
    for size in (3, 6):
        async with house_of(docs, tmp_path / "root") as house:
            await house.bus.publish(instance.does_often(tenant, 3))
            await house.published(tenant, size)
            seen.append((await house.get(f"/v1/logs/{tenant}/key")).text)
    assert seen[0] == seen[1]


async def test_leaving_publishes_what_was_appended(
    docs, tenant, instance, house_of, tmp_path, keeper_of
) -> None:
    async with house_of(docs, tmp_path / "root", every_s=1.0) as house:
        await house.bus.publish(instance.does_often(tenant, 1))
        await house.published(tenant, 1)
        await house.bus.publish(instance.does_often(tenant, 40))
    async with house_of(docs, tmp_path / "root", publishing=False) as house:
        await house.published(tenant, 41)


def test_every_route_has_its_rule(house) -> None:
    rules = rules_of(house.service.public)
    kinds = {path: rule.kind for (_, path), rule in rules.items()}
    assert kinds["/v1/logs/{log}/entries"] is RuleKind.ROLES
    assert kinds["/v1/recordings/{recording_id}/proof"] is RuleKind.ROLES
    assert rules_of(house.service.internal)[("GET", "/internal/v1/appendable")].who == {"auth"}


KEY_COMMITTED = hashlib.sha256(b"voicefile/receipt-key\x00kid" + bytes(32)).digest()


def opened(instance: Any, tenant: str) -> Any:
    return instance.does(
        tenant, action=Action.ACTION_TENANT_OPENED, object_id=tenant, commitment=KEY_COMMITTED
    )


async def test_with_a_receipts_proof_comes_that_of_the_key_that_signed_it(
    house, tenant, instance, token
) -> None:
    events = [*instance.does_often(tenant, 3), opened(instance, tenant), issued(instance, tenant)]
    await house.bus.publish(events)
    await house.published(tenant, 5)
    path = f"/v1/recordings/{RECORDING}/proof"
    told = (await house.get(path, bearer=token("auditor", tenant))).json()
    proof = TlogProof.parse(told["receipt_key_proof"])
    key = VerifierKey.parse(told["verifier_key"])
    assert proof.checkpoint == told["checkpoint"]
    proof.verify(commitment(proof.extra[:32], proof.extra[32:]), key)
    deed = Deed.FromString(proof.extra[32:])
    assert (deed.object_id, deed.commitment) == (tenant, KEY_COMMITTED)


async def test_a_log_without_its_tenants_opening_proves_receipts_all_the_same(
    filed, tenant, token
) -> None:
    path = f"/v1/recordings/{RECORDING}/proof"
    told = (await filed.get(path, bearer=token("auditor", tenant))).json()
    assert told["receipt_key_proof"] is None


async def test_a_log_that_earlier_versions_began_proves_its_key_too(
    house, tenant, instance, token
) -> None:
    await house.bus.publish([opened(instance, tenant), issued(instance, tenant)])
    await house.published(tenant, 2)
    (document,) = await house.docs.ranged(SEGMENTS, "stop", 0, tenant=tenant, limit=1)
    before = [each for each in document.body["vouched"] if each["recording"] != tenant]
    await house.docs.replace(SEGMENTS, replace(document, body=document.body | {"vouched": before}))
    path = f"/v1/recordings/{RECORDING}/proof"
    told = (await house.get(path, bearer=token("auditor", tenant))).json()
    assert TlogProof.parse(told["receipt_key_proof"]).index == 0
