"""A served vault is killed at any moment, again and again, while everybody goes on using it.

Clients write down what they asked for and were told; at the end the vault is opened once more
and compared with that, recording by recording and deed by deed. `make faults` kills 200 times.
VOICEFILE_FAULTS_SEED repeats a run's choices (not its timing: that is the machine's).
"""

import asyncio
import hashlib
import os
import random
import secrets
import shutil
import statistics
import time
from collections import Counter

import pytest
from tests.faults import people
from tests.faults.crowd import Crowd, sound_of
from tests.faults.history import Found, History, complaints, guesses, read
from tests.faults.opened_vault import opened
from tests.faults.post_mortem import DAY_S, all_of, examine, examine_swept, settled
from tests.faults.rehearsal import ROOT
from tests.faults.second_look import heard_whole, retried
from tests.faults.served_vault import ServedVault

from voicefile.auth.store import ACCESS
from voicefile.chassis.tls import development_certificates
from voicefile.cli.place import Place
from voicefile.contracts.deed.v1 import Action

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3 * 3_600)]

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
CYCLES = int(os.environ.get("VOICEFILE_FAULTS_CYCLES", "200" if LONG else "6"))
LIFE_S = (0.2, 4.0)
KILLED_WHILE_STARTING = 0.15
RETRIES_AT_ONCE = 4
COMPLAINTS_SHOWN = 30
UPLOADING = {Action.ACTION_ACCESS_ISSUED, Action.ACTION_RECORDING_STORED}


async def prepared(data):
    """A company, and a recording whose PIN strangers will guess at."""
    async with opened(data) as stage, stage.vault.client() as client:
        (company,) = await stage.open_companies("busy")
        await settled(stage.stores)
        key = secrets.token_hex(16)
        token = await company.partner_token(client)
        answer = await people.upload(
            client, token=token, key=key, audio=sound_of(key), said=people.told_about(key)
        )
        assert answer.status_code == 201, answer.text
        recording = answer.json()["recording_id"]
        status = await people.status_of(client, token=token, recording=recording)
        await settled(stage.stores)
    development_certificates(Place(data).tls)
    return company, key, answer.json(), status.json()["credential_id"]


async def killed_again_and_again(served, crowd, chance):
    """The nemesis: lives of random length, some of which end before they began."""
    for life in range(1, CYCLES + 1):
        crowd.history.life = life
        await served.start()
        if chance.random() < KILLED_WHILE_STARTING:
            await asyncio.sleep(chance.uniform(0, 2.5))
        else:
            await served.ready()
            await asyncio.sleep(chance.uniform(*LIFE_S))
        await served.kill()
    crowd.over = True


async def found(stage, company, crowd, keys):
    """Everything tried once more, a day later: throttles have forgotten the day before."""
    before = await examine(stage)
    at_once, answers, heard = asyncio.Semaphore(RETRIES_AT_ONCE), {}, {}
    pins = {each.key: each for each in crowd.filed}
    async with stage.vault.client() as client:

        async def look(key):
            async with at_once:
                token = await company.partner_token(client)
                answers[key] = await retried(client, token, key, pins.get(key))
                heard[key] = await heard_whole(client, token, answers[key], pins.get(key))

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(look(key))
    await examine(stage)
    after = await examine_swept(stage)
    access = await all_of(stage.stores["auth"], ACCESS)
    recordings = {each["id"] for document in access for each in document.body["recordings"]}
    # Of signing in and listening, what the crowd did; of uploads, how they ended at last.
    deeds = [deed for deed in before.deeds if deed.action not in UPLOADING]
    deeds += [deed for deed in after.deeds if deed.action in UPLOADING]
    return Found(answers, heard, recordings, deeds), before


async def test_whatever_is_killed_nothing_acknowledged_is_lost(tmp_path, capsys):
    seed = os.environ.get("VOICEFILE_FAULTS_SEED") or secrets.token_hex(4)
    chance = random.Random(seed)
    company, key, guessed, credential = await prepared(tmp_path / "var")
    served = ServedVault(tmp_path / "var")
    history = History(tmp_path / "history")
    crowd = Crowd(served, history, company, chance, guessed)
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.run())
        group.create_task(killed_again_and_again(served, crowd, chance))
    lasted_s = time.monotonic() - began
    ops = read(tmp_path / "history")
    keys = sorted({op.asked["key"] for op in ops if op.what == "upload"} | {key})
    async with opened(served.data, ahead_s=DAY_S) as stage:
        seen, log = await found(stage, company, crowd, keys)
    assert seen.answers.pop(key) == guessed, f"seed {seed}"
    seen.recordings.remove(guessed["recording_id"])
    sounds = {each: hashlib.sha256(sound_of(each)).hexdigest() for each in keys}
    wrong = complaints(ops, sounds, seen, guessed=credential)
    with capsys.disabled():
        print("\n" + figures(served, ops, log, seed=seed, lasted_s=lasted_s))
        print(f"guesses that were checked: {len(guesses(seen.deeds, credential))}")
    if wrong:
        kept = kept_history(tmp_path / "history", seed)
        told = "\n".join(wrong[:COMPLAINTS_SHOWN])
        pytest.fail(f"seed {seed}, history in {kept}, {len(wrong)} complaints:\n{told}")


def kept_history(path, seed):
    """Where the next runs do not tidy it away."""
    kept = ROOT / "var" / "faults" / f"{seed}.jsonl"
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return shutil.copy(path, kept)


def figures(served, ops, log, *, seed, lasted_s):
    counted = Counter((op.what, op.type) for op in ops)
    lines = [f"seed {seed}: {CYCLES} kills in {lasted_s:.0f} s, {lasted_s / CYCLES:.1f} s each"]
    if served.ready_s:
        slowest = max(served.ready_s)
        middle = statistics.median(served.ready_s)
        lines.append(f"serving again after {middle:.2f} s (median), {slowest:.2f} s at most")
    lines += [f"{what:8} {kind:4} {n}" for (what, kind), n in sorted(counted.items())]
    lines.append(f"{len(log.deeds)} deeds in the logs; numbers given and not stored: {log.holes}")
    return "\n".join(lines)
