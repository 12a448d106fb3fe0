"""`voicefile events`: as the operator types it, against real brokers."""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence

from tests.cli import typed
from tests.engines.certificates import certificate
from tests.engines.kafka import Kafka
from tests.libs.eventbus.brokers import (
    OPERATOR,
    bus_for,
    events_of,
    fresh,
    fresh_service,
    topics,
)

from voicefile.audit.events import TOPIC as AUDIT_TOPIC
from voicefile.contracts.deed.v1 import Action
from voicefile.contracts.deed.v1 import Event as DeedEvent
from voicefile.eventbus.conformance import Listener, until
from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.port import Event


def told(broker: Kafka) -> dict[str, str]:
    return {
        "VOICEFILE_KAFKA_BOOTSTRAP": broker.bootstrap,
        "VOICEFILE_KAFKA_CA": str(broker.authority),
        "VOICEFILE_ADMIN_KAFKA_CERTIFICATE": str(certificate(broker.certificates, OPERATOR)),
    }


async def voicefile(*arguments: str, told: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    # In a thread: whoever hears events here goes on doing so.
    return await asyncio.to_thread(_voicefile, *arguments, told=told)


def _voicefile(*arguments: str, told: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: each for name, each in os.environ.items() if not name.startswith("VOICEFILE_")}
    return typed.run(("events", *arguments), {**kept, **told})


def replayed(audited: Listener) -> list[str]:
    """What the log would say was brought again."""
    deeds = [DeedEvent.FromString(event.payload).deed for event in audited.heard]
    return [deed.object_id for deed in deeds if deed.action == Action.ACTION_EVENT_REPLAYED]


async def test_what_was_buried_is_listed_and_brought_again(kafka: Kafka) -> None:
    service, topic = await fresh_service(kafka)
    poison = [Event(f"{at:032x}", topic, f"k{at}", b"what nobody may read") for at in (1, 2)]
    rung: list[DeadLetter] = []
    ill = True

    def fails(batch: Sequence[Event]) -> bool:
        return ill and any(event in poison for event in batch)

    listener = Listener(fails)
    bus = bus_for(kafka, service, on_dead_letter=rung.append)
    bus.subscribe(topic, group=service, handler=listener)
    events = events_of(topic, 10)
    await topics(kafka, AUDIT_TOPIC)
    audited = Listener()
    audit = bus_for(kafka, fresh())
    audit.subscribe(AUDIT_TOPIC, group=fresh(), handler=audited)
    async with bus.running(), audit.running():
        await bus.publish([*events[:5], *poison, *events[5:]])
        await until(lambda: len(rung) == 2)
        shown = await voicefile("dead", "--service", service, told=told(kafka))
        assert shown.returncode == 0, shown.stderr
        assert "2 dead letters" in shown.stdout
        assert all(event.id in shown.stdout for event in poison)
        assert "what nobody may read" not in shown.stdout
        ill = False
        one = ("replay", "--service", service, "--event-id", poison[0].id)
        done = await voicefile(*one, told=told(kafka))
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 of 1 published again" in done.stdout
        await until(lambda: listener.has(poison[:1]))
        await until(lambda: poison[0].id in replayed(audited))
        assert poison[1].id not in replayed(audited)
        assert (
            "1 dead letters"
            in (await voicefile("dead", "--service", service, told=told(kafka))).stdout
        )
        done = await voicefile("replay", "--service", service, told=told(kafka))
        assert "1 of 1 published again" in done.stdout
        await until(lambda: listener.has(poison))
    assert (
        "0 dead letters" in (await voicefile("dead", "--service", service, told=told(kafka))).stdout
    )


async def test_brokers_that_cannot_be_reached_are_said_in_a_line() -> None:
    nowhere = {"VOICEFILE_KAFKA_BOOTSTRAP": "127.0.0.1:1"}
    done = await voicefile("dead", "--service", "audit", told=nowhere)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can't be reached" in done.stderr
    done = await voicefile("dead", "--service", "audit", told={})
    assert "VOICEFILE_KAFKA_BOOTSTRAP" in done.stderr
