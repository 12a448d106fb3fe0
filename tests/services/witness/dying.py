"""A witness process that kills itself: `python -m tests.services.witness.dying FOLDER STEP`.

Reads one request, and writes the answer out if it lives so long. With `answers-first` it does
what no witness may: its answer leaves before anything is kept.
"""

import os
import signal
import sys
from pathlib import Path

from voicefile.translog.witnessing import AddCheckpoint
from voicefile.witness.cosign import Witness
from voicefile.witness.memory import FolderMemory, signer_of


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class AnswersFirst(FolderMemory):
    """The planted mistake."""

    def keep(self, log: str, note: str) -> None:
        sys.stdout.write(note.splitlines(keepends=True)[-1])
        sys.stdout.flush()
        die()


def main(folder: Path, step: str) -> None:
    signer = signer_of(folder)

    def between(reached: str) -> None:
        if reached == step:
            die()

    kind = AnswersFirst if step == "answers-first" else FolderMemory
    witness = Witness(kind(folder, signer.public, between=between), signer)
    sys.stdout.write(witness.add_checkpoint(AddCheckpoint.parse(sys.stdin.read())))
    sys.stdout.flush()
    die()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
