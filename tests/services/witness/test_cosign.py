"""What a witness answers, letter by letter, and what it leaves behind."""

import asyncio
import re

import pytest
from tests.services.witness.growing import OTHER_KEY, Growing

from voicefile.identity.guard import RuleKind, rules_of
from voicefile.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from voicefile.translog.cosignature import cosigned_at
from voicefile.translog.merkle import EMPTY_ROOT
from voicefile.translog.note import sign_note
from voicefile.translog.witnessing import SIZE_TYPE, AddCheckpoint
from voicefile.witness.app import build
from voicefile.witness.cosign import Witness
from voicefile.witness.errors import LogKnown, MemoryLost
from voicefile.witness.memory import EVIDENCE_MAX, Evidence, log_name
from voicefile.witness.settings import WitnessSettings


async def test_a_log_that_grows_is_cosigned_again_and_again(door, log, signer) -> None:
    known = 0
    for size in (1, 2, 5, 5, 300, 1000):
        log.grow(max(0, size - log.size))
        asked = log.asked(known, size)
        answer = await door.ask(asked)
        assert answer.status_code == 200
        assert re.fullmatch(r"— dpo\.example/w1 \S+\n", answer.text)
        assert cosigned_at(asked.checkpoint + answer.text, signer.public)
        known = size


async def test_the_empty_tree_is_cosigned_and_no_other_root_of_nothing(door, log) -> None:
    empty = sign_checkpoint(Checkpoint(log.origin, 0, EMPTY_ROOT), log.key)
    false = sign_checkpoint(Checkpoint(log.origin, 0, bytes(32)), log.key)
    assert (await door.ask(AddCheckpoint(0, (), false))).status_code == 422
    assert (await door.ask(AddCheckpoint(0, (), empty))).status_code == 200


async def test_an_old_size_that_is_another_is_answered_with_the_right_one(door, log) -> None:
    assert (await door.ask(log.asked(0, 3))).status_code == 200
    for old in (0, 2, 4):
        answer = await door.ask(log.asked(old, 5))
        assert (answer.status_code, answer.text) == (409, "3\n")
        assert answer.headers["content-type"] == SIZE_TYPE


async def test_what_does_not_continue_the_log_is_not_cosigned_and_kept(door, log, memory) -> None:
    assert (await door.ask(log.asked(0))).status_code == 200
    forked = log.forked(3).grow(4, mark="other ")
    proofs = [forked.proof(5, 7), log.proof(3, 5), (), (bytes(32),)]
    for proof in proofs:
        answer = await door.ask(AddCheckpoint(5, proof, forked.signed()))
        assert answer.status_code == 422
    [kept] = memory.evidence(log_name(log.origin), Evidence.UNPROVEN)
    assert open_checkpoint(kept.read_text(), log.verifier).root == forked.root(7)
    assert (await door.ask(log.grow(1).asked(5))).status_code == 200


async def test_another_tree_of_the_same_size_is_evidence_that_needs_no_proof(
    door, log, memory
) -> None:
    assert (await door.ask(log.asked(0))).status_code == 200
    other = log.forked(4).grow(1, mark="other ")
    assert (await door.ask(AddCheckpoint(5, (), other.signed()))).status_code == 422
    [kept] = memory.evidence(log_name(log.origin), Evidence.FORKED)
    assert open_checkpoint(kept.read_text(), log.verifier).size == 5


async def test_a_stranger_s_wrong_proof_makes_nobody_a_liar(door, log, memory) -> None:
    assert (await door.ask(log.asked(0))).status_code == 200
    log.grow(3)
    for _ in range(EVIDENCE_MAX + 5):
        honest = log.grow(1).signed()
        assert (await door.ask(AddCheckpoint(5, (bytes(32),), honest))).status_code == 422
    # The same head with a proof it does not need is no second tree either.
    assert (await door.ask(AddCheckpoint(5, (bytes(32),), log.signed(5)))).status_code == 422
    assert memory.evidence(log_name(log.origin), Evidence.FORKED) == []
    assert len(memory.evidence(log_name(log.origin), Evidence.UNPROVEN)) == EVIDENCE_MAX
    assert (await door.ask(log.asked(5))).status_code == 200


async def test_a_proof_from_nothing_has_to_be_empty(door, log) -> None:
    assert (await door.ask(AddCheckpoint(0, (bytes(32),), log.signed()))).status_code == 422


async def test_a_tree_that_shrank_is_refused(door, log) -> None:
    assert (await door.ask(log.asked(0))).status_code == 200
    assert (await door.ask(AddCheckpoint(5, (), log.signed(3)))).status_code == 400
    assert (await door.ask(log.asked(0, 3))).status_code == 409


async def test_only_the_log_s_own_key_counts_whatever_it_is_called(door, log) -> None:
    swapped = Growing(log.origin, OTHER_KEY, log.leaves)
    assert (await door.ask(swapped.asked(0))).status_code == 403
    both = log.signed() + swapped.signed().split("\n\n")[1]
    assert (await door.ask(AddCheckpoint(0, (), both))).status_code == 200
    spoilt = log.signed()[:-8] + "AAAAAA=\n"
    assert (await door.ask(AddCheckpoint(5, (), spoilt))).status_code in {400, 403}


async def test_a_log_nobody_configured_is_unknown(door) -> None:
    stranger = Growing("voicefile/test/platform").grow(2)
    assert (await door.ask(stranger.asked(0))).status_code == 404


async def test_what_is_signed_but_no_checkpoint_is_refused(door, log) -> None:
    note = sign_note(f"{log.origin}\nmany\n", name=log.origin, key=log.key)
    assert (await door.ask(AddCheckpoint(0, (), note))).status_code == 400


@pytest.mark.parametrize("body", [b"", b"old 0\n", b"\xff\xfe", b"old 0\n\n\n\n"])
async def test_what_can_not_be_read_is_refused_and_not_echoed(door, body) -> None:
    answer = await door.ask(body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"old" not in answer.content


async def test_a_request_without_end_is_cut_off(door) -> None:
    assert (await door.ask(b"old 0\n" + b"A" * 100_000)).status_code == 413


async def test_the_last_checkpoint_is_shown_under_both_signatures(door, log, signer) -> None:
    path = f"/{log_name(log.origin)}/checkpoint"
    assert (await door.client.get(path)).status_code == 404
    strangers = AddCheckpoint(0, (), log.signed() + "— stranger.example Zm9vYmFy\n")
    assert (await door.ask(strangers)).status_code == 200
    shown = (await door.client.get(path)).text
    assert open_checkpoint(shown, log.verifier).size == 5
    assert cosigned_at(shown, signer.public)
    assert "stranger" not in shown
    assert (await door.client.get(f"/{'0' * 64}/checkpoint")).status_code == 404


async def test_of_two_that_start_from_one_size_one_wins(door, log) -> None:
    assert (await door.ask(log.asked(0))).status_code == 200
    branches = [log.forked(5).grow(3, mark=f"{n} ") for n in range(8)]
    answers = await asyncio.gather(*(door.ask(branch.asked(5)) for branch in branches))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_a_witness_that_forgot_stops_for_good(door, log, folder) -> None:
    assert (await door.ask(log.asked(0))).status_code == 200
    place = folder / "logs" / log_name(log.origin) / "cosigned"
    kept = place.read_text()
    place.unlink()
    assert (await door.ask(log.asked(0))).status_code == 500
    assert [type(failure) for failure in door.failures] == [MemoryLost]
    # Not even if somebody puts it back: what else happened to the disk, nobody knows.
    place.write_text(kept)
    assert (await door.ask(log.asked(5))).status_code == 500


def test_a_memory_that_somebody_edited_is_lost(memory, log, signer, folder) -> None:
    memory.trust(log.verifier)
    Witness(memory, signer).add_checkpoint(log.asked(0, 3))
    place = folder / "logs" / log_name(log.origin) / "cosigned"
    for damaged in (log.signed(2), place.read_text().replace("\n3\n", "\n2\n"), "x"):
        place.write_text(damaged)
        with pytest.raises(MemoryLost):
            memory.seen(log_name(log.origin))


def test_a_log_s_key_is_never_exchanged(memory, log) -> None:
    memory.trust(log.verifier)
    for key in (log.key, OTHER_KEY):
        with pytest.raises(LogKnown):
            memory.trust(Growing(log.origin, key).verifier)
    assert memory.seen(log_name(log.origin)).key == log.verifier


def test_every_door_is_open_and_says_why(memory, signer) -> None:
    app = build(WitnessSettings(), Witness(memory, signer), on_failure=lambda _: None)
    rules = rules_of(app)
    assert set(rules) == {("POST", "/add-checkpoint"), ("GET", "/{log}/checkpoint")}
    assert all(rule.kind is RuleKind.PUBLIC and rule.why for rule in rules.values())
