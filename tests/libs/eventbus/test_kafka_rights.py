"""Brokers that know services by password: each may do its own work, and nothing else."""

from collections.abc import Sequence

import pytest
from tests.engines.kafka import OPERATOR, Kafka
from tests.libs.eventbus.brokers import (
    HASTY,
    LIMITS,
    connection,
    events_of,
    fresh,
    publish_in_the_end,
    topics,
)
from tests.libs.eventbus.conftest import Start

from voicefile.crypto.secret import SecretText
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.conformance import Listener, until
from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.kafka import KafkaEventBus
from voicefile.eventbus.kafka_client import Limits
from voicefile.eventbus.kafka_dead import dead_topic
from voicefile.eventbus.kafka_topics import May, Of, Rule, allow
from voicefile.eventbus.port import Event, EventBus, Unreachable
from voicefile.eventbus.sent import SENT, SentJournal


@pytest.fixture(scope="module")
def own(start: Start) -> Kafka:
    engine = start(Kafka)
    assert isinstance(engine, Kafka)
    return engine


def bus_of(
    broker: Kafka,
    name: str,
    *,
    client: str,
    password: str | None = None,
    journal: SentJournal | None = None,
    limits: Limits = LIMITS,
    rung: list[DeadLetter] | None = None,
) -> EventBus:
    # The certificate is not asked for on this port, and no more than the authority is trusted.
    return KafkaEventBus(
        broker.bootstrap_passwords,
        client=client,
        ssl=broker.ssl(OPERATOR),
        sasl=(name, SecretText(password or broker.password_of(name))),
        journal=journal,
        patience=HASTY,
        limits=limits,
        on_dead_letter=(rung if rung is not None else []).append,
    )


async def test_a_service_works_with_no_more_rights_than_it_needs(own: Kafka, tmp_path) -> None:
    """The rules of `voicefile prepare kafka`: write the own topic, hear others', one group."""
    speaker, hearer = fresh("speaker"), fresh("hearer")
    topic = f"voicefile.{speaker}.v1"
    await topics(own, topic, dead_topic(speaker), dead_topic(hearer))
    await allow(
        connection(own),
        [
            Rule("User:auth", May.WRITE, Of.TOPIC, topic),
            Rule("User:ingest", May.READ, Of.TOPIC, topic),
            Rule("User:ingest", May.READ, Of.GROUP, hearer),
            Rule("User:ingest", May.WRITE, Of.TOPIC, dead_topic(hearer)),
        ],
    )
    store = await SqliteDocStore.open(tmp_path / "store.db", [SENT])
    events = events_of(topic, 30)
    poison = events[7]
    rung: list[DeadLetter] = []

    def fails(batch: Sequence[Event]) -> bool:
        return poison in batch

    listener = Listener(fails)
    speaking = bus_of(own, "auth", client=speaker, journal=SentJournal(store))
    hearing = bus_of(own, "ingest", client=hearer, rung=rung)
    hearing.subscribe(topic, group=hearer, handler=listener)
    async with speaking.running(), hearing.running():
        await publish_in_the_end(speaking, events)
        # Whether the log is still there is asked with the right to write alone.
        await speaking.mend()
        await publish_in_the_end(speaking, events_of(topic, 5, start=100))
        await until(lambda: listener.has([*events[:7], *events[8:]]) and bool(rung))
        hasty = bus_of(own, "ingest", client=hearer, limits=Limits(publish_s=2.0, request_s=2.0))
        async with hasty.running():
            with pytest.raises(Unreachable):
                await hasty.publish(events[:1])
    assert rung[0].event_id == poison.id
    await store.close()


async def test_a_wrong_password_is_let_in_nowhere(own: Kafka) -> None:
    service = fresh()
    topic = f"voicefile.{service}.v1"
    await topics(own, topic)
    bus = bus_of(own, "auth", client=service, password="not-the-one")
    async with bus.running():
        with pytest.raises(Unreachable):
            await bus.publish(events_of(topic, 1))
