"""`voicefile prompts`: what the telephone says, made into sound and checked.

The texts are ours; whoever speaks them better than a program replaces files in the folder, and
building leaves those alone.
"""

# ruff: noqa: PLC0415 - a start of the vault that finds all prompts made loads nothing of this.

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make and check what the telephone says.")


@app.command()
def build(
    into: Annotated[Path, typer.Option(help="The folder; what is there and right stays.")],
) -> None:
    """Make what is missing or says something else by now, with espeak-ng."""
    from voicefile.playback.telephone.build_prompts import build_prompts
    from voicefile.playback.telephone.speak import Espeak, NotSpoken

    try:
        built = build_prompts(into, Espeak())
    except NotSpoken as why:
        sys.exit(f"{why}.")
    except OSError as error:
        sys.exit(f"The folder can't be written: {error.strerror}.")
    for each in built.refused:
        sys.stderr.write(f"{each.path}  {each.fault.value}: {each.why}\n")
    sys.stdout.write(f"{built.made} made, {built.kept} were there\n")
    sys.exit(1 if built.refused else 0)


@app.command()
def missing(
    folder: Annotated[Path, typer.Argument(help="The folder, tenants' own prompts included.")],
) -> None:
    """List what is missing, stale, of a wrong format or never heard; exit 1 if anything is."""
    from voicefile.playback.telephone.build_prompts import faults
    from voicefile.playback.telephone.speak import Espeak

    found = faults(folder, Espeak())
    for each in found:
        sys.stdout.write(f"{each.path}  {each.fault.value}: {each.why}\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    app()
