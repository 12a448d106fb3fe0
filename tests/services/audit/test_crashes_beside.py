"""What stands beside a log (index, cosignatures, time stamps) survives a kill at any of its writes.

Each is killed before and after each write, looked at as the kill left it, and begun anew by
another leader: then it is as if nobody had died.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.services.audit.conftest import (
    DEPLOYMENT,
    LOG_KEY,
    NOW_S,
    Instance,
    Keeper,
    key_of,
    new_id,
)
from tests.services.audit.test_crashes import StoreUntil, died_of_it
from tests.services.audit.test_look_up import OBJECTS, a_deed, everything, read_all
from tests.services.audit.test_witnesses import Clock, collector
from tests.services.audit.witnesses import Watcher

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.cosigned import read_cosigned
from voicefile.audit.events import deed_of
from voicefile.audit.findable import indexed_to
from voicefile.audit.indexing import Indexer
from voicefile.audit.look_up import Wanted
from voicefile.audit.prove import read_head
from voicefile.audit.releases import ReleaseWatch
from voicefile.audit.settings import AuditSettings
from voicefile.audit.stamp_day import DayStamps
from voicefile.audit.stamper import Stamp
from voicefile.audit.store import DAY_STAMPS, WATCHED
from voicefile.audit.timestamps import read_timestamps
from voicefile.contracts.deed.v1 import Action
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.translog.checkpoint import open_checkpoint, sign_checkpoint
from voicefile.translog.cosignature import cosigned_at
from voicefile.translog.merkle import leaf_hash
from voicefile.translog.note import VerifierKey
from voicefile.translog.origin import heads_origin
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.proofs import verify_inclusion

DEEDS = 40
DAY = "2027-01-15"
BEFORE_AND_AFTER = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


async def killed_at(
    docs: Any, n: int, work: Callable[[Any], Awaitable[object]], *, after: bool
) -> bool:
    """Whether the work died of its n-th write; otherwise it came to its end."""
    try:
        await work(StoreUntil(docs, n, after=after))
    except BaseException as error:
        if not died_of_it(error):
            raise
        return True
    return False


async def grown(docs: Any, keeper_of: Callable[..., Keeper], *, orphan: str) -> str:
    """A log in which everything happens: releases and their ends, one far behind, one without."""
    tenant, instance = new_id(), Instance()
    keeper = keeper_of(docs)
    events = [a_deed(tenant, instance, at) for at in range(DEEDS)]
    for release in ("", new_id(), new_id()):
        granted = {"action": Action.ACTION_RELEASE_GRANTED, "related_id": release or orphan}
        events.append(a_deed(tenant, instance, 1, **granted))
        if release:
            ended = {"action": Action.ACTION_LISTENING_ENDED, "object_id": release}
            events.append(a_deed(tenant, instance, 2, **ended))
    late = new_id()
    granted = {"action": Action.ACTION_RELEASE_GRANTED, "related_id": late}
    events.insert(0, a_deed(tenant, instance, 1, **granted))
    ended = {"action": Action.ACTION_LISTENING_ENDED, "object_id": late}
    await keeper.append(events)
    await keeper.append([a_deed(tenant, instance, 2, **ended)])
    await keeper.publish(tenant)
    return tenant


@BEFORE_AND_AFTER
async def test_an_index_killed_anywhere_hides_nothing_and_is_finished_by_the_next(
    docs, keeper_of, after
) -> None:
    settings, deaths, died = AuditSettings(index_segments_max=3), 0, True

    def of(store: Any, now_s: int = NOW_S) -> tuple[Indexer, ReleaseWatch]:
        watch = ReleaseWatch(store, settings=settings, now_s=lambda: now_s)
        return Indexer(store, settings=settings, watch=watch), watch

    while died:
        orphan = new_id()
        tenant = await grown(docs, keeper_of, orphan=orphan)

        async def index(store: Any, tenant: str = tenant) -> None:
            while await of(store)[0].index(tenant):
                pass

        died = await killed_at(docs, deaths, index, after=after)
        deaths += died
        entries = await read_all(docs, tenant)
        for _ in range(2):  # as the kill left it, and once the next leader has finished it
            for wanted in (Wanted(object_id=OBJECTS[0]), Wanted(from_ms=NOW_S * 1000 - 10**9)):
                found = await everything(docs, tenant, wanted)
                fits = [each for each in entries if wanted.fits(deed_of(each.entry))]
                assert sorted(each.index for each in found) == [each.index for each in fits]
            await index(docs)
        assert await indexed_to(docs, tenant) == len(entries)
        # Of all releases the one without an end is told of, and no other.
        later = of(docs, NOW_S + settings.outcome_within_s + 1)[1]
        assert await later.look() == 1
        assert {each.id for each in await docs.scan(WATCHED)} >= {orphan}
    assert deaths > 8


@BEFORE_AND_AFTER
async def test_cosignatures_killed_anywhere_stand_under_what_was_cosigned(
    docs, keeper_of, tmp_path, after
) -> None:
    deaths, died = 0, True
    while died:
        tenant = await grown(docs, keeper_of, orphan=new_id())
        watchers = [
            Watcher.begun(tmp_path / f"{deaths}-{name}", f"{name}.example/w").trusts(key_of(tenant))
            for name in ("dpo", "council")
        ]
        doors = [(each.place(), each.door(now_s=NOW_S)) for each in watchers]

        async def offer(store: Any, doors: Any = doors) -> None:
            witnesses = collector(store, Clock(), *doors)
            await witnesses.begin()
            await witnesses.round()

        died = await killed_at(docs, deaths, offer, after=after)
        deaths += died
        for _ in range(2):
            cosigned = await read_cosigned(docs, tenant)
            if cosigned is not None:
                assert open_checkpoint(cosigned.checkpoint, key_of(tenant)).size == cosigned.size
                assert all(cosigned_at(cosigned.checkpoint, each.key) for each in watchers)
            await offer(docs)
        head = await read_head(docs, tenant)
        cosigned = await read_cosigned(docs, tenant)
        assert cosigned is not None
        assert (cosigned.size, cosigned.root) == (head.size, head.root)
        # Each witness has its line once, however often it was asked.
        assert cosigned.checkpoint.count("\n— ") == 1 + len(watchers)
    assert deaths >= 1


@asynccontextmanager
async def fresh(path: Path) -> AsyncIterator[SqliteDocStore]:
    """A vault of its own: a day is stamped once."""
    docs = await SqliteDocStore.open(path, COLLECTIONS)
    try:
        yield docs
    finally:
        await docs.close()


class Stamper:
    """Says when, as an authority does; how it is believed is tried elsewhere."""

    async def stamp(self, message: bytes) -> Stamp:
        return Stamp(b"stamp over " + message, NOW_S)


@BEFORE_AND_AFTER
async def test_a_days_stamp_killed_anywhere_is_one_stamp_over_every_log(
    tmp_path, keeper_of, after
) -> None:
    deaths, died = 0, True
    key = VerifierKey(heads_origin(DEPLOYMENT, DAY), LOG_KEY.public)
    while died:
        async with fresh(tmp_path / f"{deaths}.sqlite") as docs:
            tenants = [await grown(docs, keeper_of, orphan=new_id()) for _ in range(3)]

            async def stamp(store: Any) -> None:
                await DayStamps(
                    store,
                    Stamper(),
                    lambda checkpoint: sign_checkpoint(checkpoint, LOG_KEY),
                    settings=AuditSettings(),
                    deployment=DEPLOYMENT,
                    now_s=lambda: NOW_S,
                ).stamp_today()

            died = await killed_at(docs, deaths, stamp, after=after)
            deaths += died
            for tenant in tenants:
                # As the kill left it: nothing yet, or all of it.
                whole = await docs.get(DAY_STAMPS, DAY) is not None
                assert len(await read_timestamps(docs, tenant, after="", limit=9)) == whole
            await stamp(docs)
            assert [each.id for each in await docs.scan(DAY_STAMPS)] == [DAY]
            for tenant in tenants:
                [told] = await read_timestamps(docs, tenant, after="", limit=9)
                proof = TlogProof.parse(told.proof)
                head = open_checkpoint(proof.checkpoint, key)
                verify_inclusion(
                    leaf_hash(proof.extra),
                    index=proof.index,
                    size=head.size,
                    proof=proof.hashes,
                    root=head.root,
                )
                assert told.response == b"stamp over " + proof.checkpoint.encode()
                assert open_checkpoint(proof.extra.decode(), key_of(tenant)).size > DEEDS
    assert deaths >= 2
