"""Services apart, two of each: what one process promises, many keep together."""

import asyncio
import json
import secrets
import ssl
import time
from collections import Counter

import httpx
import pytest
from tests.cluster import front
from tests.cluster.asked_for import asked_for
from tests.cluster.cluster import SERVICES
from tests.cluster.load import Load
from tests.cluster.standard_client import StandardClient
from tests.engines.plaintext import probe_family
from tests.faults import people
from tests.faults.nemesis.verdict import read_logs
from tests.faults.post_mortem import all_of

from voicefile.auth.store import ACCESS
from voicefile.chassis.tls import service_certificate
from voicefile.contracts.deed.v1 import Action

pytestmark = [asked_for, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]
RETRIES = 1_000
WORKERS = 3
STEADY_S = 3.0


async def test_a_thousand_retries_at_once_are_one_recording_and_one_answer(vault):
    company, key = vault.companies[0], secrets.token_hex(16)
    token, audio, said = await company.partner_token(), people.noise(key), people.told_about(key)
    before = len(await all_of(vault.stores["auth"], ACCESS))
    standard = StandardClient(gives_up_s=300)

    async def retry(client: httpx.AsyncClient) -> tuple[int, bytes]:
        answer = await standard.ask(
            lambda: people.upload(client, token=token, key=key, audio=audio, said=said)
        )
        assert answer is not None, standard.retried
        return answer.status_code, answer.content

    async with front.client(vault.cluster.doors, timeout_s=120) as client:
        answers = await asyncio.gather(*(retry(client) for _ in range(RETRIES)))
    print(
        f"{RETRIES} at once: retried {dict(standard.retried)}, slowest {standard.slowest_s:.1f} s"
    )
    [(status, content)] = set(answers)
    assert status == 201
    assert len(await all_of(vault.stores["auth"], ACCESS)) == before + 1
    filed = json.loads(content)
    await vault.settled()
    logs = await read_logs(vault.inside, vault.client)
    for action in (Action.ACTION_ACCESS_ISSUED, Action.ACTION_RECORDING_STORED):
        told = [each for each in logs.deeds if each.object_id == filed["recording_id"]]
        assert [each.action for each in told].count(action) == 1


async def test_a_rolling_restart_of_everything_fails_no_request_and_loses_no_deed(vault):
    load = Load(vault.cluster, await people.opened(vault.ports, f"rolling-{secrets.token_hex(4)}"))
    await vault.published()
    before = restarts(vault.cluster)
    async with asyncio.TaskGroup() as group:
        working = group.create_task(load.run(workers=WORKERS))
        await load.lasted(STEADY_S)
        for service in SERVICES:
            await asyncio.to_thread(vault.cluster.rolling_restart, service)
        await load.lasted(STEADY_S)
        load.over = True
        await working
    print(
        f"{load.client.asked} requests, {len(load.filed)} filed, {load.heard} heard; retried "
        f"{dict(load.client.retried)}, slowest {load.client.slowest_s:.1f} s"
    )
    assert load.failed == []
    assert load.heard == len(load.filed) > 5
    assert restarts(vault.cluster) == before
    await vault.settled()
    logs = await read_logs(vault.inside, vault.client)
    assert logs.lost == []
    told = Counter((deed.action, deed.object_id) for deed in logs.deeds)
    for answer in load.filed.values():
        for action in (Action.ACTION_ACCESS_ISSUED, Action.ACTION_RECORDING_STORED):
            assert told[action, answer["recording_id"]] == 1
    requests = Counter(deed.request_id for deed in logs.deeds)
    assert [each for each in load.signed_in if not requests[each]] == []


def restarts(cluster):
    return {each.name: each.restarts for each in cluster.everybody}


async def test_whoever_is_killed_is_there_again(vault):
    cluster = vault.cluster
    for replica in cluster.everybody:
        before, pid = replica.restarts, replica.pid
        replica.kill()
        took_s = await asyncio.to_thread(_again, cluster, replica, pid)
        print(f"{replica.name} again after {took_s:.1f} s")
        assert replica.restarts == before + 1
        replica.restarts = before


def _again(cluster, replica, pid):
    while replica.pid in {None, pid}:
        time.sleep(0.05)
    return cluster.await_ready()


async def test_every_port_of_every_process_speaks_tls_and_nothing_else(cluster):
    """Services and engines, whatever they listen on, as the kernel tells it."""
    processes = {each.name: each.pid for each in cluster.everybody}
    processes |= {name: engine.pid for name, engine in cluster.engines.all.items()}
    found = {name: await asyncio.to_thread(probe_family, pid) for name, pid in processes.items()}
    for name, ports in found.items():
        print(name, ", ".join(f"{each.port} {each.tls}" for each in ports))
        assert ports, name
        assert all(each.safe for each in ports), (name, ports)
    for replica in cluster.everybody:
        own = {replica.public, replica.health, replica.internal}
        listening = {each.port for each in found[replica.name]}
        assert listening <= own
        closed = {"portal": {replica.internal}, "backup": {replica.internal, replica.public}}
        assert own - listening <= closed.get(replica.service, set())


async def test_nobody_gets_inside_without_a_certificate_of_ours(cluster):
    """The handshake is refused: not a byte of a request is read."""
    for replica in cluster.everybody:
        if replica.service in front.CALLED_BY_NOBODY:
            continue
        for who in (None, "stranger"):
            trusted = ssl.create_default_context(cafile=str(cluster.certificates / "ca.pem"))
            if who:
                elsewhere = cluster.folder / "another authority"
                trusted.load_cert_chain(service_certificate(elsewhere, "playback"))
            async with httpx.AsyncClient(verify=trusted, trust_env=False) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(f"https://127.0.0.1:{replica.internal}/{replica.service}/")
