"""A fuse around every port of a vault: at its n-th call the process kills itself."""

import os
import re
import signal
import time
from contextvars import ContextVar
from functools import partial

import httpx

from voicefile.cli.embedded import Fittings

ACTING = ContextVar("acting", default=False)
"""Set while somebody's request is on its way through the services; loops don't have it."""
STORING = frozenset(
    {"insert", "insert_many", "replace", "replace_many", "delete", "settle", "put", "chunk"}
)
TELLING = frozenset({"publishes", "handles", "asks", "hears"})
CHANGING = STORING | TELLING
"""Steps that store something or tell somebody. The rest reads: killed before a read is killed
after the step before it."""
IDLE = ("appendable", "/auth/v1/keys")
"""What goes on when nobody does anything."""
RELEASES = "/auth/internal/v1/releases"
_ID = re.compile(r"[0-9a-f]{32}")


class Fuse:
    """Counts calls through ports and blows at call `at`: SIGKILL, no finally, no goodbye.

    `acting` says whose calls count: those of a request, or those of the loops behind it; None
    means all.
    """

    def __init__(self, at=None, *, acting=True, reads=False):
        self.at = at
        self.live = False
        self.steps = []
        self._acting = acting
        self._reads = reads

    def step(self, name, verb):
        if not self.live or not (self._reads or verb in CHANGING):
            return
        if self._acting is not None and ACTING.get() is not self._acting:
            return
        if name.endswith(IDLE):
            return
        self.steps.append(name)
        if len(self.steps) == self.at:
            die()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class FusedStore:
    """One service's document store."""

    def __init__(self, service, store, fuse):
        self._service = service
        self._store = store
        self._fuse = fuse

    def __getattr__(self, verb):
        method = getattr(self._store, verb)

        async def fused(*args, **options):
            subject = getattr(args[0], "name", "") if args else ""
            self._fuse.step(f"{self._service} {verb} {subject}", verb)
            return await method(*args, **options)

        return fused


class FusedBlobs:
    """A blob store, with a step in each chunk of a put."""

    def __init__(self, service, blobs, fuse):
        self._service = service
        self._blobs = blobs
        self._fuse = fuse

    async def put(self, name, chunks):
        async def fused():
            async for chunk in chunks:
                self._step("chunk")
                yield chunk

        self._step("put")
        return await self._blobs.put(name, fused())

    async def stream(self, name, start, stop):
        async for piece in self._blobs.stream(name, start, stop):
            self._step("piece")
            yield piece

    def __getattr__(self, verb):
        method = getattr(self._blobs, verb)

        async def fused(*args, **options):
            self._step(verb)
            return await method(*args, **options)

        return fused

    def _step(self, verb):
        self._fuse.step(f"{self._service} {verb} blob", verb)


class FusedBus:
    """The bus as one service knows it: what it publishes, and what it is told."""

    def __init__(self, service, bus, fuse):
        self._service = service
        self._bus = bus
        self._fuse = fuse

    def subscribe(self, topic, *, group, handler):
        async def fused(events):
            self._fuse.step(f"{self._service} handles {topic}", "handles")
            await handler(events)

        self._bus.subscribe(topic, group=group, handler=fused)

    async def publish(self, events):
        self._fuse.step(f"{self._service} publishes", "publishes")
        await self._bus.publish(events)


class FusedWire(httpx.AsyncBaseTransport):
    """One service's calls to others: killed before it asks, and before it hears the answer."""

    def __init__(self, service, wire, fuse, tell):
        self._service = service
        self._wire = wire
        self._fuse = fuse
        self._tell = tell

    async def handle_async_request(self, request):
        path = _ID.sub("*", request.url.path)
        self._fuse.step(f"{self._service} asks {path}", "asks")
        answer = await self._wire.handle_async_request(request)
        if path == RELEASES and answer.status_code == httpx.codes.CREATED:
            # From here on somebody outside auth holds a data key.
            self._tell("key_out", request=_field(request, "request_id"))
        self._fuse.step(f"{self._service} hears {path}", "hears")
        return answer

    async def aclose(self):
        await self._wire.aclose()


class Clock:
    """Time as the vault sees it, which can be let run ahead."""

    def __init__(self, ahead_s=0.0):
        self.ahead_s = ahead_s

    def __call__(self):
        return time.time() + self.ahead_s


def fitted(fuse, clock, tell, stores):
    """Fittings with the fuse in every port; `stores` is filled with the bare ones."""

    def documents(service, store):
        stores[service] = store
        return FusedStore(service, store, fuse)

    return Fittings(
        documents=documents,
        blobs=partial(_around, FusedBlobs, fuse),
        bus=partial(_around, FusedBus, fuse),
        calls=lambda service, wire: FusedWire(service, wire, fuse, tell),
        now_s=clock,
        monotonic_s=clock,
    )


def _around(fused, fuse, service, adapter):
    return fused(service, adapter, fuse)


def _field(request, name):
    return httpx.Response(200, content=request.content).json()[name]
