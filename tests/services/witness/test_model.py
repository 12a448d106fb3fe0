"""Whatever a log that lies may ask, in whatever order: what was ever cosigned is one history."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from tests.services.witness.growing import Growing

from voicefile.translog.witnessing import AddCheckpoint
from voicefile.witness.cosign import Witness
from voicefile.witness.errors import RequestInvalid, SizeDiffers, WitnessError
from voicefile.witness.memory import FolderMemory, begin

BRANCHES_MAX = 4


class TakesItsWord(Witness):
    """The planted mistake: looks at sizes and at no proof."""

    def _check(self, asked: AddCheckpoint, checkpoint: Any, seen: Any) -> None:
        if asked.old_size > checkpoint.size:
            raise RequestInvalid("the old size is above the new one")
        if asked.old_size != seen.size:
            raise SizeDiffers(seen.size)


class Forgets(FolderMemory):
    """The planted mistake: nothing is kept."""

    def keep(self, log: str, note: str) -> None:
        pass


@dataclass
class Machine:
    """What a run is made of; each example has a folder of its own."""

    folder: Path
    witness: type[Witness] = Witness
    memory: type[FolderMemory] = FolderMemory
    made: int = 0
    cosigned: int = 0
    refused: int = 0

    def build(self) -> type[RuleBasedStateMachine]:
        run = self

        class Lies(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                run.made += 1
                self.place = run.folder / str(run.made)
                self.signer = begin(self.place, "w.example/1")
                self.branches = [Growing().grow(3)]
                self.history: list[tuple[int, list[bytes]]] = []
                self.memory = run.memory(self.place, self.signer.public)
                self.memory.trust(self.branches[0].verifier)
                self.started()

            def started(self) -> None:
                self.memory = run.memory(self.place, self.signer.public)
                self.witness = run.witness(self.memory, self.signer)

            def teardown(self) -> None:
                shutil.rmtree(self.place)

            @rule(at=st.integers(0, BRANCHES_MAX), more=st.integers(1, 9))
            def grows(self, at: int, more: int) -> None:
                branch = at % len(self.branches)
                self.branches[branch].grow(more, mark=f"{branch} ")

            @precondition(lambda self: len(self.branches) < BRANCHES_MAX)
            @rule(data=st.data())
            def forks(self, data: Any) -> None:
                branch = data.draw(st.sampled_from(self.branches))
                at = data.draw(st.integers(0, branch.size))
                mark = f"{len(self.branches)} "
                self.branches.append(branch.forked(at).grow(1, mark=mark))

            @rule(data=st.data())
            def asks(self, data: Any) -> None:
                branch = data.draw(st.sampled_from(self.branches))
                proving = data.draw(st.sampled_from([branch, branch, branch, *self.branches]))
                known = self.history[-1][0] if self.history else 0
                old = data.draw(st.sampled_from([known, known, known, 0, max(0, known - 1)]))
                size = data.draw(st.just(branch.size) | st.integers(0, branch.size))
                proof = proving.proof(old, min(size, proving.size))
                try:
                    self.witness.add_checkpoint(AddCheckpoint(old, proof, branch.signed(size)))
                except WitnessError:
                    run.refused += 1
                    return
                run.cosigned += 1
                self.remember(size, branch.leaves[:size])

            @rule()
            def starts_anew(self) -> None:
                self.started()

            def remember(self, size: int, leaves: list[bytes]) -> None:
                for before, earlier in self.history:
                    assert before <= size, "a smaller tree was cosigned after a larger one"
                    assert leaves[:before] == earlier, "two histories were cosigned"
                self.history.append((size, leaves))

        return Lies


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """In memory where there is such a place: thousands of syncs would be all this measures."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
        yield Path(made)


def explore(machine: Machine, examples: int) -> None:
    run_state_machine_as_test(
        machine.build(),
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            # No shrinking: the machine says what it is about, and a run has to stay short.
            phases=[Phase.generate],
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_two_cosignatures_contradict_each_other(quick_folder) -> None:
    machine = Machine(quick_folder)
    explore(machine, 50)
    # It was tried in earnest: much was cosigned, and much was not.
    assert machine.cosigned > 40
    assert machine.refused > 40


@pytest.mark.parametrize(
    "planted", [{"witness": TakesItsWord}, {"memory": Forgets}], ids=["no proof", "no memory"]
)
def test_a_planted_mistake_of_a_witness_is_found(quick_folder, planted) -> None:
    with pytest.raises((AssertionError, ExceptionGroup)) as found:
        explore(Machine(quick_folder, **planted), 200)
    assert "cosigned" in repr(found.value) or "cosigned" in str(found.value)
