"""`voicefile witness`: begin a witness, tell it which logs to trust, serve it, see what it saw.

Also installed alone, as `voicefile-witness`: who witnesses a vault does not run one.
"""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs.

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from voicefile.witness.memory import Seen
    from voicefile.witness.settings import WitnessSettings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Witness transparency logs: cosign what only grew, and keep what did not.",
)


_EVIDENCE: Final = {"forked": "CONTRADICTED ITSELF", "unproven": "not proven"}
"""What was kept and not cosigned, in words."""


@app.command()
def begin(
    name: Annotated[str, typer.Argument(help="As an address without https://: dpo.example/w1.")],
) -> None:
    """Make the witness's folder and key; prints the public key, which the vault is told."""
    from voicefile.translog.errors import NoteInvalid
    from voicefile.witness.memory import begin as make

    folder = _settings().folder
    try:
        signer = make(folder, name)
    except FileExistsError:
        sys.exit("There is a witness in this folder already.")
    except NoteInvalid:
        sys.exit("A name has neither spaces nor a plus.")
    except OSError as error:
        sys.exit(f"The folder can't be written: {error.strerror}.")
    sys.stdout.write(f"{signer.public}\n")


@app.command()
def trust(
    key: Annotated[str, typer.Argument(help="The log's key: name+id+key, from a trusted hand.")],
) -> None:
    """Witness this log from now on. Its key is never exchanged for another."""
    from voicefile.translog.errors import NoteInvalid
    from voicefile.translog.note import VerifierKey
    from voicefile.witness.errors import LogKnown, MemoryLost
    from voicefile.witness.memory import FolderMemory, signer_of

    folder = _settings().folder
    try:
        FolderMemory(folder, signer_of(folder).public).trust(VerifierKey.parse(key))
    except NoteInvalid:
        sys.exit("That is no key of a log.")
    except LogKnown:
        sys.exit("This log is witnessed already. A key is never exchanged for another.")
    except MemoryLost as lost:
        sys.exit(_lost(lost))
    except OSError as error:
        sys.exit(f"The folder can't be written: {error.strerror}.")


@app.command()
def show() -> None:
    """Print the public key, and of each log the size cosigned last, when, and what was refused."""
    from voicefile.witness.errors import MemoryLost
    from voicefile.witness.memory import Evidence, FolderMemory, log_name, signer_of

    folder = _settings().folder
    try:
        witness = signer_of(folder).public
        memory = FolderMemory(folder, witness)
        sys.stdout.write(f"{witness}\n")
        for seen in memory.all_seen():
            told = [_when(seen, str(witness)), f"size {seen.size}"]
            for kind, words in _EVIDENCE.items():
                if kept := len(memory.evidence(log_name(seen.key.name), Evidence(kind))):
                    told.append(f"{words}: {kept}")
            sys.stdout.write(f"{seen.key.name}: {', '.join(told)}\n")
    except MemoryLost as lost:
        sys.exit(_lost(lost))


@app.command()
def serve() -> None:
    """Serve until told to stop: HTTPS, one port."""
    from voicefile.chassis.wire import PortTaken
    from voicefile.witness.errors import MemoryLost
    from voicefile.witness.memory import FolderHeld
    from voicefile.witness.serve import serve as serve_it

    try:
        code = asyncio.run(serve_it(_settings()))
    except MemoryLost as lost:
        sys.exit(_lost(lost))
    except FolderHeld:
        sys.exit("This witness is running already.")
    except PortTaken as taken:
        sys.exit(f"{taken}. Stop that, or choose another port.")
    except OSError as error:
        sys.exit(f"A file or the network refuses: {error.strerror}.")
    sys.exit(code)


def _when(seen: "Seen", witness: str) -> str:
    from voicefile.translog.cosignature import WitnessKey, cosigned_at

    if not seen.note:
        return "never cosigned"
    at_s = cosigned_at(seen.note, WitnessKey.parse(witness)) or 0
    return f"cosigned {datetime.fromtimestamp(at_s, UTC).isoformat()}"


def _lost(lost: Exception) -> str:
    return f"This witness can't go on: {lost}. Read the page about witnesses before anything else."


def _settings() -> "WitnessSettings":
    from pydantic import ValidationError

    from voicefile.witness.settings import WitnessSettings

    try:
        return WitnessSettings()
    except ValidationError as error:
        wrong = sorted({str(each["loc"][0]).upper() for each in error.errors() if each["loc"]})
        sys.exit(
            f"What is set does not fit: VOICEFILE_WITNESS_{', VOICEFILE_WITNESS_'.join(wrong)}."
        )
