"""A backup now: of an embedded vault that serves nobody meanwhile, or by the service apart."""

import sys

from voicefile.backup.rounds import Rounds
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import embedded
from voicefile.cli.engine_settings import EngineSettings, SettingsRefused, read
from voicefile.cli.place import Place

NOT_SET = "No backup can be made: VOICEFILE_BACKUP_RECIPIENTS names nobody who could read it."


async def back_up() -> int:
    """Takes one at each target; 1 if one failed."""
    if read(EngineSettings).mongo_uri is not None:
        from voicefile.cli.apart.administer import order_backup  # noqa: PLC0415 the cluster's alone

        return await order_backup(on_failure=_give_up)
    settings = read(DeploymentSettings)
    place, failed = Place(settings.data_dir), False
    with place.held(), place.opened_log() as log:
        configure("voicefile", stream=log, console=False)
        async with embedded(settings, place, on_failure=_give_up) as vault:
            if "/backup" not in vault.services:
                raise SettingsRefused(NOT_SET)
            rounds: list[Rounds] = vault.services["/backup"].public.state.rounds
            for each in rounds:
                taken = await each.take()
                failed |= taken is None or taken.left_out > 0
                said = f"failed: {each.failing}"
                if taken is not None:
                    said = f"manifest {taken.found.manifest.n}"
                sys.stdout.write(f"{each.name}: {said}\n")
    return 1 if failed else 0


def _give_up(error: Exception) -> None:
    raise SystemExit(f"The store can't be written: {type(error).__name__}")
