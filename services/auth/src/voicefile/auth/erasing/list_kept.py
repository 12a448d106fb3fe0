"""Lists for whoever answers for erasing: what goes next, what is held, what went, page by page.

Each is read from an index of the tenant's own, so a page costs what it shows and not what is
kept. A forged record is left out; the scrub tells of it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from voicefile.auth.credentials.change_credential import within
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.ports import Ports
from voicefile.auth.records import TenantRecords, due_day
from voicefile.auth.store import Access, Recording
from voicefile.identity.principal import Principal

PAGE_DOCUMENTS_MAX: Final = 50
DAYS_BACK: Final = 31
"""How many days a page of what went looks through: each is a question to the store."""


class Listing(StrEnum):
    """Which recordings."""

    PLANNED = "planned"
    """In the order of the days on which they go; of one customer all together, at the first."""
    HELD = "held"
    ERASED = "erased"
    """The last ones first."""


@dataclass(frozen=True)
class Mark:
    """Where a page ends and the next begins: a day as an ordinal, and a document on it."""

    day: int = 0
    after: str = ""


@dataclass(frozen=True)
class Kept:
    """One recording of a list and the credential it hangs on."""

    credential: str
    recording: Recording


@dataclass(frozen=True)
class Page:
    """Some of a list. No mark: there is nothing more."""

    kept: tuple[Kept, ...]
    following: Mark | None


async def list_kept(
    listing: Listing, mark: Mark, *, limit: int, by: Principal, ports: Ports
) -> Page:
    """What is in the scope of whoever asks; of `limit` documents, each a customer's."""
    records = ports.access.of(by.tenant)
    if listing is Listing.PLANNED:
        return await _planned(records, mark, limit=limit, by=by)
    if listing is Listing.HELD:
        return await _held(records, mark, limit=limit, by=by)
    today = due_day(day_of(int(ports.now_s() * 1000)))
    return await _erased(records, mark if mark.day else Mark(today), limit=limit, by=by)


async def _planned(
    records: TenantRecords[Access], mark: Mark, *, limit: int, by: Principal
) -> Page:
    kept: list[Kept] = []
    day, after, seen = max(mark.day, 1), mark.after, 0
    while seen < limit:
        if not after:
            first = await records.first_from("due", day)
            if first is None:
                return Page(tuple(kept), None)
            day = _number(first.body["due_day"])
        sifted = await records.sift("due", day, after=after, limit=limit - seen)
        for stored in sifted.believed:
            waiting = (each for each in stored.record.recordings if not (each.erased or each.held))
            ordered = sorted(waiting, key=lambda each: each.due_on)
            kept += [Kept(stored.id, each) for each in ordered if within(each, by)]
        seen += sifted.seen
        # A day of which nothing more is found is over; a full page goes on behind its last one.
        day, after = (day, sifted.last) if sifted.last else (day + 1, "")
    return Page(tuple(kept), Mark(day, after))


async def _held(records: TenantRecords[Access], mark: Mark, *, limit: int, by: Principal) -> Page:
    sifted = await records.sift("held", 1, after=mark.after, limit=limit)
    kept = [
        Kept(stored.id, each)
        for stored in sifted.believed
        for each in stored.record.recordings
        if each.held and not each.erased and within(each, by)
    ]
    full = sifted.seen == limit
    return Page(tuple(kept), Mark(0, sifted.last) if full else None)


async def _erased(records: TenantRecords[Access], mark: Mark, *, limit: int, by: Principal) -> Page:
    kept: list[Kept] = []
    day, after, seen = mark.day, mark.after, 0
    last = day - DAYS_BACK
    while day > last and seen < limit:
        sifted = await records.sift("erased", day, after=after, limit=limit - seen)
        kept += [
            Kept(stored.id, each)
            for stored in sifted.believed
            for each in stored.record.recordings
            if each.erased_on and due_day(each.erased_on) == day and within(each, by)
        ]
        seen += sifted.seen
        day, after = (day, sifted.last) if sifted.last else (day - 1, "")
    more = bool(after) or await records.any_until("erased", day)
    return Page(tuple(kept), Mark(day, after) if more else None)


def _number(value: object) -> int:
    assert isinstance(value, int), "an indexed number"
    return value
