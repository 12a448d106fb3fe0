"""What the vault stands on is pulled away: the log, the room for blobs, the disk. It says so.

The disk is the real one under the real command: a limit set from outside on the size of its
files refuses its writes, as a full or failing disk does.
"""

import asyncio
import errno
import resource
import secrets
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.faults import people
from tests.faults.opened_vault import opened
from tests.faults.post_mortem import examine, examine_swept, settled
from tests.faults.served_vault import ServedVault

from voicefile.auth.listening.audit_gate import GateLimits
from voicefile.chassis.tls import development_certificates
from voicefile.cli.embedded import Fittings
from voicefile.cli.serve import FAILED
from voicefile.contracts.deed.v1 import Action

pytestmark = pytest.mark.faults

MIB = 1 << 20
ROOM_BYTES = 6 * MIB
"""More than a young vault's documents and their log, less than a long recording."""
LONG_S = 8 * MIB // 16_000
CLOSED_S = GateLimits().yes_lasts_s + GateLimits().ask_every_s
PATIENCE_S = 20


async def until(said):
    """Waits for the vault to come round by itself; how long it may take is not the point."""
    async with asyncio.timeout(PATIENCE_S):
        while not await said():
            await asyncio.sleep(0.05)


@dataclass
class Plug:
    """Pulled or in."""

    out: bool = False


class UnpluggedWire(httpx.AsyncBaseTransport):
    """Auth's calls, of which those to audit find nobody."""

    def __init__(self, wire, plug):
        self._wire = wire
        self._plug = plug

    async def handle_async_request(self, request):
        if self._plug.out and request.url.path.startswith("/audit/"):
            raise httpx.ConnectError("nobody there", request=request)
        return await self._wire.handle_async_request(request)

    async def aclose(self):
        await self._wire.aclose()


class UnpluggedStore:
    """A store that is asked in vain: `ready` says no, or says nothing at all."""

    def __init__(self, store, plug, *, silent):
        self._store = store
        self._plug = plug
        self._silent = silent

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def ready(self):
        if not self._plug.out:
            return await self._store.ready()
        if self._silent:
            await asyncio.sleep(3_600)
        return False

    async def insert_many(self, collection, documents):
        if self._plug.out:
            raise OSError(errno.EIO, "no")
        await self._store.insert_many(collection, documents)


def no_audit(plug):
    return Fittings(
        calls=lambda service, wire: UnpluggedWire(wire, plug) if service == "auth" else wire
    )


def no_log(plug, *, silent=False):
    return Fittings(
        documents=lambda service, store: (
            UnpluggedStore(store, plug, silent=silent) if service == "audit" else store
        )
    )


def stuck_log(plug):
    return no_log(plug, silent=True)


@asynccontextmanager
async def with_recordings(data, fittings, *, count=2):
    """A vault with recordings that can be heard."""
    async with opened(data, fittings=fittings) as stage, stage.vault.client() as client:
        (company,) = await stage.open_companies("one")
        await settled(stage.stores)
        token = await company.partner_token(client)
        filed = []
        for _ in range(count):
            key = secrets.token_hex(16)
            answer = await sent(client, token, key)
            assert answer.status_code == 201, answer.text
            filed.append(answer.json())
        yield stage, client, filed


async def sent(client, token, key, *, seconds=1):
    audio = people.noise(key, seconds=seconds)
    said = people.told_about(key)
    return await people.upload(client, token=token, key=key, audio=audio, said=said)


async def entered(client, answer):
    return people.session(await people.sign_in(client, answer["access_id"], answer["pin"]))


@pytest.mark.parametrize("unplugged", [no_audit, no_log, stuck_log])
async def test_nobody_new_listens_while_the_log_is_away(tmp_path, unplugged):
    plug = Plug()
    async with with_recordings(tmp_path / "var", unplugged(plug)) as (stage, client, filed):
        playing, waiting = [each["recording_id"] for each in filed]
        listener, other = [await entered(client, each) for each in filed]
        await until(lambda: is_heard(client, listener, playing))
        plug.out = True
        await asyncio.sleep(CLOSED_S)
        refused = await people.heard(client, other, waiting)
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (
            503,
            "audit-unavailable",
        )
        assert int(refused.headers["retry-after"]) >= 1
        # Who was listening listens on: that is recorded already.
        assert await is_heard(client, listener, playing)
        plug.out = False
        await until(lambda: is_heard(client, other, waiting))
        log = await examine(stage)
        assert log.objects(Action.ACTION_RELEASE_GRANTED) == {playing: 1, waiting: 1}


async def is_heard(client, headers, recording):
    return (await people.heard(client, headers, recording)).status_code == httpx.codes.OK


@asynccontextmanager
async def served(data):
    """The real command over a folder with a company in it; what is left is stopped in the end."""
    async with opened(data) as stage:
        (company,) = await stage.open_companies("one")
        await settled(stage.stores)
    development_certificates(data / "tls")
    vault = ServedVault(data)
    await vault.start()
    try:
        await vault.ready()
        yield vault, company
    finally:
        if vault.process.returncode is None:
            await vault.kill()
        await vault.ended()


def room(vault, size):
    """As if the disk had only so much left for any one file."""
    resource.prlimit(vault.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_a_full_blob_store_is_said_and_nothing_half_kept(tmp_path):
    key, small = secrets.token_hex(16), secrets.token_hex(16)
    async with served(tmp_path / "var") as (vault, company), vault.client() as client:
        token = await company.partner_token(client)
        room(vault, ROOM_BYTES)
        refused = await sent(client, token, key, seconds=LONG_S)
        assert refused.status_code == httpx.codes.INSUFFICIENT_STORAGE, refused.text
        assert refused.json()["type"] == "urn:voicefile:problem:vault-full"
        assert int(refused.headers["retry-after"]) >= 1
        assert not [each for each in (vault.data / "blobs").rglob("*") if each.is_file()]
        # There is room for less: the vault goes on.
        assert (await sent(client, token, small)).status_code == httpx.codes.CREATED
        room(vault, resource.RLIM_INFINITY)
        stored = await sent(client, token, key, seconds=LONG_S)
        assert stored.status_code == httpx.codes.CREATED, stored.text
        assert await heard_at_last(client, stored.json()) == people.noise(key, seconds=LONG_S)
        assert await vault.stop() == 0
    async with opened(tmp_path / "var") as stage:
        await examine(stage)
        await examine_swept(stage)


async def test_a_disk_that_refuses_documents_ends_the_vault(tmp_path):
    key, late = secrets.token_hex(16), secrets.token_hex(16)
    async with served(tmp_path / "var") as (vault, company):
        async with vault.client() as client:
            token = await company.partner_token(client)
            answer = (await sent(client, token, key)).raise_for_status().json()
            room(vault, 4_096)
            await refused(sent(client, token, late))
        async with asyncio.timeout(PATIENCE_S):
            assert await vault.ended() == FAILED
        await vault.start()
        await vault.ready()
        async with vault.client() as client:
            assert await heard_at_last(client, answer) == people.noise(key, seconds=1)
            token = await company.partner_token(client)
            assert (await sent(client, token, key)).json() == answer
        await vault.kill()


async def test_a_disk_that_refuses_documents_ends_the_vault_though_nobody_asks(tmp_path):
    async with served(tmp_path / "var") as (vault, _):
        room(vault, 4_096)
        async with asyncio.timeout(PATIENCE_S):
            assert await vault.ended() == FAILED


async def test_a_disk_that_cannot_sync_ends_the_vault(tmp_path):
    key, late = secrets.token_hex(16), secrets.token_hex(16)
    async with served(tmp_path / "var") as (vault, company):
        async with vault.client() as client:
            token = await company.partner_token(client)
            answer = (await sent(client, token, key)).raise_for_status().json()
            async with unable_to_sync(vault):
                await refused(sent(client, token, late))
                async with asyncio.timeout(PATIENCE_S):
                    assert await vault.ended() == FAILED
        await vault.start()
        await vault.ready()
        async with vault.client() as client:
            assert await heard_at_last(client, answer) == people.noise(key, seconds=1)
        await vault.kill()


@asynccontextmanager
async def unable_to_sync(vault):
    """From the kernel: every fsync of the vault says EIO, as a dying disk does."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace, to put words into the kernel's mouth")
    calls = "fsync,fdatasync"
    orders = ("-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}")
    orders += ("-e", f"inject={calls}:error=EIO", "-p", str(vault.process.pid))
    tracer = await asyncio.create_subprocess_exec("strace", *orders)
    while not traced(vault.process.pid):
        if tracer.returncode is not None:
            pytest.skip("strace may not look into other processes here")
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        await tracer.wait()


def traced(pid):
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


async def refused(asking):
    """Whatever is answered, it is no yes."""
    try:
        answer = await asking
    except httpx.HTTPError:
        return
    assert answer.is_server_error, answer.text


async def heard_at_last(client, answer):
    headers = await entered(client, answer)
    heard = []

    async def listens():
        heard[:] = [await people.heard(client, headers, answer["recording_id"])]
        return heard[0].status_code == httpx.codes.OK

    await until(listens)
    return heard[0].content
