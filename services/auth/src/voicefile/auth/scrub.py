"""Scrubbing: every record is read now and then, so that a forgery shows before it is asked for."""

from contextlib import suppress
from dataclasses import dataclass, replace

from voicefile.auth.forgeries import tell_forgery
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged, Records
from voicefile.auth.store import (
    ACCESS,
    PRINCIPALS,
    ROUNDS,
    TENANTS,
    Access,
    Principal,
    Tenant,
)
from voicefile.docstore.port import Collection, Document, DocumentExists, VersionConflict
from voicefile.identity.ids import PLATFORM

PAGE_DOCUMENTS = 100
ROUND = "scrub"


@dataclass(frozen=True)
class Scrubbed:
    """How many records were read, and how many of them nobody here has written."""

    read: int = 0
    forged: int = 0

    def __add__(self, other: "Scrubbed") -> "Scrubbed":
        return Scrubbed(self.read + other.read, self.forged + other.forged)


async def scrub_if_due(ports: Ports) -> Scrubbed:
    """Scrubs if the last time is long enough ago, whichever instance did it, in whatever start.

    Not at the very first look: it reads every record there is.
    """
    now_s = int(ports.now_s())
    last = await ports.store.get(ROUNDS, ROUND)
    if last is None:
        with suppress(DocumentExists):
            await ports.store.insert(ROUNDS, Document(ROUND, PLATFORM, {"done_at_s": now_s}))
        return Scrubbed()
    done_at_s = last.body["done_at_s"]
    assert isinstance(done_at_s, int), "a stored number"
    if now_s - done_at_s < ports.settings.scrub_every_s:
        return Scrubbed()
    scrubbed = await scrub(ports)
    with suppress(VersionConflict):  # another instance led meanwhile, and did it as well
        await ports.store.replace(ROUNDS, replace(last, body={"done_at_s": now_s}))
    return scrubbed


async def scrub(ports: Ports) -> Scrubbed:
    """Reads all records; each forgery is a deed by itself."""
    return (
        await _scrubbed(TENANTS, ports.tenants, ports=ports)
        + await _scrubbed(PRINCIPALS, ports.principals, ports=ports)
        + await _scrubbed(ACCESS, ports.access, ports=ports)
    )


async def _scrubbed(
    collection: Collection,
    records: Records[Tenant] | Records[Principal] | Records[Access],
    *,
    ports: Ports,
) -> Scrubbed:
    after, total = "", Scrubbed()
    while page := await ports.store.scan(collection, after=after, limit=PAGE_DOCUMENTS):
        for document in page:
            try:
                await records.believe(document)
            except RecordForged as forged:
                await tell_forgery(forged, request_id="", deeds=ports.deeds)
                total += Scrubbed(1, 1)
            else:
                total += Scrubbed(1)
        after = page[-1].id
    return total
