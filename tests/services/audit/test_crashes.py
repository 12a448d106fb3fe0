"""A kill before or after any single write leaves a log that mends itself."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.segments import segments_from
from voicefile.audit.store import HEADS, Head, record_of
from voicefile.audit.tiles import hashes_of, read_tiles
from voicefile.contracts.deed.v1 import Deed, Event
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.translog.merkle import Frontier
from voicefile.translog.tiles import hash_reader, tiles_read

WRITES = {"insert", "insert_many", "replace", "delete", "settle"}


class Killed(BaseException):
    """The process is gone; nothing of it runs any more."""


class StoreUntil:
    """A store whose process is killed right before, or right after, its n-th write."""

    def __init__(self, docs: Any, n: int, *, after: bool) -> None:
        self._docs, self._left, self._after = docs, n, after

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._docs, name)
        if name not in WRITES:
            return operation

        async def write(*args: Any, **kwargs: Any) -> Any:
            if self._left < 0:
                raise Killed
            self._left -= 1
            if self._left < 0 and not self._after:
                raise Killed
            answer = await operation(*args, **kwargs)
            if self._left < 0:
                raise Killed
            return answer

        return write


def died_of_it(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(died_of_it(inner) for inner in error.exceptions)
    return isinstance(error, Killed)


async def life(keeper: Any, batches: list[Any], tenants: list[str]) -> None:
    for batch in batches:
        await keeper.append(batch)
        for tenant in tenants:
            await keeper.publish(tenant)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_at_any_write_loses_and_doubles_nothing(
    docs, instance, keeper_of, check, after
) -> None:
    deaths = 0
    while True:
        tenants = [f"{deaths * 2 + i:032x}" for i in (1, 2)]
        instance.n, instance.boot = 0, f"{deaths + 1:032x}"
        events = [instance.does(tenants[i % 3 == 0]) for i in range(33)]
        batches = [events[:5], events[5:28], events[28:]]
        dying = keeper_of(StoreUntil(docs, deaths, after=after))
        try:
            await life(dying, batches, tenants)
        except BaseException as error:
            if not died_of_it(error):
                raise
        else:
            break
        signed: dict[str, Head] = {}
        for tenant in tenants:
            if (document := await docs.get(HEADS, tenant)) is not None:
                signed[tenant] = record_of(document, Head)
                await check(docs, tenant)
        # The bus brings again whatever nobody called safe; here, everything.
        await life(keeper_of(docs), batches, tenants)
        await after_the_mending(docs, events, tenants, check)
        for tenant, head in signed.items():
            assert await root_at(docs, tenant, head.size) == head.root
        deaths += 1
    assert deaths > 15


async def root_at(docs: Any, tenant: str, size: int) -> bytes:
    tiles = await read_tiles(docs, tenant, tiles_read(lambda read: Frontier.read(size, read)))
    return Frontier.read(size, hash_reader(hashes_of(tiles))).root()


async def after_the_mending(docs: Any, events: list[Any], tenants: list[str], check: Any) -> None:
    stored: Counter[str] = Counter()
    for tenant in tenants:
        report = await check(docs, tenant)
        assert report.published == report.sequenced
        for segment in await segments_from(docs, tenant, 0, limit=100):
            stored.update(Deed.FromString(entry).deed_id for entry in segment.entries)
    assert stored == Counter(Event.FromString(e.payload).deed.deed_id for e in events)


async def test_a_restart_alone_publishes_what_was_left(
    docs, tenant, instance, keeper_of, check
) -> None:
    await keeper_of(docs).append(instance.does_often(tenant, 50))
    restarted = keeper_of(docs)
    await restarted.sequencer.recover()
    while await restarted.publisher.publish_all():
        pass
    assert (await check(docs, tenant)).published == 50


class StoreWithInterruption:
    """A store in which something else happens right before the n-th operation."""

    def __init__(self, docs: Any, n: int, happening: Any) -> None:
        self._docs, self._left, self._happening = docs, n, happening

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._docs, name)

        async def interrupted(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == -1:
                await self._happening()
            return await operation(*args, **kwargs)

        return interrupted

    @property
    def interrupted(self) -> bool:
        return self._left < 0


async def test_a_checkpoint_at_any_moment_of_a_restart_doubles_nothing(
    tmp_path, tenant, keeper_of, instance, check
) -> None:
    events = instance.does_often(tenant, 20)
    for n in range(40):
        docs = await SqliteDocStore.open(tmp_path / f"{n}.sqlite", COLLECTIONS)
        before = keeper_of(docs)
        await before.append(events[:4])
        await before.publish(tenant)
        for at in range(4, 20, 4):
            await before.append(events[at : at + 4])

        store = StoreWithInterruption(docs, n, partial(before.publish, tenant))
        await keeper_of(store).append(events)
        await before.publish(tenant)
        report = await check(docs, tenant)
        await docs.close()
        assert report.published == report.sequenced == 20
        if not store.interrupted:
            break
    assert 5 < n < 39
