"""Leaving is quick under the event loop that services run on, whatever a broker is just holding."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.engines.certificates import certificate
from tests.engines.kafka import Kafka
from tests.libs.eventbus.brokers import OPERATOR, bus_for, events_of, fresh_service

ROOT = Path(__file__).parents[3]
TIMES = 6
# Leaves after one more tenth of a second each time, so at all moments of a fetch that is held.
PROGRAM = f"""
import asyncio, json, ssl, sys, time
import uvloop
from voicefile.eventbus.kafka import KafkaEventBus

bootstrap, authority, certificate, service, topic = sys.argv[1:]

async def main():
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate)
    took = []
    for number in range({TIMES}):
        heard = asyncio.Event()
        async def handler(events):
            heard.set()
        bus = KafkaEventBus(bootstrap, client=service, ssl=context)
        bus.subscribe(topic, group=f"{{service}}-{{number}}", handler=handler)
        async with bus.running():
            await heard.wait()
            await asyncio.sleep(0.1 * number)
            begun_s = time.monotonic()
        took.append(time.monotonic() - begun_s)
    print(json.dumps(took))

uvloop.run(main())
"""


async def test_a_service_leaves_its_brokers_quickly(kafka: Kafka) -> None:
    service, topic = await fresh_service(kafka)
    bus = bus_for(kafka, service)
    async with bus.running():
        await bus.publish(events_of(topic, 20))
    arguments = [
        *(sys.executable, "-c", PROGRAM, kafka.bootstrap, str(kafka.authority)),
        *(str(certificate(kafka.certificates, OPERATOR)), service, topic),
    ]
    done = await asyncio.to_thread(
        subprocess.run, arguments, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    took: list[float] = json.loads(done.stdout)
    print(f"left within {max(took):.1f} s")
    assert max(took) < 8
