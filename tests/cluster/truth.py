"""What is true of a cluster just now: what waits in outboxes, in the bus, before the log.

Read from the engines themselves with an operator's rights, not from what services say.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from tests.engines.kafka import OPERATOR, Kafka

from voicefile.audit.store import HEADS, SEGMENTS, Head, Segment, record_of
from voicefile.cli.prepare_plan import SPEAKS, hears
from voicefile.contracts.deed.v1 import Event
from voicefile.docstore.port import DocStore, Document

T = TypeVar("T")

LOOK_EVERY_S = 0.1
WAITED_S_MAX = 60.0


@dataclass
class Truth:
    """Opened in the loop of whoever asks; to be closed."""

    kafka: Kafka
    stores: Mapping[str, DocStore]
    _admin: AIOKafkaAdminClient | None = field(default=None, repr=False)
    _reader: AIOKafkaConsumer | None = field(default=None, repr=False)

    async def open(self) -> "Truth":
        told = {
            "bootstrap_servers": self.kafka.bootstrap,
            "security_protocol": "SSL",
            "ssl_context": self.kafka.ssl(OPERATOR),
        }
        self._admin, self._reader = AIOKafkaAdminClient(**told), AIOKafkaConsumer(**told)
        await self._admin.start()
        await self._reader.start()
        return self

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.stop()
        if self._admin is not None:
            await self._admin.close()

    async def heard(self, group: str, *, of: str, within_s: float = WAITED_S_MAX) -> None:
        """Waits until a group has handled everything that a service has done so far."""
        async with asyncio.timeout(within_s):
            await self._published(of)
            await self._handled(group)

    async def settled(self, *, within_s: float = WAITED_S_MAX) -> None:
        """Waits until every deed so far stands in a log, under a checkpoint.

        Of what is done meanwhile nothing is awaited: listenings that nobody ends run out for
        minutes after everybody has gone, and each is a deed.
        """
        async with asyncio.timeout(within_s):
            await self._published(*(each for each in SPEAKS if each in self.stores))
            for group in ("ingest", "audit", *({"backup"} & self.stores.keys())):
                await self._handled(group)
            await self._signed()

    async def _published(self, *services: str) -> None:
        """Waits until a broker has every event stored before this moment."""
        asked_ms = time.time_ns() // 1_000_000
        for service in services:
            while await self._oldest_ms(service) <= asked_ms:
                await asyncio.sleep(LOOK_EVERY_S)

    async def _oldest_ms(self, service: str) -> float:
        """When the event happened that has waited longest; outboxes are in order of arrival."""
        waiting = await self.stores[service].pending(1)
        if not waiting:
            return float("inf")
        [(_, document)] = waiting
        return Event.FromString(document.pending[0].payload).deed.at_ms

    async def _handled(self, group: str) -> None:
        """Waits until a group has said that it handled what the bus has at this moment."""
        ends = await _answered(partial(self._ends, group))
        waiting = {part for part, end in ends.items() if end}
        while waiting:
            done = await _answered(partial(self._done, group, waiting))
            waiting = {part for part in waiting if done[part] < ends[part]}
            await asyncio.sleep(LOOK_EVERY_S if waiting else 0)

    async def _ends(self, group: str) -> dict[TopicPartition, int]:
        assert self._admin is not None
        assert self._reader is not None
        ends: dict[TopicPartition, int] = {}
        for topic in hears()[group]:
            [told] = await self._admin.describe_topics([topic])
            parts = [TopicPartition(topic, each["partition"]) for each in told["partitions"]]
            ends |= await self._reader.end_offsets(parts)
        return ends

    async def _done(self, group: str, parts: set[TopicPartition]) -> dict[TopicPartition, int]:
        assert self._admin is not None
        told = await self._admin.list_consumer_group_offsets(group, partitions=list(parts))
        return {part: each.offset for part, each in told.items()}

    async def _signed(self) -> None:
        """Waits until every log's checkpoint covers what the log holds at this moment."""
        sizes = {head.id: await self._held(head) for head in await self._heads()}
        while any(
            record_of(each, Head).size < sizes.get(each.id, 0) for each in await self._heads()
        ):
            await asyncio.sleep(LOOK_EVERY_S)

    async def _held(self, head: Document) -> int:
        newest = await self.stores["audit"].newest(SEGMENTS, "stop", tenant=head.tenant)
        return 0 if newest is None else record_of(newest, Segment).stop

    async def _heads(self) -> list[Document]:
        found: list[Document] = []
        while page := await self.stores["audit"].scan(
            HEADS, after=found[-1].id if found else "", limit=500
        ):
            found += page
        return found


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """What a broker answers that may just be starting, as often as it takes."""
    while True:
        try:
            return await ask()
        except KafkaError:
            await asyncio.sleep(LOOK_EVERY_S)
