"""The MongoDB store while its server is killed, frozen, away, or its answers are cut off.

The server belongs to these tests alone; a proxy that reads no TLS stands before it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from pymongo import MongoClient
from tests.engines import running
from tests.engines.mongo import Mongo
from tests.faults.nemesis.proxy import Proxy, Rule
from tests.libs.docstore.mongo_places import Place, place_on

from voicefile.docstore.conformance import COLLECTIONS, NOTES, PLAIN, THINGS, event, thing
from voicefile.docstore.mongo import MongoDocStore
from voicefile.docstore.mongo_driver import Limits
from voicefile.docstore.pending import carrying
from voicefile.docstore.port import (
    Document,
    DocumentExists,
    StoreBroken,
    StoreUnavailable,
    VersionConflict,
)

pytestmark = pytest.mark.filterwarnings(
    # Python 3.11 leaves a socket open that is reset before its TLS handshake has begun, and the
    # driver can't reach it any more. Here servers are killed so that this happens.
    "ignore:unclosed <ssl.SSLSocket:ResourceWarning"
)

SOON = Limits(choose_s=1.0, answer_s=1.5, fate_s=20.0)
LIMIT_S = 8.0
"""Within this a call is answered whose server is away: its limits, and a machine under load."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    why = running.why_missing("mongo")
    if why is not None:
        pytest.skip(f"no mongo: {why}")
    folder = tmp_path_factory.mktemp("mongo")
    engine = Mongo(folder / "engine", folder / "certificates")
    engine.start()
    yield engine
    engine.kill()


@pytest.fixture
def place(engine: Mongo) -> Place:
    """Alive and well, whatever the test before did to the server."""
    engine.resume()
    engine.start()
    return place_on(engine)


@pytest.fixture
def behind(place: Place) -> Iterator[MongoClient]:
    with place.driver() as client:
        yield client[place.database]


@pytest.fixture
async def proxy(engine: Mongo) -> AsyncIterator[Proxy]:
    proxy = Proxy("mongo", engine.ports["main"])
    await proxy.start()
    yield proxy
    await proxy.stop()


def through(proxy: Proxy, place: Place) -> Place:
    """By the proxy alone: the server's own address, which it tells, is not followed."""
    _, _, rest = place.uri.rpartition("@")
    host = rest.partition("/")[0]
    uri = place.uri.replace(host, f"127.0.0.1:{proxy.port}") + "&directConnection=true"
    return replace(place, uri=uri)


@asynccontextmanager
async def opened(place: Place, limits: Limits = SOON) -> AsyncIterator[MongoDocStore]:
    store = await MongoDocStore.open(
        place.uri, place.database, COLLECTIONS, tls_ca=place.ca, limits=limits
    )
    try:
        yield store
    finally:
        await store.close()


async def until(seen, s_max: float = 15.0) -> None:
    async with asyncio.timeout(s_max):
        while not await asyncio.to_thread(seen):
            await asyncio.sleep(0.05)


async def unheard(proxy: Proxy, write, seen):
    """The answer to a write, whose request arrived and whose first answer never did."""
    proxy.rule(Rule(deaf=True))
    writing = asyncio.create_task(write)
    await until(seen)
    proxy.reset()
    proxy.heal()
    return await asyncio.wait_for(writing, 25)


# ---- a server that is away ----


async def test_a_server_that_is_away_is_said_to_be_within_the_limit(place: Place) -> None:
    nobody = replace(place, uri="mongodb://u:p@127.0.0.1:1/?authSource=admin")
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        async with opened(nobody):
            pass
    assert time.monotonic() - begun < LIMIT_S


async def test_without_a_server_everything_is_unavailable_and_with_it_all_goes_on(
    engine: Mongo, place: Place
) -> None:
    async with opened(place) as store:
        stored = await store.insert(PLAIN, carrying(thing("a", n=1), event("e1")))
        await asyncio.to_thread(engine.kill)
        for call in (
            lambda: store.get(PLAIN, "a"),
            lambda: store.find(THINGS, "label", "x"),
            store.pending,
            lambda: store.replace(PLAIN, stored),
            lambda: store.delete(PLAIN, stored),
        ):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await call()
            assert time.monotonic() - begun < LIMIT_S
        assert not await store.ready()
        await asyncio.to_thread(engine.start)
        assert await store.ready()
        assert await store.get(PLAIN, "a") == stored
        assert (await store.replace(PLAIN, stored)).version == 2


async def test_an_insert_without_a_server_stores_nothing_not_even_later(
    engine: Mongo, place: Place
) -> None:
    async with opened(place) as store:
        await asyncio.to_thread(engine.kill)
        await asyncio.sleep(0.5)  # the driver has noticed
        with pytest.raises(StoreUnavailable):
            await store.insert(PLAIN, thing("a"))
        with pytest.raises(StoreUnavailable):
            await store.insert_many(PLAIN, [thing("b"), thing("c")])
        await asyncio.to_thread(engine.start)
        assert await store.scan(PLAIN) == []


async def test_a_crowd_of_writers_without_a_server_is_told_that_nothing_was_stored(
    engine: Mongo, place: Place
) -> None:
    async with opened(place) as store:
        await asyncio.to_thread(engine.kill)
        await asyncio.sleep(0.5)
        writes = [store.insert(PLAIN, thing(f"n{each}")) for each in range(40)]
        writes += [store.replace(THINGS, thing(f"n{each}")) for each in range(40)]
        begun = time.monotonic()
        ended = await asyncio.gather(*writes, return_exceptions=True)
        assert time.monotonic() - begun < LIMIT_S
        assert {type(each).__mro__[1] for each in ended} == {StoreUnavailable}
        await asyncio.to_thread(engine.start)
        assert await store.scan(PLAIN) == []


async def test_a_frozen_server_is_unavailable_and_thaws(engine: Mongo, place: Place) -> None:
    async with opened(place) as store:
        stored = await store.insert(PLAIN, thing("a"))
        engine.pause()
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.get(PLAIN, "a")
        assert time.monotonic() - begun < LIMIT_S
        assert not await store.ready()
        engine.resume()
        await until_ready(store)
        assert await store.get(PLAIN, "a") == stored


async def until_ready(store: MongoDocStore) -> None:
    async with asyncio.timeout(20):
        while not await store.ready():
            await asyncio.sleep(0.1)


# ---- answers that are cut off: each kind of write is known, and done once ----


async def test_an_insert_whose_answer_is_cut_off_is_stored_once(
    place: Place, proxy: Proxy, behind: MongoClient
) -> None:
    async with opened(through(proxy, place)) as store:
        document = carrying(thing("a", serial="s"), event("e1"))
        stored = await unheard(
            proxy, store.insert(THINGS, document), lambda: behind["things"].find_one("a")
        )
        assert stored == replace(document, version=1)
        assert await store.scan(THINGS) == [stored]
        assert await store.pending() == [(THINGS, stored)]
        with pytest.raises(DocumentExists):
            await store.insert(THINGS, document)


async def test_of_many_inserts_whose_answer_is_cut_off_each_is_stored_once(
    place: Place, proxy: Proxy, behind: MongoClient
) -> None:
    async with opened(through(proxy, place)) as store:
        await store.insert(THINGS, thing("n3", serial="mine"))
        documents = [thing(f"n{each}", serial=f"s{each}") for each in range(20)]
        with pytest.raises(DocumentExists):
            await unheard(
                proxy,
                store.insert_many(THINGS, documents),
                lambda: behind["things"].count_documents({}) == 20,
            )
        found = {each.id: each for each in await store.scan(THINGS)}
        assert len(found) == 20
        assert found["n3"].body == {"serial": "mine"}
        assert all(each.version == 1 for each in found.values())


async def test_a_replace_whose_answer_is_cut_off_is_done_once(
    place: Place, proxy: Proxy, behind: MongoClient
) -> None:
    async with opened(through(proxy, place)) as store:
        stored = await store.insert(PLAIN, carrying(thing("a"), event("e1")))
        changed = await unheard_replace(proxy, store, behind, stored)
        assert changed.version == 2
        assert changed.pending == (event("e1"), event("e2"))
        assert await store.get(PLAIN, "a") == changed


async def unheard_replace(
    proxy: Proxy, store: MongoDocStore, behind: MongoClient, stored: Document
) -> Document:
    """Deaf only once the write has begun by reading: what is cut off is the change's answer."""
    new = carrying(replace(stored, body={"n": 2}), event("e2"))
    return await at_the_change(proxy, store, behind, lambda: store.replace(PLAIN, new))


async def at_the_change(proxy: Proxy, store: MongoDocStore, behind: MongoClient, write):
    rows = store._tables["plain"].rows
    update = rows.update_one

    async def deaf_update(query, change):
        rows.update_one = update
        proxy.rule(Rule(deaf=True))
        return await update(query, change)

    rows.update_one = deaf_update
    writing = asyncio.create_task(write())
    await until(lambda: (behind["plain"].find_one("a") or {}).get("revision", 0) > 1)
    proxy.reset()
    proxy.heal()
    return await asyncio.wait_for(writing, 25)


async def test_a_delete_whose_answer_is_cut_off_is_won_by_who_did_it(
    place: Place, proxy: Proxy, behind: MongoClient
) -> None:
    async with opened(through(proxy, place)) as store, opened(place) as rival:
        stored = await store.insert(PLAIN, carrying(thing("a"), event("e1")))
        assert (
            await at_the_change(proxy, store, behind, lambda: store.delete(PLAIN, stored)) is None
        )
        with pytest.raises(VersionConflict):
            await rival.delete(PLAIN, stored)
        [(_, left)] = await rival.pending()
        assert left.pending == (event("e1"),)
        assert (await rival.insert(PLAIN, thing("a", again=True))).version == 1


async def test_a_settlement_whose_answer_is_cut_off_may_be_repeated(
    place: Place, proxy: Proxy, behind: MongoClient
) -> None:
    async with opened(through(proxy, place)) as store:
        await store.insert(PLAIN, carrying(thing("a"), event("e1")))
        with suppress(StoreUnavailable):
            await unheard(
                proxy,
                store.settle(PLAIN, "a", {"e1"}),
                lambda: not (behind["plain"].find_one("a") or {}).get("pending"),
            )
        await store.settle(PLAIN, "a", {"e1"})
        assert await store.pending() == []


async def test_a_partition_that_outlasts_all_patience_breaks_the_store_once(
    place: Place, proxy: Proxy
) -> None:
    broken: list[Exception] = []
    short = Limits(choose_s=0.5, answer_s=0.5, fate_s=2.0)
    there = through(proxy, place)
    store = await MongoDocStore.open(
        there.uri,
        there.database,
        COLLECTIONS,
        tls_ca=there.ca,
        limits=short,
        on_broken=broken.append,
    )
    proxy.rule(Rule(deaf=True))
    begun = time.monotonic()
    ended = await asyncio.gather(
        *(store.insert(PLAIN, thing(f"n{each}")) for each in range(5)), return_exceptions=True
    )
    assert time.monotonic() - begun < 3 * LIMIT_S
    assert {type(each) for each in ended} == {StoreBroken}
    assert len(broken) == 1
    proxy.heal()
    with pytest.raises(StoreBroken):
        await store.insert(PLAIN, thing("later"))
    assert not await store.ready()
    await store.close()


# ---- a crowd, while the line breaks and the server dies ----


class Crowd:
    """Writers who count in documents of their own, and know what they were told."""

    def __init__(self, store: MongoDocStore, size: int) -> None:
        self.store = store
        self.told: dict[str, Document] = {}
        self.refused = 0
        self.stopping = False
        self.size = size

    async def work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in range(self.size):
                tasks.create_task(self._count(f"w{name}"))

    async def _count(self, name: str) -> None:
        turn = 0
        while not self.stopping:
            turn += 1
            news = event(f"{name}-{turn}")
            before = self.told.get(name)
            try:
                if before is None:
                    self.told[name] = await self.store.insert(PLAIN, carrying(thing(name), news))
                else:
                    self.told[name] = await self.store.replace(PLAIN, carrying(before, news))
            except StoreUnavailable:
                self.refused += 1
                await asyncio.sleep(0.05)

    async def check(self) -> None:
        """Nobody else writes these: what is stored is what was told last, event by event."""
        for told in self.told.values():
            stored = await self.store.get(PLAIN, told.id)
            assert stored == told
            assert len(stored.pending) == stored.version
        assert len(await self.store.scan(PLAIN)) == len(self.told)


async def test_a_crowd_loses_and_doubles_nothing_while_its_line_breaks(
    place: Place, proxy: Proxy
) -> None:
    async with opened(through(proxy, place)) as store:
        crowd = Crowd(store, 6)
        working = asyncio.create_task(crowd.work())
        for turn in range(8):
            await asyncio.sleep(0.4)
            proxy.rule(Rule(deaf=bool(turn % 2)))
            await asyncio.sleep(0.1)
            proxy.reset()
            proxy.heal()
        crowd.stopping = True
        await working
        await crowd.check()
        assert sum(each.version for each in crowd.told.values()) >= 6


async def test_what_was_acknowledged_survives_the_servers_death(
    engine: Mongo, place: Place
) -> None:
    async with opened(place) as store:
        crowd = Crowd(store, 8)
        working = asyncio.create_task(crowd.work())
        for _ in range(2):
            await asyncio.sleep(1.0)
            await asyncio.to_thread(engine.kill)
            await asyncio.to_thread(engine.start)
        await asyncio.sleep(0.5)
        crowd.stopping = True
        await working
        await crowd.check()
        assert all(each.version > 1 for each in crowd.told.values())


async def test_of_ten_who_consume_a_document_over_a_breaking_line_one_wins(
    place: Place, proxy: Proxy
) -> None:
    async with opened(through(proxy, place)) as one, opened(through(proxy, place)) as other:
        for turn in range(4):
            stored = await one.insert(NOTES, thing(f"n{turn}"))
            deleting = [
                asyncio.create_task(each.delete(NOTES, stored)) for each in (one, other) * 5
            ]
            await asyncio.sleep(0.01 * turn)
            proxy.rule(Rule(deaf=True))
            await asyncio.sleep(0.1)
            proxy.reset()
            proxy.heal()
            ended = await asyncio.gather(*deleting, return_exceptions=True)
            gone = await one.get(NOTES, stored.id) is None
            assert sum(each is None for each in ended) == gone
            assert all(
                each is None or isinstance(each, VersionConflict | StoreUnavailable)
                for each in ended
            )
            if gone:
                assert [each for each in ended if each is None] == [None]
