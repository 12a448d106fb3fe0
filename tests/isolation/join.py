"""Finds equal byte strings between two heaps of data: what an attacker would join two dumps on."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voicefile.audit.events import shown
from voicefile.cli.embedded import STORES
from voicefile.cli.place import Place
from voicefile.cli.stores import open_store

WINDOW = 8
PAGE = 500
_HEX = re.compile(rb"[0-9a-f]{16,}")
_FORMAT = re.compile(rb"VFE1[\x01\x02][\x01-\x05]\x00\x4c\x00\x01\x00\x00")
"""The fixed beginning of everything sealed: with the first byte of a salt it would be eight."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_IDS_OF_A_DEED = (
    "deed_id",
    "actor",
    "object_id",
    "request_id",
    "boot_id",
    "commitment",
    "related_id",
)


@dataclass(frozen=True)
class Leaf:
    """One value of a document, and where it stood."""

    place: str
    """Service, collection and field: auth/access.subject.id."""
    tenant: str
    value: bytes = field(repr=False)


def windows(value: bytes) -> Iterator[bytes]:
    """Every run of eight bytes in any usual writing of the value: plain, hexadecimal, base64.

    Of hexadecimal only what it writes counts: eight of its digits are four bytes, and equal by
    chance too often.
    """
    for piece in (piece for part in _FORMAT.split(value) for piece in _pieces(part)):
        for start in range(len(piece) - WINDOW + 1):
            yield piece[start : start + WINDOW]


def _pieces(value: bytes) -> Iterator[bytes]:
    # What stands beside an id is read without it: decoded together, two ids that begin with the
    # same digit would be equal in more than eight bytes ("voicefile/test/d…").
    plain = 0
    for found in _HEX.finditer(value):
        yield value[plain : found.start()]
        yield from _from_base64(value[plain : found.start()])
        digits = found[0]
        yield bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
        plain = found.end()
    yield value[plain:]
    yield from _from_base64(value[plain:])


def _from_base64(value: bytes) -> Iterator[bytes]:
    for found in _BASE64.finditer(value):
        text = found[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        try:
            yield base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            continue


class Heap:
    """Byte strings by their windows, and where each came from."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self.places: dict[bytes, set[str]] = {}
        for leaf in leaves:
            for window in windows(leaf.value):
                self.places.setdefault(window, set()).add(leaf.place)

    def without(self, *known: "Heap") -> "Heap":
        """What is left when known windows are taken out: schema, dates, declared ids."""
        left = Heap(())
        left.places = {
            window: places
            for window, places in self.places.items()
            if not any(window in heap.places for heap in known)
        }
        return left

    def joined(self, other: "Heap") -> set[tuple[str, str]]:
        """The places that hold something equal, in pairs."""
        return {
            (here, there)
            for window in self.places.keys() & other.places.keys()
            for here in self.places[window]
            for there in other.places[window]
        }

    def found_in(self, raw: bytes) -> set[str]:
        """Which places' values stand somewhere in a raw file."""
        common = {window for window in windows(raw) if window in self.places}
        return {place for window in common for place in self.places[window]}


async def leaves_of(data: Path, service: str) -> list[Leaf]:
    """Every value in every document of a service, read the way the service reads."""
    store, _ = await open_store(Place(data).documents(service), STORES[service])
    found: list[Leaf] = []
    try:
        for collection in STORES[service].collections:
            after = ""
            while page := await store.scan(collection, after=after, limit=PAGE):
                for document in page:
                    place = f"{service}/{collection.name}"
                    # After the colon of audit's ids stands a place in the log, no value.
                    name = document.id.partition(":")[0].encode()
                    found.append(Leaf(f"{place}.", document.tenant, name))
                    found += _leaves(place, document.tenant, document.body)
                after = page[-1].id
    finally:
        await store.close()
    return found


def _leaves(place: str, tenant: str, value: object) -> Iterator[Leaf]:
    if isinstance(value, dict):
        for name, inner in value.items():
            # A dict's keys are schema, or ids: both are looked at.
            yield Leaf(f"{place}:keys", tenant, str(name).encode())
            yield from _leaves(f"{place}.{name}" if len(str(name)) < 32 else place, tenant, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(place, tenant, inner)
    elif isinstance(value, str):
        # Line by line: what stands around a line's end is form.
        yield from (Leaf(place, tenant, line.encode()) for line in value.splitlines())
    elif isinstance(value, bytes) and place == "audit/segments.entries":
        # A deed's numbers and times stand side by side with its ids: its fields are the values.
        deed = shown(value)
        for name in _IDS_OF_A_DEED:
            yield from _leaves(f"{place}.{name}", tenant, deed[name] or None)
    elif isinstance(value, bytes):
        yield Leaf(place, tenant, value)
