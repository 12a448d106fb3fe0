"""A vault that is backed up, for tests: its target, and the secret halves of who can read it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from tests.services.auth.quick_pins import quick_pool
from tests.stand import Company, Stand, company

from voicefile.auth.erasing.certificate import Why
from voicefile.auth.erasing.erase import Order, erase
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.backup.read_back import Reading
from voicefile.backup.repository import Repository
from voicefile.backup.rounds import Rounds
from voicefile.backup.signing import key_at
from voicefile.backup.take import Taken
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.backup_targets import FOLDER, folder_rooms
from voicefile.cli.embedded import BARE, Around, Fittings, embedded
from voicefile.cli.place import Place
from voicefile.cli.restore import restore
from voicefile.cli.restore_into_folder import IntoFolder
from voicefile.cli.restored import Restored
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.deeds.deed import Actor
from voicefile.dumps.recipient import Recipient
from voicefile.eventbus.port import EventBus
from voicefile.translog.note import VerifierKey
from voicefile.verify.fsck import LogCheck

DEPLOYMENT = "test"


@dataclass
class Clock:
    """The time as the vault has it."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class House:
    """A vault that is backed up, and who can read its backups."""

    stand: Stand
    rounds: Rounds
    repository: Repository
    key: VerifierKey
    pairs: list[SealingKeyPair]
    clock: Clock
    issued: list[dict] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.stand.place

    @property
    def root(self) -> Path:
        """The root key's folder, as it would be backed up by hand."""
        return self.place.root("auth").parent

    async def filed(self, home: Company, **changes) -> dict:
        answer = (await home.upload(**changes)).raise_for_status().json()
        self.issued.append(answer)
        return answer

    async def furnished(self, companies: int) -> list[Company]:
        """So many new tenants, of whom every service has heard: before, uploads are refused."""
        stand = self.stand
        made = [await company(stand.ports, stand.client, f"company{n}") for n in range(companies)]
        await stand.published()
        return made

    async def told(self) -> None:
        """Waits until backup has heard what ingest has stored and auth has done."""
        await self.stand.published()
        async with asyncio.timeout(30):
            while await self.stand.stores["ingest"].pending(1):
                await asyncio.sleep(0.02)

    async def backed_up(self) -> Taken:
        await self.told()
        await self.rounds.copy()
        taken = await self.rounds.take()
        assert taken is not None, "the backup failed"
        assert taken.left_out == 0
        return taken

    def reading(self, pair: SealingKeyPair | None = None, *, of: Path | None = None) -> Reading:
        """With a recipient's key: of the target, or of a copy of it."""
        repository = self.repository if of is None else Repository(FOLDER, dict(folder_rooms(of)))
        return Reading(repository, self.key, deployment=DEPLOYMENT, pair=pair or self.pairs[0])

    async def restored(
        self, folder: Path, *, of: Path | None = None, **more
    ) -> tuple[Place, Restored]:
        return await self.restored_by(self.reading(of=of), folder, **more)

    async def restored_by(
        self, reading: Reading, folder: Path, *, fittings: Fittings = BARE, **more
    ) -> tuple[Place, Restored]:
        place = Place(folder)
        return place, await restore(reading, place, IntoFolder(place, self.root, fittings), **more)

    async def erase(self, home: Company, recording: str) -> None:
        """One recording whose time is over; with a customer's last one, the customer."""
        ports = self.stand.ports
        stored = await ports.access.of(home.id).find_one("recording", recording)
        assert stored is not None
        order = Order(by=Actor.service(), why=Why.EXPIRED)
        erased = await erase(stored, lambda each: each.id == recording, order=order, ports=ports)
        assert erased.recordings == (recording,)


@contextmanager
def two_recipients() -> Iterator[list[SealingKeyPair]]:
    """Two recipients, and every vault that starts meanwhile told of them."""
    found = [SealingKeyPair.generate(), SealingKeyPair.generate()]
    told = [str(Recipient(f"archive{n}", pair.public)) for n, pair in enumerate(found)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICEFILE_BACKUP_RECIPIENTS", ",".join(told))
        yield found


@asynccontextmanager
async def a_house(folder: Path, *, companies: int = 2) -> AsyncIterator[House]:
    """A new vault with tenants, and its recipients."""
    with two_recipients() as pairs:
        async with house_in(folder / "vault", pairs) as made:
            made.stand.companies += await made.furnished(companies)
            yield made


@asynccontextmanager
async def house_in(
    data: Path,
    pairs: list[SealingKeyPair],
    clock: Clock | None = None,
    *,
    pins: Callable[[], PinPool] = quick_pool,
    bus: Around[EventBus] = BARE.bus,
) -> AsyncIterator[House]:
    """A vault over that folder, with whatever is in it."""
    clock = clock or Clock()
    place, stores, failures = Place(data), {}, []

    def kept(service, store):
        stores[service] = store
        return store

    settings = DeploymentSettings(data_dir=data, deployment=DEPLOYMENT)
    fittings = replace(BARE, documents=kept, bus=bus, now_s=clock)
    async with AsyncExitStack() as running:
        running.enter_context(place.held())
        vault = await running.enter_async_context(
            embedded(settings, place, on_failure=failures.append, fittings=fittings, pins=pins())
        )
        client = await running.enter_async_context(vault.client())
        stand = Stand(place, vault, client, [], stores, FilesystemBlobStore(place.blobs))
        rounds = vault.services["/backup"].public.state.rounds[0]
        repository = Repository(FOLDER, dict(folder_rooms(place.backup)))
        key = key_at(place.backup_key, DEPLOYMENT).public
        yield House(stand, rounds, repository, key, pairs, clock)
    assert not failures, failures


async def heard(client: httpx.AsyncClient, filed: dict) -> bytes | None:
    """What the customer hears; None if the ID opens nothing."""
    body = {"access_id": filed["access_id"], "pin": filed["pin"]}
    answer = await client.post("/auth/v1/customer-sessions", json=body)
    if not answer.is_success:
        return None
    headers = {"Authorization": f"Bearer {answer.json()['session_token']}"}
    path = f"/playback/v1/recordings/{filed['recording_id']}/audio"
    sound = await client.get(path, headers=headers)
    return sound.content if sound.is_success else None


async def recounted(client: httpx.AsyncClient, log: str, key: str, *known: str) -> int:
    """How many deeds a log has, recounted by what an outsider reads. Raises Refuted.

    `known` are heads of it that somebody has kept: it has to go on from each of them.
    """
    loop = asyncio.get_running_loop()

    def read(name: str) -> bytes | None:
        asked = client.get(f"/audit/v1/logs/{log}/{name}")
        answer = asyncio.run_coroutine_threadsafe(asked, loop).result()
        return answer.content if answer.is_success else None

    checking = LogCheck(read, VerifierKey.parse(key.strip()), known)
    return (await asyncio.to_thread(checking.run)).checkpoint.size


class Killed(BaseException):
    """The process is gone."""


def dying_at(step: str) -> Callable[[str], None]:
    """Between two steps: gone at this one."""

    def between(at: str) -> None:
        if at == step:
            raise Killed

    return between
