"""While keys turn: a whole rotation, and a change of the root key, and nobody notices.

Open listenings, sign-ins, uploads and joins go on while every slip moves to another epoch and the
old period is destroyed. VOICEFILE_TURNED_DOCUMENTS fills the vault with more to move.
"""

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace as with_fields

import pytest
from msgspec.structs import replace
from tests.bench.load import add_copies
from tests.stand import APART, stand

from voicefile.auth.keys.change_root import change_root, destroy_old_root
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.tenants.open_tenant import the_deployment
from voicefile.cli.partner import sample
from voicefile.deeds.deed import Actor
from voicefile.docstore.port import VersionConflict
from voicefile.identity.ids import PLATFORM

pytestmark = pytest.mark.skipif(APART, reason="reaches into auth's settings")

DOCUMENTS = int(os.environ.get("VOICEFILE_TURNED_DOCUMENTS", "600"))
LISTENERS = 3
GRACE_S = 3
TTL_S = 1
"""Keys are forgotten sooner than usual, so that the grace can be as short."""
PERIOD_S = 7 * 86_400


@pytest.fixture
async def vault(tmp_path, monkeypatch):
    monkeypatch.setenv("VOICEFILE_AUTH_CUSTODY_TTL_S", str(TTL_S))
    async with stand(tmp_path, companies=1) as running:
        yield running


@pytest.fixture
async def company(vault):
    """With customers who may be heard, and many more who are not."""
    (company,) = vault.companies
    return company


class Seen:
    """What people met, by what they did."""

    def __init__(self):
        self.done = Counter()
        self.failures = []

    def met(self, what, answer, *, wanted):
        self.done[what] += 1
        if answer.status_code != wanted:
            self.failures.append((what, answer.status_code, answer.text[:200]))

    def since(self, before):
        return self.done - before


def hurried(vault):
    """Auth's ports with a grace that a test can wait for; no setting allows it to be so short."""
    settings = vault.ports.settings.model_copy(update={"epoch_grace_s": GRACE_S})
    return with_fields(vault.ports, settings=settings)


async def filed(company, count):
    return [(await company.upload()).raise_for_status().json() for _ in range(count)]


@asynccontextmanager
async def people(vault, company):
    """Listeners, callers, an uploader and one who joins, until the end of the block."""
    seen, over = Seen(), asyncio.Event()
    heard = await filed(company, LISTENERS)
    known = await filed(company, 2)
    sessions = [await company.session(each["access_id"], each["pin"]) for each in heard]

    async def listens(recording, session):
        audio = f"/playback/v1/recordings/{recording}/audio"
        at, whole = 0, sample()
        while not over.is_set():
            until = min(at + 4_000, len(whole)) - 1
            headers = session | {"Range": f"bytes={at}-{until}"}
            answer = await company.client.get(audio, headers=headers)
            seen.met("listen", answer, wanted=206)
            if answer.content != whole[at : until + 1]:
                seen.failures.append(("listen", "other audio", recording))
            at = 0 if until + 1 == len(whole) else until + 1
            await asyncio.sleep(0.02)

    async def calls():
        number = 0
        while not over.is_set():
            who, number = known[number % 2], number + 1
            async with vault.elsewhere(f"2001:db8:{number:x}::1") as client:
                body = {"access_id": who["access_id"], "pin": who["pin"]}
                answer = await client.post("/auth/v1/customer-sessions", json=body)
                seen.met("sign in", answer, wanted=201)
                session = {"Authorization": f"Bearer {answer.json().get('session_token')}"}
                audio = f"/playback/v1/recordings/{who['recording_id']}/audio"
                seen.met("listen anew", await client.get(audio, headers=session), wanted=200)
            await asyncio.sleep(0.2)

    async def uploads():
        while not over.is_set():
            seen.met("upload", await company.upload(), wanted=201)

    async def joins():
        while not over.is_set():
            answer = await company.upload(join_access_id=known[0]["access_id"])
            seen.met("join", answer, wanted=201)
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as tasks:
        for each, session in zip(heard, sessions, strict=True):
            tasks.create_task(listens(each["recording_id"], session))
        for busy in (calls, uploads, joins):
            tasks.create_task(busy())
        await asyncio.sleep(0.5)
        try:
            yield seen
        finally:
            over.set()


async def is_due(ports):
    """As if the current period had begun a week ago."""
    while True:
        stored = await the_deployment(ports)
        *before, current = stored.record.periods
        aged = replace(current, began_at_s=current.began_at_s - PERIOD_S)
        changed = replace(stored.record, periods=(*before, aged))
        try:
            await ports.deployments.of(PLATFORM).replace(stored, changed)
        except VersionConflict:
            continue
        return


async def until_destroyed(ports):
    """Rotates as the housekeeping does, until the old period is gone; how much has moved."""
    moved = 0
    async with asyncio.timeout(GRACE_S + 60):
        while True:
            done = await rotate(ports)
            moved += done.documents_rewrapped
            if done.epochs_destroyed:
                return moved
            await asyncio.sleep(0.3)


def everybody_went_on(seen, before):
    assert seen.failures == []
    assert set(seen.since(before)) == {"listen", "sign in", "listen anew", "upload", "join"}


async def test_nobody_notices_a_whole_rotation_nor_a_new_root_key(vault, company):
    (model,) = await filed(company, 1)
    for _ in range(0, DOCUMENTS, 300):
        await add_copies(vault.ports, company.id, model["recording_id"], 300)
    ports = hurried(vault)
    async with people(vault, company) as seen:
        before = Counter(seen.done)
        old = (await the_deployment(ports)).record.periods[-1].root_version
        await is_due(ports)
        assert await until_destroyed(ports) > DOCUMENTS
        assert old not in await ports.custody.root.versions()
        await asyncio.sleep(1)
        everybody_went_on(seen, before)

        before, lasting = Counter(seen.done), (await the_deployment(ports)).record.lasting_root
        await change_root(by=Actor.service(), ports=ports)
        await until_destroyed(ports)
        assert await destroy_old_root(by=Actor.service(), ports=ports) == lasting
        await asyncio.sleep(TTL_S + 1)
        everybody_went_on(seen, before)

        # The control: what is destroyed before it has moved is missed by those who listen.
        current = (await the_deployment(ports)).record.periods[-1].root_version
        await ports.custody.root.destroy_version(current)
        await asyncio.sleep(TTL_S + 1)
        assert {what for what, *_ in seen.failures} & {"listen", "listen anew", "upload"}
