"""Expiry: what is due today is erased, by the one instance that leads.

Nothing of its own is stored: what is due is read from an index each time, day by day, so a round
costs what is due and not what is kept, and a run that was killed anywhere is taken up by the next.
Two that run at once lose races to each other and nothing else.
"""

import asyncio

import structlog

from voicefile.auth.erasing.certificate import Why
from voicefile.auth.erasing.erase import Order, erase
from voicefile.auth.erasing.metrics import erasures_stuck
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.ports import Ports
from voicefile.auth.records import due_day
from voicefile.auth.store import ACCESS
from voicefile.crypto.errors import CryptoError
from voicefile.deeds.deed import Actor
from voicefile.docstore.port import Document, VersionConflict

log = structlog.get_logger(__name__)

BATCH_DOCUMENTS = 64
"""Erased at the same time: they share commits."""


async def expire(ports: Ports) -> int:
    """One round; answers how many recordings were erased."""
    today = day_of(int(ports.now_s() * 1000))
    done = stuck = day = 0
    while found := await ports.store.due(ACCESS, "due", due_day(today), start=day, limit=1):
        day = _due_day_of(found[0])
        erased, failed = await _expired(day, today, ports=ports)
        done, stuck, day = done + erased, stuck + failed, day + 1
    erasures_stuck().set(stuck)
    return done


async def _expired(day: int, today: str, *, ports: Ports) -> tuple[int, int]:
    """All that became due on one day: how many were erased, and how many documents could not."""
    # By day and id, never "the first that are due": a document that can't be erased, since
    # somebody forged it, must not stand in the way of those behind it.
    after, done, stuck = "", 0, 0
    while page := await ports.store.find(ACCESS, "due", day, after=after, limit=BATCH_DOCUMENTS):
        async with asyncio.TaskGroup() as work:
            tasks = [work.create_task(_expire(each, today, ports=ports)) for each in page]
        results = [task.result() for task in tasks]
        done += sum(each for each in results if each is not None)
        stuck += results.count(None)
        after = page[-1].id
    return done, stuck


async def _expire(document: Document, today: str, *, ports: Ports) -> int | None:
    """How many recordings; None: it does not open, or is not auth's own."""
    order = Order(by=Actor.service(), why=Why.EXPIRED)
    try:
        stored = await ports.access.believe(document)
        erased = await erase(stored, lambda each: each.due_on <= today, order=order, ports=ports)
    except VersionConflict:
        return 0  # changed meanwhile: the next round finds what is still due
    except CryptoError as error:
        # The scrub tells forgeries; here it shows as long as it is in the way.
        log.error("erasure_stuck", reason=type(error).__name__)  # noqa: TRY400 - no trace needed
        return None
    return len(erased.recordings)


def _due_day_of(document: Document) -> int:
    day = document.body["due_day"]
    assert isinstance(day, int), "an indexed number"
    return day
