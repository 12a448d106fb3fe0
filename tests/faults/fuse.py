"""A fuse in every port of a service: at its n-th call the process is gone, before or after it."""

import os

import httpx

KILLED = 77


class Fuse:
    """Counts calls through ports. At call `at`, `os._exit`: no finally, no flush, no goodbye."""

    def __init__(self, at=None, *, after=False):
        self.at = at
        self.after = after
        self.calls = []

    async def through(self, name, work):
        self.calls.append(name)
        blown = len(self.calls) == self.at
        if blown and not self.after:
            os._exit(KILLED)
        done = await work()
        if blown:
            os._exit(KILLED)
        return done


class FusedStore:
    """A document store with a fuse in each call."""

    def __init__(self, store, fuse):
        self._store = store
        self._fuse = fuse

    def __getattr__(self, name):
        method = getattr(self._store, name)

        async def fused(*args, **options):
            subject = getattr(args[0], "name", "") if args else ""
            return await self._fuse.through(
                f"store.{name} {subject}", lambda: method(*args, **options)
            )

        return fused


class FusedBlobs:
    """A blob store with a fuse in each call, and in each chunk of a put."""

    def __init__(self, blobs, fuse):
        self._blobs = blobs
        self._fuse = fuse

    async def put(self, name, chunks):
        async def fused():
            async for chunk in chunks:
                yield await self._fuse.through("blobs.put chunk", lambda each=chunk: _same(each))

        return await self._fuse.through("blobs.put", lambda: self._blobs.put(name, fused()))

    async def stream(self, name, start, stop):
        async for piece in self._blobs.stream(name, start, stop):
            yield piece

    def __getattr__(self, name):
        method = getattr(self._blobs, name)

        async def fused(*args, **options):
            return await self._fuse.through(f"blobs.{name}", lambda: method(*args, **options))

        return fused


class FusedTransport(httpx.AsyncBaseTransport):
    """Calls to other services with a fuse in each: asked or not, answered or not."""

    def __init__(self, inner, fuse):
        self._inner = inner
        self._fuse = fuse

    async def handle_async_request(self, request):
        async def ask():
            answer = await self._inner.handle_async_request(request)
            await answer.aread()
            return answer

        return await self._fuse.through(f"http {request.url.path}", ask)


async def _same(value):
    return value
