"""A restore and a backup are killed between every two steps; said again, they end as undisturbed.

A step is a call of a port, or something done to a file. Each kill is a SIGKILL that a process of
its own gives itself: what is left on the disk is all there is.
"""

import asyncio
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.cli.process import VOICEFILE
from tests.faults.fittings import CHANGING, Clock, fitted
from tests.faults.picture import picture
from tests.faults.watched_files import watch
from tests.services.backup.engines_in_folder import engines_in
from tests.services.backup.house import DEPLOYMENT, House, a_house

from voicefile.backup import app
from voicefile.backup.ask_services import CANARIES_PATH, CHECKPOINT, DUMPS, KEYS, SERVICES
from voicefile.backup.repository import Repository
from voicefile.backup.settings import BackupSettings
from voicefile.backup.signing import key_at
from voicefile.backup.store import COLLECTIONS
from voicefile.backup.verify import verify
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.chassis.inprocess import BASE_URL
from voicefile.cli.backup_targets import FOLDER, folder_rooms
from voicefile.cli.place import Place
from voicefile.cli.restore import restore
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.recipient import Recipient
from voicefile.eventbus.memory import MemoryEventBus

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
CYCLES = int(os.environ.get("VOICEFILE_FAULTS_CYCLES", "100" if LONG else "2"))
"""How often each command is killed at a random moment."""
pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800 if LONG else 120)]

KILLED = -9
DAY_S = 86_400
TURNS = re.compile("file .*(restor|renames documents|renames .root.new$)")
"""Where what is found by the next run changes: killed here one by one, elsewhere in a row."""


@contextmanager
def a_disk():
    """In memory where there is such a place: only processes die here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as found:
        yield Path(found)


@pytest.fixture
def disk():
    with a_disk() as found:
        yield found


@dataclass
class Backed(House):
    """A vault with two backups, stopped; and how its services answered backup at last."""

    answers: dict = field(default_factory=dict)


async def backed(folder):
    """What was erased lies before, between and after the backups; some is not copied yet."""
    async with a_house(folder, companies=1) as house:
        (home,) = house.stand.companies
        before, between = [await house.filed(home) for _ in range(2)]
        await house.filed(home, join_access_id=between["access_id"])
        after = await house.filed(home)
        await house.erase(home, before["recording_id"])
        await house.backed_up()
        await house.erase(home, between["recording_id"])
        await house.stand.published()
        await house.backed_up()
        await house.erase(home, after["recording_id"])
        await house.stand.published()
        await house.rounds.copy()
        await house.filed(home)
        return Backed(**vars(house), answers=await answered(house))


async def answered(house):
    found = {}
    async with house.stand.vault.client(peer="backup") as client:
        for path in (*(f"/{each}{DUMPS}" for each in SERVICES), f"/auth{KEYS}"):
            answer = await client.post(path)
            found[path] = (answer.status_code, answer.content)
        answer = await client.get(CHECKPOINT)
    return found | {CHECKPOINT: (200, answer.content), f"/ingest{CANARIES_PATH}": (409, b"")}


@pytest.fixture(scope="module")
def house():
    with a_disk() as folder:
        yield asyncio.run(backed(folder))


def in_a_process(work):
    """Runs it in a process of its own, and answers how that ended, and what it wrote."""
    mine, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(mine)
        try:
            work(partial(os.write, theirs))
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the process's edge: its parent hears of it
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(theirs)
    with os.fdopen(mine) as lines:
        told = lines.read().splitlines()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), told


class Fuse:
    """Tells each step before it is taken. SIGKILL at one: no finally, no flush, no goodbye.

    `at`: a name, and which of that name. `seen`: at the first step that is not among those.
    """

    def __init__(self, tell, *, at=None, seen=None):
        self._tell = tell
        self._at = at
        self._seen = seen
        self._before = ""
        self._count = Counter()

    def step(self, name, verb):
        if verb not in CHANGING:
            return
        self._count[name] += 1
        self._tell(f"{name}\n".encode())
        new = self._seen is not None and kind_of(self._before, name) not in self._seen
        if new or (name, self._count[name]) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._before = name


def kind_of(before, name):
    return (before, name) if LONG else name


def killed_again_and_again(work):
    """Until it is through; each time one step further. Answers how often, after each."""
    seen, ended, kills = set(), KILLED, 0
    while ended == KILLED:
        ended, told = in_a_process(partial(work, seen=seen))
        seen.update(kind_of(*pair) for pair in pairwise(["", *told]))
        kills += 1
        yield kills
    assert ended == 0, told[-1:]


def restoring(house, folder, tell, **when):
    fuse = Fuse(tell, **when)
    watch(folder, lambda name: fuse.step(name, "put"))
    fittings = fitted(fuse, Clock(), None, {})

    async def work():
        with Place(folder).held(for_restore=True):
            await house.restored(folder, of=house.place.backup, fittings=fittings)

    asyncio.run(work())


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(house):
    """The steps of a restore, and what it comes to."""
    with a_disk() as disk:
        exit_code, steps = in_a_process(partial(restoring, house, disk / "var"))
        assert exit_code == 0
        return steps, asyncio.run(picture(Place(disk / "var")))


def test_a_restore_goes_on_wherever_it_is_killed(house, disk, undisturbed):
    steps, wanted = undisturbed
    assert {"file opens restoring.json.new", "auth insert access", "restore put blob"} <= set(steps)
    target = files_in(house.place.backup)
    counted = Counter()
    for step in steps:
        counted[step] += 1
        if not (LONG or TURNS.search(step)):
            continue
        folder, at = disk / "var", (step, counted[step])
        ended, _ = in_a_process(partial(restoring, house, folder, at=at))
        # Of two that need a folder at once either makes it, or finds it made.
        assert ended == KILLED or "makes folder" in step, step
        ended, _ = in_a_process(partial(restoring, house, folder))
        assert ended == 0, f"killed before {step}"
        assert asyncio.run(picture(Place(folder))) == wanted, f"killed before {step}"
        shutil.rmtree(folder)
    assert files_in(house.place.backup) == target


def test_killed_again_and_again_a_restore_comes_to_its_end(house, disk, undisturbed):
    kills = max(killed_again_and_again(partial(restoring, house, disk / "var")))
    assert kills > len(set(undisturbed[0]))
    assert asyncio.run(picture(Place(disk / "var"))) == undisturbed[1]


def restoring_apart(house, disk, tell, **when):
    """Its root key is where the engines have theirs."""
    fuse = Fuse(tell, **when)
    watch(disk / "beside", lambda name: fuse.step(name, "put"))
    fittings = fitted(fuse, Clock(), None, {})
    engines, beside = Place(disk / "engines"), Place(disk / "beside")
    reading = house.reading(of=house.place.backup)

    async def work():
        with beside.held(for_restore=True):
            async with engines_in(engines, fittings=fittings) as destination:
                await restore(reading, beside, destination)

    asyncio.run(work())


async def made(engines):
    """But for what killed runs leave: versions of the root key, and half a blob for the sweeper."""
    return {
        name: of
        for name, of in (await picture(engines)).items()
        if name != "root of auth" and not name.startswith("blobs/unfinished/")
    }


def furnished(house, disk):
    roots = Place(disk / "engines").root("auth").parent
    shutil.copytree(house.root, roots)
    return Place(disk / "engines")


@pytest.fixture(scope="module")
def undisturbed_apart(house):
    with a_disk() as disk:
        engines = furnished(house, disk)
        exit_code, steps = in_a_process(partial(restoring_apart, house, disk))
        assert exit_code == 0
        return steps, asyncio.run(made(engines))


def test_a_restore_into_engines_goes_on_wherever_it_is_killed(house, disk, undisturbed_apart):
    steps, wanted = undisturbed_apart
    assert {"auth insert migrations", "auth delete migrations", "restore put blob"} <= set(steps)
    counted = Counter()
    for step in steps:
        counted[step] += 1
        if not (LONG or step.endswith(" migrations")):
            continue
        engines, at = furnished(house, disk), (step, counted[step])
        ended, _ = in_a_process(partial(restoring_apart, house, disk, at=at))
        assert ended == KILLED or "makes folder" in step, step
        ended, _ = in_a_process(partial(restoring_apart, house, disk))
        assert ended == 0, f"killed before {step}"
        assert asyncio.run(made(engines)) == wanted, f"killed before {step}"
        for folder in disk.iterdir():
            shutil.rmtree(folder)


def test_killed_again_and_again_a_restore_into_engines_comes_to_its_end(
    house, disk, undisturbed_apart
):
    engines = furnished(house, disk)
    kills = max(killed_again_and_again(partial(restoring_apart, house, disk)))
    assert kills > len(set(undisturbed_apart[0]))
    assert asyncio.run(made(engines)) == undisturbed_apart[1]


class AsTheyAnswered(httpx.AsyncBaseTransport):
    """The other services, of whom a backup only knows what they gave out."""

    def __init__(self, answers):
        self._answers = answers

    async def handle_async_request(self, request):
        status, content = self._answers[request.url.path]
        return httpx.Response(status, stream=httpx.ByteStream(content))


def backing_up(house, data, ahead_s, tell, *, seen=None):
    """Backup's process: copies, takes a backup, and gives up what is too old."""
    fuse, place = Fuse(tell, seen=seen), Place(data)
    fittings = fitted(fuse, Clock(ahead_s), None, {})
    rooms = folder_rooms(place.backup)

    async def work():
        store = await SqliteDocStore.open(place.documents("backup"), (*COLLECTIONS, MIGRATIONS))
        wire = fittings.calls("backup", AsTheyAnswered(house.answers))
        service = app.build(
            BackupSettings(),
            deployment=DEPLOYMENT,
            source=FilesystemBlobStore(place.blobs),
            targets={FOLDER: {room: fittings.blobs(room, each) for room, each in rooms.items()}},
            docs=fittings.documents("backup", store),
            bus=MemoryEventBus(),
            client=httpx.AsyncClient(transport=wire, base_url=BASE_URL),
            signer=key_at(place.backup_key, DEPLOYMENT),
            on_failure=die_of,
            now_s=fittings.now_s,
        )
        (rounds,) = service.public.state.rounds
        await rounds.copy()
        assert await rounds.take() is not None, rounds.failing
        await rounds.forget_keys()

    asyncio.run(work())


def die_of(error):
    raise SystemExit(repr(error))


@pytest.mark.parametrize("ahead_s", [60, 40 * DAY_S], ids=["minutes later", "weeks later"])
def test_a_backup_comes_to_its_end_and_leaves_the_others_whole(house, disk, ahead_s):
    shutil.copytree(house.place.data, disk / "vault")
    place = Place(disk / "vault")
    repository = Repository("folder", dict(folder_rooms(place.backup)))

    async def looked_at():
        return await verify(repository, house.key, now_s=time.time() + ahead_s)

    before = asyncio.run(looked_at())
    assert before.manifests == 2
    kills = 0
    for ended in killed_again_and_again(partial(backing_up, house, place.data, ahead_s)):
        kills = ended
        verdict = asyncio.run(looked_at())
        assert verdict.sound, verdict.findings
        assert verdict.remember.manifest.n >= before.remember.manifest.n
    assert kills > 20
    n = verdict.remember.manifest.n
    assert n > 2
    # Weeks later the first has been given up; the second is the last of its month.
    assert verdict.manifests == (n if ahead_s < DAY_S else n - 1)


def killed_at_random(words, told, chance):
    """A command, killed that often at any moment from its start on, and then let be."""
    for _ in range(CYCLES):
        with subprocess.Popen([VOICEFILE, *words], env=os.environ | told) as process:
            try:
                process.wait(chance.uniform(0.5, 2.0))
            except subprocess.TimeoutExpired:
                process.kill()
    return subprocess.run([VOICEFILE, *words], env=os.environ | told, check=False).returncode


def test_the_commands_go_on_wherever_they_are_killed(house, disk, undisturbed):
    seed = os.environ.get("VOICEFILE_FAULTS_SEED") or secrets.token_hex(4)
    chance, secret = random.Random(seed), disk / "north.secret"
    secret.write_text(house.pairs[0].secret.expose().hex())
    shutil.copytree(house.place.data, disk / "vault")
    recipients = [str(Recipient(f"archive{n}", each.public)) for n, each in enumerate(house.pairs)]
    told = {
        "VOICEFILE_DATA_DIR": str(disk / "vault"),
        "VOICEFILE_DEPLOYMENT": DEPLOYMENT,
        "VOICEFILE_BACKUP_RECIPIENTS": ",".join(recipients),
    }
    place = Place(disk / "vault")
    assert killed_at_random(["backup", "run"], told, chance) == 0, f"seed {seed}"
    repository = Repository(FOLDER, dict(folder_rooms(place.backup)))
    verdict = asyncio.run(verify(repository, house.key))
    assert verdict.sound, (f"seed {seed}", verdict.findings)
    assert verdict.remember.manifest.n > 2
    options = {"from": house.place.backup, "key": house.key, "root": house.root, "secret": secret}
    words = [word for name, each in options.items() for word in (f"--{name}", str(each))]
    restoring = ["backup", "restore", str(disk / "var"), *words]
    assert killed_at_random(restoring, told, chance) == 0, f"seed {seed}"
    assert asyncio.run(picture(Place(disk / "var"))) == undisturbed[1], f"seed {seed}"
