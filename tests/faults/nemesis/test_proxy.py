"""The proxy does to a connection what it is told to, and to no other."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from tests.faults.nemesis.proxy import Proxy, Rule

RESET = (ConnectionResetError, BrokenPipeError)


class Door:
    """Answers each line in capitals, and remembers what it heard."""

    def __init__(self):
        self.heard = []

    async def answer(self, reader, writer):
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line.upper())
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def standing(**options):
    door = Door()
    server = await asyncio.start_server(door.answer, "127.0.0.1", 0)
    proxy = Proxy("door", server.sockets[0].getsockname()[1], **options)
    await proxy.start()
    try:
        yield proxy, door
    finally:
        await proxy.stop()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def calling(proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


class Caller:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def asks(self, text=b"hello\n", *, within_s=2.0):
        self.writer.write(text)
        async with asyncio.timeout(within_s):
            return await self.reader.readline()


async def test_without_rules_everything_passes_both_ways():
    async with standing() as (proxy, door), calling(proxy) as caller:
        assert await caller.asks() == b"HELLO\n"
        assert door.heard == [b"hello\n"]
        assert proxy.carried == {"?": 12}


async def test_a_blackhole_says_nothing_and_loses_nothing():
    async with standing() as (proxy, door), calling(proxy) as caller:
        assert await caller.asks() == b"HELLO\n"
        proxy.rule(Rule(blackhole=True))
        with pytest.raises(TimeoutError):
            await caller.asks(within_s=0.2)
        assert door.heard == [b"hello\n"]
        proxy.heal()
        async with asyncio.timeout(2):
            assert await caller.reader.readline() == b"HELLO\n"


async def test_who_calls_into_a_blackhole_is_connected_when_it_heals():
    async with standing() as (proxy, _):
        proxy.rule(Rule(blackhole=True))
        async with calling(proxy) as caller:
            with pytest.raises(TimeoutError):
                await caller.asks(within_s=0.2)
            proxy.heal()
            async with asyncio.timeout(2):
                assert await caller.reader.readline() == b"HELLO\n"


async def test_a_deaf_caller_is_heard_and_hears_nothing():
    async with standing() as (proxy, door), calling(proxy) as caller:
        proxy.rule(Rule(deaf=True))
        with pytest.raises(TimeoutError):
            await caller.asks(within_s=0.2)
        assert door.heard == [b"hello\n"]


async def test_refused_means_reset_for_the_old_and_the_new():
    async with standing() as (proxy, _), calling(proxy) as caller:
        assert await caller.asks() == b"HELLO\n"
        proxy.rule(Rule(refused=True))
        with pytest.raises(RESET):
            await caller.asks()
        async with calling(proxy) as other:
            with pytest.raises(RESET):
                await other.asks()
        proxy.heal()
        async with calling(proxy) as third:
            assert await third.asks() == b"HELLO\n"


async def test_cut_after_the_request_was_heard():
    async with standing() as (proxy, door), calling(proxy) as caller:
        proxy.rule(Rule(cut_after_bytes=6))
        with pytest.raises(RESET):
            await caller.asks()
        assert door.heard == [b"hello\n"]


async def test_latency_and_throttle_take_their_time():
    async with standing() as (proxy, _), calling(proxy) as caller:
        for rule in (Rule(latency_s=0.1), Rule(bytes_per_s=60)):
            proxy.rule(rule)
            began = time.monotonic()
            assert await caller.asks() == b"HELLO\n"
            assert time.monotonic() - began >= 0.2


async def test_a_rule_for_one_caller_is_none_for_another():
    names = iter(["auth-1", "auth-2", "ingest-1"])
    async with (
        standing(whose=lambda *_: next(names)) as (proxy, _),
        calling(proxy) as first,
    ):
        assert await first.asks() == b"HELLO\n"
        async with calling(proxy) as second, calling(proxy) as third:
            assert await second.asks() == await third.asks() == b"HELLO\n"
            proxy.rule(Rule(blackhole=True), who="auth")
            proxy.rule(Rule(), who="auth-2")
            with pytest.raises(TimeoutError):
                await first.asks(within_s=0.2)
            assert await second.asks() == await third.asks() == b"HELLO\n"
