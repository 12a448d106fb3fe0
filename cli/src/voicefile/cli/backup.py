"""`voicefile backup`: the key ceremony, backups now, and what can be done with one.

Ceremony, join and drill-key belong on a machine without a network. List and verify need the
public key alone, and may be run by anybody who can read the target.
"""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs.

import base64
import getpass
import os
import sys
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voicefile.chassis import event_loop

if TYPE_CHECKING:
    from voicefile.cli.look_at_backup import Into
    from voicefile.crypto.primitives import SealingKeyPair

app = typer.Typer(no_args_is_help=True, help="Back the vault up, and get it back.")

_ASK: Final = "-"
_SOMEBODY: Final = (
    "Somebody else writes there: another run, or a service. Stop that, and say it again."
)
Target = Annotated[
    str,
    typer.Option("--from", help="The target's folder; s3 for the bucket VOICEFILE_BACKUP_S3_…."),
]
Key = Annotated[str, typer.Option(help="Backup's public key, as `voicefile backup key` prints it.")]
Secret = Annotated[
    Path | None, typer.Option(help="A recipient's secret, as `voicefile backup join` wrote it.")
]
Sheets = Annotated[
    list[Path] | None, typer.Option("--sheet", help="A sheet's file; three of them. - asks for it.")
]


@app.callback()
def _first() -> None:
    from voicefile.chassis.harden import harden

    # Before a secret is read or made: no dump of this process, and files for its owner alone.
    harden()


@app.command()
def ceremony(
    name: Annotated[str, typer.Argument(help="The recipient's: small letters, digits, hyphens.")],
    out: Annotated[Path, typer.Option(help="A folder in memory: sheets to print, then to wipe.")],
    *,
    html: Annotated[bool, typer.Option(help="Sheets for a browser, not as text.")] = False,
) -> None:
    """Make a recipient: five sheets, any three of which open backups; prints the public half.

    Twice at least, for two recipients. On a machine without a network.
    """
    from voicefile.cli.ceremony import SheetsRefused, make_sheets
    from voicefile.dumps.errors import RecipientInvalid

    try:
        recipient, sheets = make_sheets(name)
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for sheet in sheets:
            ending, content = ("html", sheet.as_html()) if html else ("txt", sheet.as_text())
            _write_secret(out / f"{name}-sheet-{sheet.number}.{ending}", content)
    except RecipientInvalid:
        sys.exit("A name is small letters, digits and hyphens, a letter first.")
    except SheetsRefused as refused:
        sys.exit(f"{refused}. Begin again.")
    except OSError as error:
        sys.exit(f"The folder can't be written: {error.strerror}.")
    sys.stdout.write(f"{recipient}\n")


@app.command()
def join(
    sheets: Annotated[list[Path], typer.Argument(help="Three sheets' files; - asks for one.")],
    out: Annotated[Path, typer.Option(help="Where the secret goes: in memory, and not for long.")],
) -> None:
    """Join sheets to the recipient's secret; prints the public half to compare."""
    pair = _joined(sheets)
    _keep_secret(out, pair)
    # As the recipient's line ends, to be compared with it.
    sys.stdout.write(f"{base64.b64encode(pair.public).decode()}\n")


@app.command("drill-key")
def drill_key(
    out: Annotated[Path, typer.Argument(help="The file of the secret half, for the drill's host.")],
) -> None:
    """Make the drill's key, which opens canaries and nothing else; prints the public half."""
    from voicefile.backup.drill import DRILL, reporter_of
    from voicefile.crypto.primitives import SealingKeyPair
    from voicefile.dumps.recipient import Recipient

    pair = SealingKeyPair.generate()
    _keep_secret(out, pair)
    sys.stdout.write(
        f"VOICEFILE_BACKUP_DRILL_KEY={Recipient(DRILL, pair.public)}\n"
        f"VOICEFILE_BACKUP_DRILL_REPORTS={reporter_of(pair).public}\n"
    )


@app.command()
def drill(
    target: Target,
    key: Key,
    secret: Annotated[Path, typer.Option(help="The drill's key file.")],
    scratch: Annotated[Path, typer.Option(help="A folder to restore into; emptied afterwards.")],
) -> None:
    """Restore the newest backup into a scratch folder, open its canaries, report; every day."""
    from voicefile.cli.look_at_backup import drill_backup

    _run(drill_backup(target, key, _secret(secret), scratch))


@app.command()
def key() -> None:
    """Print the public key that manifests are checked with; the secret half stays here."""
    from voicefile.backup.errors import KeyInvalid
    from voicefile.backup.settings import BackupSettings
    from voicefile.backup.signing import key_at
    from voicefile.chassis.settings import DeploymentSettings
    from voicefile.cli.engine_settings import SettingsRefused, read
    from voicefile.cli.place import Place

    try:
        own, told = read(DeploymentSettings), read(BackupSettings)
        signer = key_at(told.key or Place(own.data_dir).backup_key, own.deployment)
    except (SettingsRefused, KeyInvalid) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"The key can't be read: {error.strerror}.")
    sys.stdout.write(f"{signer.public}\n")


@app.command()
def run() -> None:
    """Take a backup now: of a vault that is stopped, or, where services run apart, at once."""
    from voicefile.cli.back_up import back_up

    _run(back_up())


@app.command("list")
def list_all(target: Target, key: Key) -> None:
    """List the backups of a target: number, when, recordings, dumps."""
    from voicefile.cli.look_at_backup import list_backups

    _run(list_backups(target, key))


@app.command()
def verify(
    target: Target,
    key: Key,
    remember: Annotated[
        Path | None,
        typer.Option(help="A file elsewhere that remembers the last look: finds a rollback."),
    ] = None,
) -> None:
    """Read all of a target as ciphertext, and say what is not as it was put there."""
    from voicefile.cli.look_at_backup import verify_backups

    _run(verify_backups(target, key, remember))


@app.command()
def restore(
    out: Annotated[
        Path,
        typer.Argument(help="An empty folder: the vault's; with --engines, for the report alone."),
    ],
    target: Target,
    key: Key,
    *,
    root: Annotated[Path | None, typer.Option(help="The root key's folder, or its backup.")] = None,
    engines: Annotated[
        Path | None,
        typer.Option(help="Into engines instead: a folder with a folder of settings of each."),
    ] = None,
    secret: Secret = None,
    sheets: Sheets = None,
    at: Annotated[
        datetime | None, typer.Option(help="The newest backup at or before then (UTC).")
    ] = None,
) -> None:
    """Restore a vault where there is none; say it again after it was interrupted."""
    from voicefile.cli.look_at_backup import restore_backup

    into = _into(root, engines)
    pair = _joined(sheets) if sheets else _secret(secret)
    _run(restore_backup(out, target, key, into=into, pair=pair, at=at))


def _into(root: Path | None, engines: Path | None) -> "Into":
    from contextlib import nullcontext

    from voicefile.cli.restore_into_folder import IntoFolder

    if root is not None and engines is None:
        return lambda place: nullcontext(IntoFolder(place, root))
    if engines is not None and root is None:
        # A vault in a folder needs no engine's client.
        from voicefile.cli.apart.restore_into_engines import into_engines

        return lambda _: into_engines(engines)
    sys.exit("Give --root, to restore into the folder, or --engines, to restore into those.")


def _said(error: Exception) -> str | None:
    """What can be mended, in one line; None for what nobody foresaw."""
    from voicefile.auth.dumping.bring_back import OtherDeployment
    from voicefile.auth.dumping.require_roots import RootMissing
    from voicefile.backup import errors
    from voicefile.blobstore.port import BlobStoreFull, BlobStoreUnavailable
    from voicefile.cli.restore import NoRoot, NotEmpty, OtherRestore
    from voicefile.docstore.port import DocumentExists, VersionConflict

    words: dict[type[Exception], str] = {
        errors.Damaged: "The backup is damaged at {}. `voicefile backup verify` says what else is.",
        errors.ManifestInvalid: "Not signed by that key, or not what was signed: {}.",
        errors.NothingToRestore: "There is no backup that old, or none at all.",
        errors.ListTooOld: "Tombstones are missing that a manifest knows of: find the newer list.",
        errors.KeyInvalid: "That key opens nothing here: {}.",
        BlobStoreUnavailable: "The target, or the blob store, can't be reached, or refuses us: {}.",
        BlobStoreFull: "There is no room for it.",
        OtherDeployment: "The backup is of another deployment, or the root key is.",
        RootMissing: (
            "The root key lacks {}: this backup is from before the root key was changed, or the "
            "root key is another vault's. In a folder, put the files (….root) of that time beside "
            "the newer ones, and say it again."
        ),
        NoRoot: "That folder has no root key of auth and audit in it.",
        OtherRestore: "There is another restore there already. {}.",
        NotEmpty: "{} has something else in it already. Choose another, or empty it.",
        VersionConflict: _SOMEBODY,
        DocumentExists: _SOMEBODY,
    }
    found = next((each for kind, each in words.items() if isinstance(error, kind)), None)
    return None if found is None else found.format(error)


def _joined(sheets: list[Path]) -> "SealingKeyPair":
    from voicefile.cli.ceremony import SheetsRefused, joined, words_of

    try:
        return joined([words_of(_sheet(sheet)) for sheet in sheets])
    except SheetsRefused as refused:
        sys.exit(f"The key can't be joined: {refused}.")
    except OSError as error:
        sys.exit(f"A sheet can't be read: {error.strerror}.")
    except UnicodeDecodeError:
        sys.exit("A sheet can't be read: it is no text in UTF-8. Give - and type its words.")


def _sheet(path: Path) -> str:
    # Not echoed: what stands on a screen stands in somebody's camera.
    return getpass.getpass("Words of a sheet: ") if str(path) == _ASK else path.read_text("utf-8")


def _secret(path: Path | None) -> "SealingKeyPair":
    from voicefile.crypto.errors import Malformed
    from voicefile.crypto.primitives import SealingKeyPair
    from voicefile.crypto.secret import SecretKey

    if path is None:
        sys.exit("Give the sheets (--sheet three times) or the joined secret (--secret).")
    try:
        return SealingKeyPair.from_secret(SecretKey(bytes.fromhex(path.read_text().strip())))
    except OSError as error:
        sys.exit(f"The secret can't be read: {error.strerror}.")
    except (ValueError, Malformed):
        sys.exit("That is no recipient's secret.")


def _keep_secret(path: Path, pair: "SealingKeyPair") -> None:
    """In the form in which `_secret` reads it."""
    try:
        _write_secret(path, pair.secret.expose().hex() + "\n")
    except OSError as error:
        sys.exit(f"The file can't be written: {error.strerror}.")


def _write_secret(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


def _run(command: Coroutine[None, None, int]) -> None:
    from voicefile.chassis.logs import configure
    from voicefile.cli.words import in_words

    configure("voicefile")
    try:
        code = event_loop.run(command)
    except Exception as error:
        said = in_words(error) or _said(error)
        if said is None:
            raise
        sys.exit(said)
    sys.exit(code)
