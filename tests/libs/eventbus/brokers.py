"""Brokers for the bus's tests, and topics nobody else has spoken on."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

from voicefile.eventbus.attempts import Patience
from voicefile.eventbus.kafka import KafkaEventBus
from voicefile.eventbus.kafka_client import Connection, Limits
from voicefile.eventbus.kafka_dead import dead_topic
from voicefile.eventbus.kafka_topics import Topic, make_topics
from voicefile.eventbus.port import Event, EventBus, Handler, Undelivered

OPERATOR = "operator"
HASTY = Patience(backoff_s=0.005, handler_s=20.0, batch_max=100)
LIMITS = Limits(request_s=5.0, publish_s=10.0, metadata_s=5.0, fetch_wait_s=0.1)


class Broker(Protocol):
    """What the engines of tests/engines have in common, as far as the bus is concerned."""

    @property
    def bootstrap(self) -> str: ...

    def ssl(self, name: str) -> ssl.SSLContext: ...


def connection(broker: Broker, name: str = OPERATOR, *, limits: Limits = LIMITS) -> Connection:
    return Connection(broker.bootstrap, name, broker.ssl(name), None, limits)


async def topics(broker: Broker, *names: str, partitions: int = 3) -> None:
    """Each with as many partitions; dead letters have one."""
    asked = [
        Topic(name, 1 if ".dead." in name else partitions, copies=1, retention_days=7)
        for name in names
    ]
    await make_topics(connection(broker), asked)


def fresh(word: str = "t") -> str:
    """A name nobody has used."""
    return f"{word}{uuid4().hex[:12]}"


async def fresh_service(broker: Broker, *, partitions: int = 3) -> tuple[str, str]:
    """A service nobody has heard of, with its topics; answers its name and its topic."""
    service = fresh()
    topic = f"voicefile.{service}.v1"
    await topics(broker, topic, dead_topic(service), partitions=partitions)
    return service, topic


class Renamed:
    """A bus whose topics and groups are nobody else's, under the names that the law uses."""

    def __init__(self, bus: EventBus, prefix: str) -> None:
        self._bus = bus
        self._prefix = f"{prefix}-"

    async def publish(self, events: Sequence[Event]) -> None:
        await self._bus.publish([replace(each, topic=self._prefix + each.topic) for each in events])

    def subscribe(self, topic: str, *, group: str, handler: Handler) -> None:
        async def renamed(events: Sequence[Event]) -> None:
            await handler([replace(each, topic=topic) for each in events])

        self._bus.subscribe(self._prefix + topic, group=self._prefix + group, handler=renamed)

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._bus.running()


def bus_for(
    broker: Broker,
    service: str,
    *,
    patience: Patience = HASTY,
    limits: Limits = LIMITS,
    **more: Any,
) -> KafkaEventBus:
    """A service's bus, as the operator: it may do everything."""
    return KafkaEventBus(
        broker.bootstrap,
        client=service,
        ssl=broker.ssl(OPERATOR),
        patience=patience,
        limits=limits,
        **more,
    )


async def publish_in_the_end(bus: EventBus, events: Sequence[Event]) -> None:
    """As a relay does: what is not safe comes again, in order."""
    left = list(events)
    while left:
        try:
            await bus.publish(left)
        except Undelivered as refused:
            left = [event for event in left if event.id in refused.event_ids]
            await asyncio.sleep(0.2)
            continue
        return


def events_of(topic: str, count: int, *, keys: int = 7, start: int = 0) -> list[Event]:
    """Ids count up, within each key as well."""
    return [
        Event(f"e{number:06d}", topic, f"key-{number % keys}", b"payload %d" % number)
        for number in range(start, start + count)
    ]


def in_order(heard: Sequence[Event]) -> bool:
    """Whether the first coming of each event keeps the order of its key."""
    first = list(dict.fromkeys((event.key, event.id) for event in heard))
    keys = {key for key, _ in first}
    return all(
        [each for key, each in first if key == one]
        == sorted(each for key, each in first if key == one)
        for one in keys
    )
