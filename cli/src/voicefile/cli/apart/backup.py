"""Backup by itself: its documents, the vault's blobs to read, its targets, the bus, all to ask."""

import asyncio
from collections.abc import Mapping
from typing import Final

from voicefile.backup import app
from voicefile.backup.errors import KeyInvalid
from voicefile.backup.settings import BackupSettings
from voicefile.backup.signing import Signer, key_at
from voicefile.chassis.service import Service
from voicefile.cli.apart.engines import Engines
from voicefile.cli.backup_targets import targets_of
from voicefile.cli.engine_settings import SettingsRefused, read, variable
from voicefile.cli.store_plan import StorePlan

PLAN: Final = StorePlan(app.COLLECTIONS, app.STEPS)
REFUSED: Final[Mapping[type[Exception], str]] = {}
_KEY: Final = variable("backup_key")
_TARGETS: Final = f"{variable('backup_folder')} or {variable('backup_s3_bucket')}"


async def build(engines: Engines) -> Service:
    """Backup over what `engines` opens. Raises SettingsRefused."""
    settings = read(BackupSettings)
    targets = await engines.entered(targets_of(settings))
    if not targets:
        raise SettingsRefused(f"backup can't be used without {_TARGETS}.")
    signer = await asyncio.to_thread(_signer, settings, engines.deployment)
    docs = await engines.documents(PLAN)
    return app.build(
        settings,
        deployment=engines.deployment,
        source=await engines.blobs(),
        targets=targets,
        docs=docs,
        bus=engines.bus(docs),
        client=engines.calls(),
        signer=signer,
        on_failure=engines.on_failure,
        leadership=engines.leadership(docs),
    )


def _signer(settings: BackupSettings, deployment: str) -> Signer:
    if settings.key is None:
        raise SettingsRefused(f"backup can't be used without {_KEY}.")
    try:
        return key_at(settings.key, deployment)
    except KeyInvalid as error:
        raise SettingsRefused(f"{_KEY}: {error}.") from None
    except OSError:
        raise SettingsRefused(f"{_KEY} names no file that can be read or made.") from None
