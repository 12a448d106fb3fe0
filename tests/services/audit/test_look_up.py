"""Looking deeds up: all that fits is found, once, and what is read follows from what is asked."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.services.audit.conftest import DEPLOYMENT, NOW_S, Instance, Keeper, new_id

from voicefile.audit.entry import commitment
from voicefile.audit.errors import CursorUnknown
from voicefile.audit.events import deed_of
from voicefile.audit.findable import DAY_MS, HOUR_MS, indexed_to
from voicefile.audit.indexing import Indexer
from voicefile.audit.look_up import Bounds, Cursor, Wanted, look_up
from voicefile.audit.prove import Entry, read_entries, read_head
from voicefile.audit.releases import ReleaseWatch
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import INDEXED, SEGMENTS
from voicefile.contracts.deed.v1 import Action, Deed, Event, Outcome, Role
from voicefile.docstore.port import Collection, DocStore
from voicefile.eventbus.port import Event as BusEvent
from voicefile.identity.ids import new_id as random_id
from voicefile.translog.origin import origin_of

BOUNDS = Bounds(entries=5, steps=12)
ACTORS = [random_id() for _ in range(3)]
OBJECTS = [random_id() for _ in range(4)]
ACTIONS = [Action.ACTION_TOKEN_ISSUED, Action.ACTION_RECORDING_READ, Action.ACTION_LOG_READ]
BEGAN_MS = (NOW_S - 5 * 86_400) * 1000


@dataclass
class Counting:
    """A store that counts the documents read from it."""

    store: DocStore
    read: dict[str, int] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.store, name)

        async def counted(collection: Collection, *args: Any, **kwargs: Any) -> Any:
            found = await operation(collection, *args, **kwargs)
            self.read[collection.name] = self.read.get(collection.name, 0) + 1
            return found

        return counted


def a_deed(tenant: str, instance: Instance, at: int, **changes: Any) -> BusEvent:
    """The deed at that place of a log in which everything happens in turn."""
    instance.n += 1
    told: dict[str, Any] = {
        "actor": ACTORS[at % 3],
        "role": Role.ROLE_CARE if at % 2 else Role.ROLE_PARTNER,
        "action": ACTIONS[at % 3],
        "object_id": OBJECTS[at % 4],
        "outcome": Outcome.OUTCOME_REFUSED if at % 10 == 0 else Outcome.OUTCOME_DONE,
        "at_ms": BEGAN_MS + at * 37 * 60_000,
    }
    event_id = new_id()
    deed = Deed(tenant=tenant, boot_id=instance.boot, n=instance.n, **(told | changes))
    payload = Event(event_id=event_id, deed=deed).SerializeToString()
    return BusEvent(event_id, "voicefile.auth.v1", deed.object_id, payload)


def indexer_of(docs: DocStore, **limits: Any) -> Indexer:
    settings = AuditSettings(**{"index_segments_max": 4, **limits})
    watch = ReleaseWatch(docs, settings=settings, now_s=lambda: NOW_S)
    return Indexer(docs, settings=settings, watch=watch)


async def indexed(docs: DocStore, tenant: str) -> None:
    while await indexer_of(docs).index(tenant):
        pass


async def everything(
    docs: DocStore,
    tenant: str,
    wanted: Wanted,
    *,
    bounds: Bounds = BOUNDS,
    between: Callable[[], Any] | None = None,
) -> list[Entry]:
    """All pages, and no page larger than it may be."""
    head = await read_head(docs, tenant)
    found: list[Entry] = []
    cursor: Cursor | None = Cursor()
    for _ in range(2_000):
        page = await look_up(docs, tenant, wanted, head=head, cursor=cursor, bounds=bounds)
        assert len(page.entries) <= bounds.entries
        found += page.entries
        if page.cursor is None:
            return found
        assert page.cursor != cursor, "a search that does not go on"
        cursor = Cursor.parse(str(page.cursor))
        if between is not None:
            await between()
    raise AssertionError("a search without an end")


async def read_all(docs: DocStore, tenant: str) -> list[Entry]:
    head = await read_head(docs, tenant)
    return (await read_entries(docs, tenant, start=0, limit=head.size))[1]


async def expected(docs: DocStore, tenant: str, wanted: Wanted) -> set[int]:
    entries = await read_all(docs, tenant)
    return {each.index for each in entries if wanted.fits(deed_of(each.entry))}


@pytest.fixture
async def log(docs, tenant, instance, keeper_of) -> Keeper:
    """200 deeds of one tenant over five days, in small segments; 150 of them indexed."""
    keeper: Keeper = keeper_of(docs)
    await keeper.append([a_deed(tenant, instance, at) for at in range(150)])
    await keeper.publish(tenant)
    await indexed(docs, tenant)
    assert await indexed_to(docs, tenant) == 150
    await keeper.append([a_deed(tenant, instance, at) for at in range(150, 200)])
    await keeper.publish(tenant)
    return keeper


PERIODS = [
    {},
    {"from_ms": BEGAN_MS + 20 * HOUR_MS, "until_ms": BEGAN_MS + 23 * HOUR_MS},
    {"from_ms": BEGAN_MS + 30 * HOUR_MS},
    {"until_ms": BEGAN_MS + 2 * DAY_MS},
    {"from_ms": BEGAN_MS + 2 * DAY_MS, "until_ms": BEGAN_MS + 2 * DAY_MS},
    {"from_ms": BEGAN_MS + 400 * DAY_MS},
]
WHATS = [
    {},
    {"actor": ACTORS[1]},
    {"object_id": OBJECTS[2]},
    {"object_id": new_id()},
    {"actions": frozenset({ACTIONS[0]})},
    {"actions": frozenset({ACTIONS[0]}), "outcome": Outcome.OUTCOME_REFUSED},
    {"role": Role.ROLE_CARE},
    {"outcome": Outcome.OUTCOME_REFUSED, "role": Role.ROLE_PARTNER},
    {"actor": ACTORS[2], "object_id": OBJECTS[0], "outcome": Outcome.OUTCOME_DONE},
]


@pytest.mark.parametrize(("what", "period"), list(product(WHATS, PERIODS)))
async def test_all_that_fits_is_found_and_each_once(docs, tenant, log, what, period) -> None:
    wanted = Wanted(**what, **period)
    found = [entry.index for entry in await everything(docs, tenant, wanted)]
    assert len(found) == len(set(found))
    assert set(found) == await expected(docs, tenant, wanted)
    if not wanted.from_ms or wanted.token is not None:
        assert all(one < two for one, two in pairwise(found))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    entries=st.integers(1, 30),
    steps=st.integers(1, 40),
    what=st.sampled_from(WHATS),
    period=st.sampled_from(PERIODS),
)
async def test_however_small_the_steps_nothing_is_left_out(
    docs, tenant, log, entries, steps, what, period
) -> None:
    wanted = Wanted(**what, **period)
    found = await everything(docs, tenant, wanted, bounds=Bounds(entries, steps))
    assert sorted(entry.index for entry in found) == sorted(await expected(docs, tenant, wanted))


@pytest.mark.parametrize("period", PERIODS)
async def test_a_log_that_is_indexed_meanwhile_shows_nothing_twice(
    docs, tenant, log, period
) -> None:
    wanted = Wanted(outcome=Outcome.OUTCOME_DONE, **period)

    async def further() -> None:
        await indexer_of(docs, index_segments_max=1).index(tenant)

    found = await everything(docs, tenant, wanted, between=further)
    assert sorted(entry.index for entry in found) == sorted(await expected(docs, tenant, wanted))


async def test_what_is_read_follows_from_what_is_asked_and_not_from_the_log(
    docs, tenant, instance, keeper_of
) -> None:
    keeper, rare = keeper_of(docs), new_id()
    costs = []
    for _ in range(3):
        await keeper.append([a_deed(tenant, instance, at) for at in range(400)])
        await keeper.append([a_deed(tenant, instance, 0, object_id=rare)])
        await keeper.publish(tenant)
        await indexed(docs, tenant)
        counting = Counting(docs)
        wanted = Wanted(object_id=rare)
        found = await everything(counting, tenant, wanted, bounds=Bounds(100, 100))
        costs.append((len(found), counting.read))
    assert [count for count, _ in costs] == [1, 2, 3]
    # A segment for each deed found, and the look for what the index does not know yet.
    assert [read[SEGMENTS.name] for _, read in costs] == [1, 2, 3]
    assert len({read["findable"] for _, read in costs}) == 1
    control = Counting(docs)
    await everything(control, tenant, Wanted(), bounds=Bounds(5_000, 5_000))
    assert control.read[SEGMENTS.name] > 20


async def test_one_call_looks_at_no_more_than_it_may(docs, tenant, log) -> None:
    head = await read_head(docs, tenant)
    wanted = Wanted(object_id=OBJECTS[1], actor=new_id())
    counting = Counting(docs)
    page = await look_up(
        counting, tenant, wanted, head=head, cursor=Cursor(), bounds=Bounds(5, steps=3)
    )
    assert page.entries == []
    assert page.cursor is not None
    assert counting.read[SEGMENTS.name] <= 3


async def test_another_tenants_deeds_are_never_found(
    docs, tenant, other_tenant, instance, log
) -> None:
    await log.append([a_deed(other_tenant, instance, at) for at in range(40)])
    await log.publish(other_tenant)
    await indexed(docs, other_tenant)
    wanted = Wanted(object_id=OBJECTS[1])
    theirs = await everything(docs, other_tenant, wanted)
    assert len(theirs) == 10
    assert {deed_of(each.entry).tenant for each in theirs} == {other_tenant}
    assert len(await everything(docs, tenant, wanted)) == 50


async def test_indexing_again_changes_nothing(docs, tenant, log) -> None:
    before = await everything(docs, tenant, Wanted(actor=ACTORS[0]))
    document = await docs.get(INDEXED, tenant)
    await docs.delete(INDEXED, document)
    await indexed(docs, tenant)
    assert await everything(docs, tenant, Wanted(actor=ACTORS[0])) == before


@pytest.mark.parametrize("text", ["x", "1-2", "1-2-3-4", "-1", "9" * 30, "１"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorUnknown):
        Cursor.parse(text)


# --- from outside -----------------------------------------------------------------------------


@pytest.fixture
async def filed(house, tenant, instance) -> Any:
    """A house whose tenant's log holds 60 deeds."""
    await house.bus.publish([a_deed(tenant, instance, at) for at in range(60)])
    await house.published(tenant, 60)
    return house


async def pages(house: Any, path: str, bearer: str) -> list[dict[str, Any]]:
    found, cursor = [], ""
    while True:
        answer = await house.get(f"{path}{cursor and f'&cursor={cursor}'}", bearer=bearer)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        found += told["entries"]
        cursor = told["cursor"]
        if not cursor:
            return found


async def test_an_auditor_looks_up_by_all_of_it(filed, tenant, token) -> None:
    bearer = token("auditor", tenant)
    path = f"/v1/logs/{tenant}/deeds?limit=4"
    asked = f"{path}&actor={ACTORS[0]}&role=care&action=token-issued&outcome=done"
    found = await pages(filed, asked, bearer)
    assert [entry["index"] for entry in found] == list(range(3, 60, 6))
    day = "from=2020-01-01T00:00:00Z&until=2027-01-11T06:00:00%2B01:00"
    found = await pages(filed, f"{path}&{day}", bearer)
    assert 0 < len(found) < 60
    for entry in found:
        salt, raw = base64.b64decode(entry["salt"]), base64.b64decode(entry["entry"])
        assert len(commitment(salt, raw)) == 32


async def test_a_search_is_a_deed_and_so_is_one_that_is_refused(
    filed, tenant, other_tenant, token
) -> None:
    bearer = token("auditor", tenant)
    await filed.get(f"/v1/logs/{tenant}/deeds?limit=1", bearer=bearer, purpose="legal")
    await filed.get(f"/v1/logs/{tenant}/export", bearer=bearer, purpose="legal")
    await filed.get(f"/v1/recordings/{OBJECTS[0]}/deeds", bearer=bearer, purpose="legal")
    assert (await filed.get(f"/v1/logs/{other_tenant}/deeds", bearer=bearer)).status_code == 404
    assert (await filed.get(f"/v1/logs/{other_tenant}/export", bearer=bearer)).status_code == 404
    await filed.published(tenant, 65)
    page = await filed.get(f"/v1/logs/{tenant}/entries?start=60&limit=5", bearer=bearer)
    deeds = [entry["deed"] for entry in page.json()["entries"]]
    assert [(d["action"], d["outcome"], d["object_id"], d["purpose"]) for d in deeds] == [
        ("log-read", "done", tenant, "legal"),
        ("log-exported", "done", tenant, "legal"),
        ("log-read", "refused", OBJECTS[0], "legal"),
        ("log-read", "refused", other_tenant, "unspecified"),
        ("log-exported", "refused", other_tenant, "unspecified"),
    ]


@pytest.mark.parametrize(
    "query",
    ["actor=x", "role=boss", "action=nothing", "from=yesterday", "limit=0", "cursor=x", "b=1"],
)
async def test_what_is_no_search_is_refused_without_an_echo(filed, tenant, token, query) -> None:
    answer = await filed.get(f"/v1/logs/{tenant}/deeds?{query}", bearer=token("auditor", tenant))
    assert answer.status_code == 422
    assert "yesterday" not in answer.text
    assert "boss" not in answer.text


async def test_each_line_of_an_export_is_checked_against_the_log(filed, tenant, token) -> None:
    bearer = token("auditor", tenant)
    answer = await filed.get(f"/v1/logs/{tenant}/export?role=partner", bearer=bearer)
    assert answer.headers["content-type"] == "application/x-ndjson"
    head, *entries, end = (json.loads(line) for line in answer.text.splitlines())
    assert head["verifier_key"].startswith(f"{origin_of(DEPLOYMENT, tenant)}+")
    assert end == {"end": True, "entries": len(entries)}
    assert [entry["index"] for entry in entries] == list(range(0, 60, 2))
    tile = await filed.get(f"/v1/logs/{tenant}/tile/entries/000.p/60")
    leaves = [tile.content[at + 2 : at + 34] for at in range(0, len(tile.content), 34)]
    for entry in entries:
        salt, raw = base64.b64decode(entry["salt"]), base64.b64decode(entry["entry"])
        assert commitment(salt, raw) == leaves[entry["index"]]


async def test_leading_indexes_by_itself(filed, tenant) -> None:
    async with asyncio.timeout(20):
        while await indexed_to(filed.docs, tenant) < 60:
            await asyncio.sleep(0.02)
