"""Dump: a service's documents, collection by collection and page by page, sealed as they go out."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from voicefile.docstore.port import Collection, DocStore, Document
from voicefile.dumps.frames import Begin, End, Frame, SegmentHead, boxes_text
from voicefile.dumps.recipient import Recipient
from voicefile.dumps.segment import END, GONE, SEGMENT_BYTES, Counts, DumpKey, end_of, packed

PAGE_DOCUMENTS: Final = 100
_ROUGHLY: Final = 64
"""What a document's frame takes beside its sealed values, for the size of a segment."""


@dataclass(frozen=True)
class Item:
    """One thing that is dumped: of which kind, for whom, how large it is about."""

    kind: str
    content: object
    tenant: str
    recordings: int = 0
    about_bytes: int = _ROUGHLY


@dataclass(frozen=True)
class LeftOut:
    """In place of something that can't be dumped."""


Items = AsyncIterator[Item | LeftOut]


@dataclass(frozen=True)
class Begun:
    """A dump that is to be given out."""

    items: Items
    """Kind by kind; of documents each kind by id, and then what is gone of it."""
    since: str = ""
    """The mark of the dump whose changes it holds; empty: it holds all there is."""
    mark: str = ""
    """What a later one may be asked to begin at; empty: there can be none."""
    whole: tuple[str, ...] = ()
    """Kinds that it holds all there is of, though of others it holds the changes."""


async def sealed_dump(
    service: str, begun: Begun, *, deployment: bytes, to: Sequence[Recipient]
) -> AsyncGenerator[bytes, None]:
    """The dump as it goes over the wire; holds one segment at a time."""
    key, counts, number = DumpKey(deployment), Counts(), 0
    boxes = boxes_text(key.boxes(to))
    yield Frame(Begin(key.id, service, boxes, begun.since, begun.mark)).encode()
    async for kind, items in _gathered(begun.items, counts):
        sealed = key.seal(number, kind, items)
        yield Frame(SegmentHead(number, kind, len(items), len(sealed)), sealed).encode()
        number += 1
    about = {"since": begun.since, "mark": begun.mark, "whole": begun.whole}
    sealed = key.seal(number, END, [{**end_of(service, number, counts), **about}])
    yield Frame(SegmentHead(number, END, 1, len(sealed)), sealed).encode()
    end = End(number + 1, dict(counts.documents), dict(counts.recordings), counts.left_out)
    yield Frame(end).encode()


async def _gathered(given: Items, counts: Counts) -> AsyncIterator[tuple[str, list[object]]]:
    """Items of one kind at a time, as many as fit a segment."""
    kind, held, held_bytes = "", list[object](), 0
    async for item in given:
        if isinstance(item, LeftOut):
            counts.left_out += 1
            continue
        if held and (item.kind != kind or held_bytes + item.about_bytes > SEGMENT_BYTES):
            yield kind, held
            held, held_bytes = [], 0
        kind = item.kind
        held.append(item.content)
        held_bytes += item.about_bytes
        if kind.startswith(GONE):
            counts.gone += 1
            continue
        counts.documents[item.tenant] += 1
        counts.recordings[item.tenant] += item.recordings
    if held:
        yield kind, held


def as_item(kind: str, document: Document) -> Item:
    """A document as it is."""
    return Item(kind, packed(document), document.tenant, about_bytes=_size(document))


def gone(kind: str, document_id: str) -> Item:
    """That a document of that kind is not there any more."""
    return Item(GONE + kind, document_id, "", about_bytes=_ROUGHLY)


async def pages(store: DocStore, collection: Collection) -> AsyncIterator[Document]:
    """Every document of a collection, a page in memory at a time."""
    after = ""
    while page := await store.scan(collection, after=after, limit=PAGE_DOCUMENTS):
        for document in page:
            yield document
        after = page[-1].id


def _size(document: Document) -> int:
    return _ROUGHLY + _bytes_in(document.body) + sum(len(each.payload) for each in document.pending)


def _bytes_in(value: object) -> int:
    """About how long a value is when packed; recursion ends with the document's own depth."""
    if isinstance(value, bytes | str):
        return len(value) + 3
    if isinstance(value, dict):
        return sum(len(key) + _bytes_in(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return sum(map(_bytes_in, value))
    return 9
