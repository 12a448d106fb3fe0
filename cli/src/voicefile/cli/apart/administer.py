"""Commands over the store of a service that runs apart, while its instances serve."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module

from voicefile.auth import app as auth
from voicefile.auth.ports import Ports
from voicefile.auth.settings import AuthSettings
from voicefile.auth.tenants.open_tenant import first_start
from voicefile.chassis.inprocess import in_process_client
from voicefile.cli.apart.auth import PLAN, REFUSED
from voicefile.cli.apart.engines import Engines, Token
from voicefile.cli.apart.migrating import migrated
from voicefile.cli.apart.refusals import named
from voicefile.cli.engine_settings import read, read_settings
from voicefile.cli.store_plan import StorePlan
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.crypto.secret import SecretKey
from voicefile.eventbus.memory import MemoryEventBus


@asynccontextmanager
async def auth_ports(*, on_failure: Callable[[Exception], None]) -> AsyncIterator[Ports]:
    """Auth's ports over its own store and root. Raises SettingsRefused, StoreUnavailable.

    Nothing is published from here: the instance of auth that leads does that. So this needs
    neither the bus nor any other service.
    """
    async with AsyncExitStack() as running:
        engines = _auth_engines(running, on_failure)
        service = auth.build(
            read(AuthSettings),
            deployment=engines.deployment,
            docs=await engines.documents(PLAN),
            bus=MemoryEventBus(),
            root=await engines.root(),
            client=await running.enter_async_context(in_process_client({})),
            on_failure=on_failure,
        )
        ports: Ports = service.public.state.ports
        with named(REFUSED):
            await first_start(ports)
        yield ports


async def try_other_root(*, on_failure: Callable[[Exception], None]) -> bool:
    """Uses the other root key with a key of no worth; False if none is told.

    Raises SettingsRefused, RootUnavailable. A token is marked as ours by that, so that what is
    not in it counts as gone.
    """
    async with AsyncExitStack() as running:
        root = await _auth_engines(running, on_failure).other_root()
        if root is None:
            return False
        version, key = await root.create_version(), SecretKey.random()
        wrapped = await root.wrap(version, key, context=b"tried")
        opened = await root.unwrap(version, wrapped, context=b"tried")
        await root.destroy_version(version)
        if opened != key:
            raise RootUnavailable("the other root key does not open what it sealed")
    return True


async def migrate_one(service: str, *, on_failure: Callable[[Exception], None]) -> int:
    """Runs what is outstanding for one service. Raises as `auth_ports` does, and StoreIsNewer."""
    settings, told = read_settings()
    told.require_documents(service)
    plan: StorePlan = import_module(f"voicefile.cli.apart.{service}").PLAN
    async with AsyncExitStack() as running:
        engines = Engines(
            service, settings, told, running=running, token=Token(), on_failure=on_failure
        )
        store = await engines.opened(plan)
        for step in await migrated(store, plan):
            sys.stdout.write(f"{service}: {step.number} {step.name}\n")
    sys.stdout.write(f"{service}: up to date\n")
    return 0


async def order_backup(*, on_failure: Callable[[Exception], None]) -> int:
    """Has the instance of backup that leads take one at each target; 1 if one failed.

    With backup's own settings. Waits as long as it takes. Raises SettingsRefused,
    StoreUnavailable.
    """
    from voicefile.backup.orders import Orders  # noqa: PLC0415 - no other command's
    from voicefile.backup.settings import BackupSettings  # noqa: PLC0415
    from voicefile.cli.apart.backup import PLAN as BACKUP  # noqa: PLC0415
    from voicefile.cli.backup_targets import names_of  # noqa: PLC0415

    settings, told = read_settings()
    told.require_documents("backup")
    good = True
    async with AsyncExitStack() as running:
        engines = Engines(
            "backup", settings, told, running=running, token=Token(), on_failure=on_failure
        )
        store = await engines.opened(BACKUP)
        for name in names_of(read(BackupSettings)):
            outcome = await Orders(store, name).give()
            sys.stdout.write(f"{name}: {outcome.said}\n")
            good &= outcome.good
    return 0 if good else 1


def _auth_engines(running: AsyncExitStack, on_failure: Callable[[Exception], None]) -> Engines:
    """Auth's, given back when `running` ends. Raises SettingsRefused."""
    settings, told = read_settings()
    told.require_store("auth")
    token = Token()
    running.push_async_callback(token.close)
    return Engines("auth", settings, told, running=running, token=token, on_failure=on_failure)
