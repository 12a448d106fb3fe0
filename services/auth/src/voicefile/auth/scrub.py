"""Scrubbing: every record is read now and then, so that a forgery shows before it is asked for."""

from dataclasses import dataclass

from voicefile.auth.forgeries import tell_forgery
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged, Records
from voicefile.auth.store import ACCESS, PRINCIPALS, TENANTS, Access, Principal, Tenant
from voicefile.docstore.port import Collection

PAGE_DOCUMENTS = 100


@dataclass(frozen=True)
class Scrubbed:
    """How many records were read, and how many of them nobody here has written."""

    read: int = 0
    forged: int = 0

    def __add__(self, other: "Scrubbed") -> "Scrubbed":
        return Scrubbed(self.read + other.read, self.forged + other.forged)


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
