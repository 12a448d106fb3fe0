"""A service that pretends to be audit, behind the real `serve`: `python pretend.py BEHAVIOUR`.

What a room of the composition may do to the process around it, without any engine.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

from fastapi import Depends

from voicefile.chassis import event_loop
from voicefile.chassis.service import Service, new_app
from voicefile.chassis.streaming import StreamedResponse
from voicefile.cli.apart.serve import serve
from voicefile.cli.engine_settings import SettingsRefused
from voicefile.cli.words import in_words
from voicefile.crypto.rootkey import RootUnavailable, VersionGone
from voicefile.docstore.port import StoreBroken, StoreIsNewer, StoreUnavailable
from voicefile.identity.guard import open_to_all, peer

SECRET = "the-words-are-secret"
AWAY = {"documents-away": StoreUnavailable, "root-away": RootUnavailable}
REFUSES = {"newer": StoreIsNewer("step 3 is done, this code knows 2"), "other-root": VersionGone()}
TRIES = 4


class Room:
    """One kind of behaviour."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.tried = 0

    async def build(self, engines) -> Service:
        self.tried += 1
        if self.behaviour == "documents-away" and self.tried < TRIES:
            raise StoreUnavailable(SECRET)
        return Service(
            "audit", public=self.app(), internal=self.internal(), running=lambda: self.run(engines)
        )

    def app(self):
        app = new_app("pretended")

        @app.get("/v1/slow", dependencies=[Depends(open_to_all("a test"))])
        async def slow():
            async def body() -> AsyncIterator[bytes]:
                for _ in range(30):
                    yield b"x" * 1000
                    await asyncio.sleep(0.1)

            return StreamedResponse(body())

        @app.get("/v1/quick", dependencies=[Depends(open_to_all("a test"))])
        async def quick() -> str:
            return "quick"

        return app

    def internal(self):
        app = new_app("pretended, internal")

        @app.get("/internal/v1/who")
        async def who(by: str = Depends(peer("auth"))) -> str:
            return by

        return app

    @asynccontextmanager
    async def run(self, engines) -> AsyncIterator[None]:
        if self.behaviour == "root-away" and self.tried < TRIES:
            raise RootUnavailable(SECRET)
        if self.behaviour in REFUSES:
            raise REFUSES[self.behaviour]
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(self.work(engines))
            yield
            working.cancel()

    async def work(self, engines) -> None:
        await asyncio.sleep(1)
        if self.behaviour == "fails":
            engines.on_failure(StoreBroken(SECRET))
        if self.behaviour == "breaks":
            raise RuntimeError(SECRET)
        await asyncio.sleep(3600)


async def main(behaviour: str) -> int:
    module = ModuleType("voicefile.cli.apart.audit")
    room = Room(behaviour)
    module.build, module.REFUSED = room.build, {}
    sys.modules[module.__name__] = module
    try:
        return await serve("audit")
    except SettingsRefused as refused:
        sys.exit(in_words(refused))


if __name__ == "__main__":
    sys.exit(event_loop.run(main(sys.argv[1])))
