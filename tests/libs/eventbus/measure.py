"""How many events a second go from publish to handled, over memory and over brokers, in one run.

python -m tests.libs.eventbus.measure [EVENTS]
"""

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.engines import running
from tests.engines.kafka import Kafka
from tests.libs.eventbus.brokers import OPERATOR, Broker, events_of, fresh_service

from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.attempts import Patience
from voicefile.eventbus.kafka import KafkaEventBus
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.eventbus.port import Event, EventBus
from voicefile.eventbus.sent import SENT, SentJournal

BATCH = 500


async def through(bus: EventBus, topic: str, count: int) -> tuple[float, float]:
    """Seconds until published, and until handled."""
    events = events_of(topic, count, keys=500)
    events = [Event(each.id, topic, each.key, b"x" * 300) for each in events]
    heard: set[str] = set()
    done = asyncio.Event()

    async def handler(batch: Sequence[Event]) -> None:
        heard.update(event.id for event in batch)
        if len(heard) >= count:
            done.set()

    bus.subscribe(topic, group="measure", handler=handler)
    async with bus.running():
        await bus.publish(events[:1])
        while not heard:  # until the group has joined
            await asyncio.sleep(0.01)
        begun_s = time.monotonic()
        for at in range(1, count, BATCH):
            await bus.publish(events[at : at + BATCH])
        published_s = time.monotonic() - begun_s
        await done.wait()
        return published_s, time.monotonic() - begun_s


async def latency(bus: EventBus, topic: str, count: int = 100) -> tuple[float, float]:
    """Median and worst of ten from publish to handled, one event at a time, in milliseconds."""
    arrived: asyncio.Queue[float] = asyncio.Queue()

    async def handler(batch: Sequence[Event]) -> None:
        for _ in batch:
            arrived.put_nowait(time.monotonic())

    bus.subscribe(topic, group="measure", handler=handler)
    took: list[float] = []
    async with bus.running():
        for event in events_of(topic, count):
            begun_s = time.monotonic()
            await bus.publish([event])
            took.append((await arrived.get() - begun_s) * 1000)
    took = sorted(took[5:])
    return took[len(took) // 2], took[len(took) * 9 // 10]


def told(name: str, count: int, seconds: tuple[float, float], cpu_s: float) -> None:
    published, handled = (count / each for each in seconds)
    print(
        f"{name:24} published {published:9.0f}/s   handled {handled:9.0f}/s"
        f"   {cpu_s / count * 1e6:6.0f} us of our CPU each",
        flush=True,
    )


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def over(broker: Broker, service: str, journal: SentJournal | None) -> EventBus:
    return KafkaEventBus(
        broker.bootstrap, client=service, ssl=broker.ssl(OPERATOR), journal=journal
    )


async def main(count: int) -> None:
    kafka = Kafka(Path(running.engine("kafka")["folder"]), running.certificates())
    with tempfile.TemporaryDirectory() as folder:
        store = await SqliteDocStore.open(Path(folder) / "store.db", [SENT])
        kinds: dict[str, Callable[[str], EventBus]] = {
            "memory": lambda _: MemoryEventBus(patience=Patience(batch_max=BATCH)),
            "kafka": lambda service: over(kafka, service, None),
            "kafka with journal": lambda service: over(kafka, service, SentJournal(store)),
        }
        for name, bus in kinds.items():
            service, topic = await fresh_service(kafka)
            used_s = cpu_s()
            told(name, count, await through(bus(service), topic, count), cpu_s() - used_s)
        for name, bus in kinds.items():
            service, topic = await fresh_service(kafka)
            middle, slow = await latency(bus(service), topic)
            print(f"{name:24} one event: median {middle:6.1f} ms   nine of ten {slow:6.1f} ms")
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
