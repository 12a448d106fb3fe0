"""Keys from the command line: what there is, another root key, new keys to sign with."""

import datetime as dt
import sys
from typing import Final

from voicefile.auth.errors import NotFound
from voicefile.auth.keys.change_root import OldRootNeeded, change_root, destroy_old_root
from voicefile.auth.keys.signing_keys import change_signing_key, signs_since_s
from voicefile.auth.ports import Ports
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import tenant_ids, the_deployment
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.administering import auth_ports
from voicefile.cli.demo import OPERATOR
from voicefile.cli.engine_settings import EngineSettings, read
from voicefile.cli.tenant import ID, NO_SUCH
from voicefile.crypto.keyring import EpochState
from voicefile.deeds.deed import Action, Deed
from voicefile.identity.ids import PLATFORM

DAY_S: Final = 86_400
APART_ONLY: Final = "The embedded vault has one root key, in files: there is no other to try.\n"


async def show(settings: DeploymentSettings) -> int:
    """Shows which keys hang on which versions of the root key, and how old they are."""
    async with auth_ports(settings) as ports:
        await ports.deeds.record(Deed(actor=OPERATOR, action=Action.ACTION_ADMINISTRATION_READ))
        record = (await the_deployment(ports)).record
        lasting: dict[str, int] = {}
        epochs: dict[str, int] = {}
        oldest_s = int(ports.now_s())
        async for tenant_id in tenant_ids(ports):
            keys = (await tenant_of(tenant_id, ports=ports)).record.keys
            oldest_s = min(oldest_s, keys.receipt_version().created_at_s)
            for version in keys.lasting_roots():
                lasting[version] = lasting.get(version, 0) + 1
            for version in {e.root_version for e in keys.epochs if e.state is not _GONE}:
                epochs[version] = epochs.get(version, 0) + 1
        rows = [("lasting", record.lasting_root, "", lasting)]
        if record.former_root:
            rows.append(("being left", record.former_root, "", lasting))
        rows += [("period", p.root_version, _day(p.began_at_s), epochs) for p in record.periods]
        for what, version, since, tenants in rows:
            sys.stdout.write(f"{what:11} {version}  {tenants.get(version, 0)} tenants  {since}\n")
        tokens = record.keys.receipt_version()
        sys.stdout.write(f"tokens are signed by a key of {_day(tokens.created_at_s)}\n")
        sys.stdout.write(f"the oldest key that still signs receipts is of {_day(oldest_s)}\n")
    return 0


_GONE: Final = EpochState.DESTROYED


async def try_other(_settings: DeploymentSettings) -> int:
    """Tries out the root key that everything is to move to."""
    if read(EngineSettings).mongo_uri is None:
        sys.stderr.write(APART_ONLY)
        return 1
    from voicefile.cli.apart import administer  # noqa: PLC0415 the cluster's alone

    if not await administer.try_other_root(on_failure=_ignore):
        sys.stderr.write("VOICEFILE_OTHER_ROOT is not set.\n")
        return 1
    sys.stdout.write("the other root key can be used\n")
    return 0


def _ignore(_error: Exception) -> None:
    """No store is opened that could fail."""


async def change(settings: DeploymentSettings) -> int:
    """Moves everything to new versions of the root key, or goes on with that."""
    async with auth_ports(settings) as ports:
        done = await change_root(by=OPERATOR, ports=ports)
        grace_s = ports.settings.epoch_grace_s
    sys.stdout.write(
        f"{'begun' if done.begun else 'taken up'}: keys of {done.tenants_moved} tenants moved, "
        f"slips in {done.rotated.documents_rewrapped} access documents\n"
    )
    if done.tenants_forged:
        sys.stderr.write(f"{done.tenants_forged} tenants could not be moved: forged records.\n")
        return 1
    sys.stdout.write(f"After {grace_s} s the old epochs go; then `voicefile keys show`.\n")
    return 0


async def destroy_old(settings: DeploymentSettings) -> int:
    """Destroys the lasting version that was left."""
    async with auth_ports(settings) as ports:
        try:
            destroyed = await destroy_old_root(by=OPERATOR, ports=ports)
        except OldRootNeeded as needed:
            sys.stderr.write(f"Not destroyed: {needed}.\n")
            return 1
    sys.stdout.write(f"destroyed {destroyed}\n" if destroyed else "there is no old one\n")
    return 0


async def change_signing(
    settings: DeploymentSettings, *, tenant_id: str | None, older_than_days: int
) -> int:
    """New keys to sign with: for tokens, for one tenant's receipts, or for all that are old."""
    if tenant_id is not None and not ID.fullmatch(tenant_id):
        sys.stderr.write(NO_SUCH)
        return 1
    async with auth_ports(settings) as ports:
        try:
            chosen = [tenant_id] if tenant_id else await _old(older_than_days, ports=ports)
            for each in chosen:
                kid = await change_signing_key(each, by=OPERATOR, ports=ports)
                sys.stdout.write(f"{each or 'tokens'}  {kid}\n")
        except NotFound:
            sys.stderr.write(NO_SUCH)
            return 1
    signing = "Published now; they sign in ten minutes." if chosen else "Nothing is that old."
    sys.stdout.write(f"{signing}\n")
    return 0


async def _old(days: int, *, ports: Ports) -> list[str]:
    # What a run that was killed has renewed is not old any more: the next goes on behind it.
    until_s = ports.now_s() - days * DAY_S
    everybody = [PLATFORM, *[each async for each in tenant_ids(ports)]]
    return [each for each in everybody if await signs_since_s(each, ports=ports) <= until_s]


def _day(at_s: int) -> str:
    return dt.datetime.fromtimestamp(at_s, dt.UTC).strftime("%Y-%m-%d %H:%M")
