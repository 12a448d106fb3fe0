"""A service's documents out of a dump of all there was and those of changes behind it.

What a document was last stands in the newest dump that tells of it, and there perhaps that it is
gone. All dumps have their documents by id, so they are read side by side, a segment of each in
memory.
"""

import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from voicefile.backup.errors import Damaged
from voicefile.backup.manifest import Dump
from voicefile.backup.repository import Repository, Room
from voicefile.crypto.secret import SecretKey
from voicefile.dumps.errors import DumpIncomplete
from voicefile.dumps.segment import END, GONE, Whole, open_segment

NO_MARK: Final = "-"
"""Of a dump that changes can't be asked for after."""


class OpenedDump:
    """A dump, with the key to it: gives its items kind by kind, as often as is asked."""

    def __init__(
        self, repository: Repository, room: Room, dump: Dump, key: SecretKey, *, deployment: bytes
    ) -> None:
        self._repository = repository
        self._room = room
        self._dump = dump
        self._key = key
        self._deployment = deployment

    async def items(self, kind: str) -> AsyncIterator[Any]:
        """Items of one kind, in their order. Raises Damaged, Tampered."""
        for number, segment in enumerate(self._dump.segments):
            if segment.kind != kind:
                continue
            found, items = await self._segment(number)
            if found != kind:
                raise Damaged(f"{self._room}/{segment.object.named.address}")
            for item in items:
                yield item

    async def kinds(self) -> list[str]:
        """The kinds there are, in order, each once."""
        return list(dict.fromkeys(segment.kind for segment in self._dump.segments))

    async def check(self) -> None:
        """That it is whole, by what its own last segment says. Raises DumpIncomplete, Tampered."""
        whole = Whole(self._dump.service)
        for number in range(len(self._dump.segments)):
            whole.opened(*await self._segment(number))
        whole.check()

    async def end(self) -> Mapping[str, Any]:
        """What its last segment says. Raises DumpIncomplete, Damaged, Tampered."""
        kind, items = "", list[Any]()
        if self._dump.segments:
            kind, items = await self._segment(len(self._dump.segments) - 1)
        if kind != END:
            raise DumpIncomplete("the dump's end is not there")
        return dict(items[0])

    async def _segment(self, number: int) -> tuple[str, list[Any]]:
        sealed = await self._repository.get(self._room, self._dump.segments[number].object.named)
        return open_segment(
            self._key, sealed, deployment=self._deployment, dump=self._dump.dump, number=number
        )


class Layers:
    """A dump of all there was, and behind it those of changes: read as if it were one."""

    def __init__(self, dumps: Sequence[OpenedDump]) -> None:
        self._dumps = dumps

    async def check(self) -> None:
        """That each is whole, and holds the changes since the one before.

        Both by what stands inside the seals. Raises DumpIncomplete, Damaged, Tampered.
        """
        before = ""
        for dump in self._dumps:
            await dump.check()
            end = await dump.end()
            if end.get("since", "") != before:
                raise DumpIncomplete("a dump of changes does not follow the one before")
            before = end.get("mark", "") or NO_MARK

    async def kinds(self) -> list[str]:
        """The kinds of documents there are, each once."""
        found = [kind for dump in self._dumps for kind in await dump.kinds()]
        return [each for each in dict.fromkeys(found) if each != END and not each.startswith(GONE)]

    async def items(self, kind: str) -> AsyncIterator[Any]:
        """Items of one kind as they were last, in their order. Raises Damaged, Tampered."""
        dumps = await self._from(kind)
        if len(dumps) == 1:
            async for item in dumps[0].items(kind):
                yield item
            return
        # Of one document the newest layer comes first.
        streams = [_Stream(dump, kind, -number) for number, dump in enumerate(dumps)]
        streams += [_Stream(dump, GONE + kind, -number) for number, dump in enumerate(dumps)]
        waiting = [each for each in streams if await each.step()]
        heapq.heapify(waiting)
        last: str | None = None
        while waiting:
            stream = waiting[0]
            if stream.id != last:
                last = stream.id
                if not stream.gone:
                    yield stream.item
            if await stream.step():
                heapq.heapreplace(waiting, stream)
            else:
                heapq.heappop(waiting)

    async def _from(self, kind: str) -> Sequence[OpenedDump]:
        """The dumps that count: from the last one on that holds all there was of that kind."""
        for number in range(len(self._dumps) - 1, 0, -1):
            if kind in (await self._dumps[number].end()).get("whole", ()):
                return self._dumps[number:]
        return self._dumps


class _Stream:
    """Documents of one dump, or ids of those that are gone, as far as they have been read."""

    def __init__(self, dump: OpenedDump, kind: str, rank: int) -> None:
        self.gone = kind.startswith(GONE)
        self._items = dump.items(kind)
        self._rank = (rank, self.gone)
        self.id = ""
        self.item: Any = None
        self._begun = False

    def __lt__(self, other: "_Stream") -> bool:
        return (self.id, *self._rank) < (other.id, *other._rank)

    async def step(self) -> bool:
        """Goes on to the next; False: there is none. Raises DumpIncomplete."""
        item = await anext(self._items, None)
        if item is None:
            return False
        before, self.item = self.id, item
        self.id = str(item if self.gone else item[0])
        if self._begun and self.id <= before:
            raise DumpIncomplete("documents are not in their order")
        self._begun = True
        return True
