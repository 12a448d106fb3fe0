"""Kafka keeps the law of the bus; and so does a broker of another make, as far as it goes."""

from dataclasses import replace

import pytest
from tests.engines.kafka import Kafka
from tests.engines.tansu import Tansu
from tests.libs.eventbus.brokers import HASTY, LIMITS, OPERATOR, Broker, Renamed, fresh, topics

from voicefile.eventbus.conformance import OTHER_TOPIC, TOPIC, EventBusConformance
from voicefile.eventbus.kafka import KafkaEventBus
from voicefile.eventbus.kafka_client import Limits
from voicefile.eventbus.kafka_dead import dead_topic
from voicefile.eventbus.port import EventBus

# It answers a first join only after half the term that a member may be silent.
TANSU_LIMITS = replace(LIMITS, session_s=2.0, heartbeat_s=0.5)


async def bus_of(broker: Broker, *, idempotent: bool, limits: Limits = LIMITS) -> EventBus:
    service = fresh()
    names = [TOPIC, OTHER_TOPIC, "voicefile.nobody-listens.v1"]
    await topics(broker, dead_topic(service), *(f"{service}-{name}" for name in names))
    bus = KafkaEventBus(
        broker.bootstrap,
        client=service,
        ssl=broker.ssl(OPERATOR),
        patience=HASTY,
        limits=limits,
        idempotent=idempotent,
    )
    return Renamed(bus, service)


class TestKafka(EventBusConformance):
    @pytest.fixture
    async def bus(self, kafka: Kafka) -> EventBus:
        return await bus_of(kafka, idempotent=True)


class TestTansu(EventBusConformance):
    @pytest.fixture
    async def bus(self, tansu: Tansu) -> EventBus:
        return await bus_of(tansu, idempotent=False, limits=TANSU_LIMITS)
