"""Papers of a bundle: every proof in them leads to one and the same checkpoint."""

from typing import Any

import pytest
from tests.services.audit.conftest import NOW_S, key_of, new_id
from tests.services.audit.test_recordings import deed
from tests.services.audit.test_witnesses import Clock, collector
from tests.services.audit.witnesses import Watcher

from voicefile.audit.errors import NotFound
from voicefile.audit.look_up import Bounds
from voicefile.audit.papers import gather_papers
from voicefile.contracts.deed.v1 import Action, Outcome
from voicefile.translog.checkpoint import open_checkpoint
from voicefile.translog.cosignature import cosigned_at
from voicefile.translog.deed_leaf import commitment
from voicefile.translog.merkle import leaf_hash
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.proofs import verify_inclusion
from voicefile.verify.deed_list import parse_deeds
from voicefile.verify.deed_wire import ACTIONS, read_deed, word

RECORDING = new_id()
BOUNDS = Bounds(entries=3, steps=4)
"""Small, so that what is looked for takes several rounds."""


@pytest.fixture
async def filed(docs, tenant, instance, keeper_of) -> Any:
    """A log with a recording, its deeds far apart among those about others."""
    keeper = keeper_of(docs)

    def did(action: Action, object_id: str = RECORDING, **told: Any) -> Any:
        return deed(tenant, instance, action, object_id, **told)

    events = [
        did(Action.ACTION_TENANT_OPENED, tenant, commitment=bytes(32)),
        did(Action.ACTION_ACCESS_ISSUED, commitment=bytes(32)),
    ]
    for _ in range(12):
        events += instance.does_often(tenant, 9)
        events.append(did(Action.ACTION_RELEASE_GRANTED))
        events.append(did(Action.ACTION_RELEASE_GRANTED, outcome=Outcome.OUTCOME_REFUSED))
        events.append(did(Action.ACTION_LISTENING_ENDED, new_id(), related_id=RECORDING))
    await keeper.append(events)
    await keeper.publish(tenant)
    return keeper


async def test_all_deeds_done_with_it_are_proven_under_the_receipts_checkpoint(
    docs, tenant, filed
) -> None:
    papers = await gather_papers(docs, tenant, RECORDING, bounds=BOUNDS)
    listed = parse_deeds(papers.deeds)
    assert [word(ACTIONS, each.entry.deed.action) for each in listed] == [
        "access-issued",
        *["release-granted"] * 12,
    ]
    for text in (papers.proof.text, papers.receipt_key.text):
        assert TlogProof.parse(text).checkpoint == papers.proof.checkpoint
    head = open_checkpoint(papers.proof.checkpoint, key_of(tenant))
    for each in listed:
        leaf = leaf_hash(commitment(each.entry.salt, each.entry.entry))
        verify_inclusion(
            leaf=leaf, index=each.entry.index, size=head.size, proof=each.proof, root=head.root
        )


async def test_what_came_after_the_cosigned_checkpoint_is_left_for_the_next(
    docs, tenant, filed, instance, tmp_path
) -> None:
    watcher = Watcher.begun(tmp_path / "witness").trusts(key_of(tenant))
    witnesses = collector(docs, Clock(), (watcher.place(), watcher.door(now_s=NOW_S)))
    await witnesses.begin()
    await witnesses.round()
    before = await gather_papers(docs, tenant, RECORDING, bounds=BOUNDS)
    await filed.append([deed(tenant, instance, Action.ACTION_RELEASE_GRANTED, RECORDING)])
    await filed.publish(tenant)
    papers = await gather_papers(docs, tenant, RECORDING, bounds=BOUNDS)
    assert cosigned_at(papers.proof.checkpoint, watcher.key) == NOW_S
    assert papers.deeds == before.deeds


async def test_a_recording_with_very_many_deeds_shows_the_first(docs, tenant, filed) -> None:
    whole = parse_deeds((await gather_papers(docs, tenant, RECORDING, bounds=BOUNDS)).deeds)
    few = await gather_papers(docs, tenant, RECORDING, bounds=BOUNDS, deeds_max=5)
    assert parse_deeds(few.deeds) == whole[:5]


async def test_a_receipt_signed_by_a_later_key_is_proven_with_the_deed_that_added_it(
    docs, tenant, filed, instance
) -> None:
    added, recording, early = new_id(), new_id(), new_id()
    named = {"commitment": b"\x01" * 32, "related_id": added}
    await filed.append(
        [
            deed(tenant, instance, Action.ACTION_ACCESS_ISSUED, early, commitment=bytes(32)),
            deed(tenant, instance, Action.ACTION_SIGNING_KEY_ADDED, added, commitment=b"\x02" * 32),
            deed(tenant, instance, Action.ACTION_RECORDING_JOINED, recording, **named),
        ]
    )
    await filed.publish(tenant)

    async def key_of_receipt(asked: str) -> Any:
        papers = await gather_papers(docs, tenant, asked, bounds=BOUNDS)
        return read_deed(papers.receipt_key.entry.entry)

    assert (await key_of_receipt(recording)).object_id == added
    for asked in (early, RECORDING):
        assert (await key_of_receipt(asked)).object_id == tenant


async def test_a_receipt_whose_key_the_log_does_not_name_has_no_papers(
    docs, tenant, filed, instance
) -> None:
    recording = new_id()
    named = {"commitment": bytes(32), "related_id": new_id()}
    await filed.append([deed(tenant, instance, Action.ACTION_ACCESS_ISSUED, recording, **named)])
    await filed.publish(tenant)
    with pytest.raises(NotFound):
        await gather_papers(docs, tenant, recording, bounds=BOUNDS)


async def test_nothing_is_told_of_a_foreign_or_a_missing_recording(
    docs, tenant, other_tenant, filed
) -> None:
    for whose, recording in ((other_tenant, RECORDING), (tenant, new_id())):
        with pytest.raises(NotFound):
            await gather_papers(docs, whose, recording, bounds=BOUNDS)


async def test_a_receipt_that_no_checkpoint_is_over_yet_is_not_found(
    docs, tenant, filed, instance
) -> None:
    fresh = new_id()
    issued = deed(tenant, instance, Action.ACTION_ACCESS_ISSUED, fresh, commitment=bytes(32))
    await filed.append([issued])
    with pytest.raises(NotFound):
        await gather_papers(docs, tenant, fresh, bounds=BOUNDS)
    await filed.publish(tenant)
    assert (await gather_papers(docs, tenant, fresh, bounds=BOUNDS)).proof.entry.index >= 100
