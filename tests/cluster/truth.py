"""What is true of a cluster just now: what waits in outboxes, in the bus, before the log.

Read from the engines themselves with an operator's rights, not from what services say.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from tests.engines.kafka import OPERATOR, Kafka

from voicefile.audit.store import HEADS, SEGMENTS, Head, Segment, record_of
from voicefile.cli.prepare_plan import SPEAKS, hears
from voicefile.docstore.port import DocStore

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

    async def unpublished(self, *services: str) -> int:
        """Documents with events that no broker has yet."""
        return sum([len(await self.stores[each].pending(1)) for each in services or SPEAKS])

    async def lag(self, group: str) -> int:
        """Events that a group has not yet said to have handled."""
        assert self._admin is not None
        assert self._reader is not None
        ends = {}
        for topic in hears()[group]:
            [told] = await self._admin.describe_topics([topic])
            parts = [TopicPartition(topic, each["partition"]) for each in told["partitions"]]
            ends |= await self._reader.end_offsets(parts)
        done = await self._admin.list_consumer_group_offsets(group, partitions=list(ends))
        return sum(end - max(0, done[part].offset) for part, end in ends.items() if end)

    async def unsequenced(self) -> int:
        """Logs that hold more than their newest checkpoint signs."""
        audit, found, after = self.stores["audit"], 0, ""
        while page := await audit.scan(HEADS, after=after, limit=500):
            for head in page:
                newest = await audit.newest(SEGMENTS, "stop", tenant=head.tenant)
                size = record_of(head, Head).size
                found += newest is not None and record_of(newest, Segment).stop != size
            after = page[-1].id
        return found

    async def heard(self, group: str, *, of: str, within_s: float = WAITED_S_MAX) -> None:
        """Waits until a group has handled everything that a service has done so far."""
        async with asyncio.timeout(within_s):
            while await self.unpublished(of) or await self.lag(group):
                await asyncio.sleep(LOOK_EVERY_S)

    async def settled(self, *, within_s: float = WAITED_S_MAX) -> None:
        """Waits until every deed so far stands in a log, under a checkpoint.

        What audit reads itself is a deed too: so all is looked at until nothing moved at all.
        """
        async with asyncio.timeout(within_s):
            while await self.outstanding():
                await asyncio.sleep(LOOK_EVERY_S)

    async def outstanding(self) -> int:
        """Everything on its way: 0 when all is said, heard and signed."""
        waiting = await self.unpublished()
        return (
            waiting
            or await self.lag("audit") + await self.lag("ingest")
            or (await self.unsequenced())
        )
