"""One instance of audit appends; whichever is asked answers; and another takes over in time."""

import asyncio
import base64
import time
from collections import Counter

import pytest
from tests.services.replicas.many import many
from tests.services.replicas.test_journeys import deeds, stored, told
from tests.stand import OPERATOR

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.check import check_log
from voicefile.audit.segments import segments_from
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import HEADS
from voicefile.auth.errors import NameTaken
from voicefile.auth.tenants.open_tenant import NewTenant, open_tenant
from voicefile.contracts.deed.v1 import Deed, Event
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.deeds.deed import Action
from voicefile.docstore.lease import TTL_S

PATH = "/audit/internal/v1/appendable"


@pytest.fixture
async def vault(tmp_path):
    async with many(tmp_path, of={"audit": 3}, lease_s=2.0) as opened:
        await opened.until(lambda: opened.leader("audit"))
        yield opened


async def verdict(vault, replica):
    async with vault.inside("auth", only={"audit": replica}) as client:
        return (await client.get(PATH)).json()


async def says(vault, replica, appendable):
    """Asks until it says so: each instance looks for itself, a fifth of a second apart."""
    async with asyncio.timeout(10):
        while (await verdict(vault, replica))["appendable"] is not appendable:
            await asyncio.sleep(0.05)


async def entries(vault, tenant):
    """Every deed in the log, as often as it stands there."""
    found, at = Counter(), 0
    while segments := await segments_from(vault.stores["audit"], tenant, at, limit=50):
        for segment in segments:
            found.update(Deed.FromString(entry).deed_id for entry in segment.entries)
            at = segment.stop
    return found


async def sent(vault):
    """Every deed that went over the bus, by log."""
    found = {}
    for topic in vault.broker.topics.values():
        for event in topic:
            message = Event.FromString(event.payload)
            if message.HasField("deed"):
                found.setdefault(message.deed.tenant, set()).add(message.deed.deed_id)
    return found


async def holds_all(vault):
    """That every log has each deed once, and fits together."""
    await vault.settled()
    publisher = vault.replicas["audit"][0].service.public.state.publisher
    for tenant, ids in (await sent(vault)).items():
        assert await entries(vault, tenant) == Counter(ids)
        async with asyncio.timeout(20):
            while True:
                report = await check_log(
                    vault.stores["audit"], tenant, publisher.verifier_key(tenant)
                )
                if report.published == report.sequenced:
                    break
                await asyncio.sleep(0.05)


async def test_every_instance_says_the_same_and_the_truth(vault):
    (company,) = vault.companies
    for _ in range(3):
        await stored(company)
    await vault.settled()
    await asyncio.sleep(1.5)
    for each in vault.replicas["audit"]:
        await says(vault, each, True)
    said = [await verdict(vault, each) for each in vault.replicas["audit"]]
    assert said[0]["sequenced"] == said[1]["sequenced"] == said[2]["sequenced"]
    numbered = {each.service.public.state.ports.deeds.boot_id for each in vault.replicas["auth"]}
    assert numbered <= set(said[0]["sequenced"])


async def test_a_first_question_is_answered_in_time(vault):
    for replica in vault.replicas["audit"]:
        await asyncio.sleep(AuditSettings().pulse_lasts_s)
        begun_s = time.monotonic()
        await says(vault, replica, True)
        print(f"answered after {time.monotonic() - begun_s:.3f} s")


async def test_without_a_leader_all_say_no_and_with_the_next_one_yes(vault):
    leader = vault.leader("audit")
    others = [each for each in vault.replicas["audit"] if each is not leader]
    for each in others:
        await says(vault, each, True)
    leader.cut_off()
    await asyncio.sleep(AuditSettings().pulse_lasts_s + AuditSettings().pulse_every_s)
    if vault.leader("audit") in {None, leader}:
        said = await asyncio.gather(*(verdict(vault, each) for each in others))
        if vault.leader("audit") in {None, leader}:
            assert not any(each["appendable"] for each in said)
    await vault.until(lambda: vault.leader("audit") in others)
    for each in others:
        await says(vault, each, True)
    await says(vault, leader, False)
    leader.cut_off(False)
    await says(vault, leader, True)


@pytest.mark.parametrize("how", ["cut off", "stopped"])
async def test_another_takes_over_and_loses_and_doubles_nothing(vault, how):
    (company,) = vault.companies
    working = asyncio.Event()
    filed = []

    async def work():
        # However slow the machine: some before the leader goes, some after.
        while not working.is_set() or len(filed) <= 3:
            filed.append(await stored(company))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        for _ in range(2):
            await asyncio.sleep(1)
            leader = vault.leader("audit")
            if leader is None:
                continue
            before = len(await entries(vault, company.id))
            begun_s = time.monotonic()
            if how == "cut off":
                leader.cut_off()
            else:
                leader.stopping.set()
            await vault.until(lambda gone=leader: vault.leader("audit") not in {None, gone})
            led_s = time.monotonic() - begun_s
            async with asyncio.timeout(20):
                while len(await entries(vault, company.id)) <= before:
                    await asyncio.sleep(0.02)
            print(f"{how}: led after {led_s:.2f} s, appended after"
                  f" {time.monotonic() - begun_s:.2f} s (term {vault.lease_s} s)")  # fmt: skip
            if how == "stopped":
                break
            leader.cut_off(False)
        working.set()
    await holds_all(vault)
    assert len(await deeds(vault, Action.ACTION_RECORDING_STORED)) >= len(filed)


async def test_an_instance_that_does_not_lead_records_who_reads_there(vault):
    (company,) = vault.companies
    await stored(company)
    token = {"Authorization": f"Bearer {await company.staff_token('auditor')}"}
    await vault.settled()
    await asyncio.sleep(1)
    for replica in vault.replicas["audit"]:
        async with vault.at(replica, "audit") as one:
            page = await told(
                await one.get(f"/audit/v1/logs/{company.id}/entries?limit=500", headers=token)
            )
            assert base64.b64decode(page["entries"][0]["entry"])
    assert len(await deeds(vault, Action.ACTION_LOG_READ)) == 3
    await holds_all(vault)


async def test_first_starts_that_race_make_one_log_key_and_one_deployment(tmp_path):
    async with many(tmp_path, of={"audit": 4, "auth": 4}) as vault:
        keys = set()
        (company,) = vault.companies
        await stored(company)
        await vault.settled()
        for replica in vault.replicas["audit"]:
            async with vault.at(replica, "audit") as one:
                keys.add((await one.get("/audit/v1/logs/platform/key")).text)
        assert len(keys) == 1
        # Who came second keeps nothing in the root that anything could hang on.
        assert len(await FileRootKey(tmp_path / "keys-audit").versions()) == 1
        assert len(await FileRootKey(tmp_path / "keys-auth").versions()) == 2
        assert {each.name for each in COLLECTIONS} >= {"leases", "pulse"}
        assert await vault.stores["audit"].scan(HEADS)


async def test_of_two_tenants_opened_under_one_domain_at_once_there_is_one(tmp_path):
    async with many(tmp_path, of={"auth": 3}) as vault:
        ports = [each.service.public.state.ports for each in vault.replicas["auth"]]
        opened = await asyncio.gather(
            *(
                open_tenant(NewTenant(f"n{at}", "raced.test"), by=OPERATOR, ports=each)
                for at, each in enumerate(ports)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(each, str) for each in opened) == 1
        assert sum(isinstance(each, NameTaken) for each in opened) == 2


def test_a_takeover_takes_ten_seconds_at_most_with_the_usual_term():
    looked_for_s = TTL_S / 12
    assert TTL_S + looked_for_s + 1 < 10
