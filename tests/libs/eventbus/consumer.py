"""A consumer as a process of its own, to be killed: says on standard output what it takes.

python -m tests.libs.eventbus.consumer BOOTSTRAP AUTHORITY CERTIFICATE SERVICE TOPIC GROUP HANGS
"""

import asyncio
import ssl
import sys
from collections.abc import Sequence

from voicefile.eventbus.kafka import KafkaEventBus
from voicefile.eventbus.port import Event


async def main(arguments: Sequence[str]) -> None:
    bootstrap, authority, certificate, service, topic, group, hangs = arguments
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate)

    async def handler(events: Sequence[Event]) -> None:
        print(" ".join(event.id for event in events), flush=True)
        if hangs == "hangs":
            await asyncio.sleep(3600)

    # With the limits of the real thing: how soon others take over is what is measured.
    bus = KafkaEventBus(bootstrap, client=service, ssl=context)
    bus.subscribe(topic, group=group, handler=handler)
    async with bus.running():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
