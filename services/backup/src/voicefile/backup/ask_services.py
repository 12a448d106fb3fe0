"""Asks services for their dumps and puts them where they belong, segment by segment, unread."""

from collections.abc import AsyncIterator
from typing import Final

import httpx

from voicefile.backup.errors import DumpFailed, NothingToDump, Plaintext
from voicefile.backup.manifest import Dump, Object, Segment
from voicefile.backup.repository import Repository, Room
from voicefile.dumps.errors import FrameInvalid
from voicefile.dumps.frames import Begin, End, Frame, SegmentHead, frames, looks_sealed
from voicefile.dumps.recipient import RECIPIENTS_MIN

SERVICES: Final = ("auth", "ingest", "playback", "audit")
"""In this order: a deed that leaves a service's store is in the log's, which is dumped last."""
DUMPS: Final = "/internal/v1/dumps"
KEYS: Final = "/internal/v1/key-backups"
CANARIES: Final = "canaries"
CANARIES_PATH: Final = "/internal/v1/canaries"
CHECKPOINT: Final = "/audit/v1/logs/platform/checkpoint"


class Services:
    """The other services, as backup's certificate reaches them."""

    def __init__(self, client: httpx.AsyncClient, *, dump_s_max: float) -> None:
        self._client = client
        self._dump_s_max = dump_s_max

    async def dump(self, service: str, repository: Repository, *, since: str = "") -> Dump:
        """The service's documents, put among the objects. Raises DumpFailed, Plaintext.

        Those that have changed since that mark if the service can tell, or all.
        """
        path = f"/{service}{DUMPS}"
        return await self._put(service, path, repository, Room.OBJECTS, since=since)

    async def keys(self, repository: Repository) -> Dump:
        """Auth's key backup, put where nothing else lies. Raises DumpFailed, Plaintext."""
        return await self._put("keys", f"/auth{KEYS}", repository, Room.KEYS)

    async def canaries(self, repository: Repository) -> Dump | None:
        """What the drill opens; None where no drill is set."""
        try:
            return await self._put(
                CANARIES, f"/ingest{CANARIES_PATH}", repository, Room.OBJECTS, boxes_min=1
            )
        except NothingToDump:
            return None

    async def checkpoint(self) -> str:
        """The platform log's head, as audit signed it; empty while it has none."""
        try:
            answer = await self._client.get(CHECKPOINT)
        except httpx.HTTPError:
            raise DumpFailed("audit") from None
        return answer.text if answer.is_success else ""

    async def _put(
        self,
        service: str,
        path: str,
        repository: Repository,
        room: Room,
        *,
        boxes_min: int = RECIPIENTS_MIN,
        since: str = "",
    ) -> Dump:
        asked = {"since": since} if since else {}
        timeout_s = self._dump_s_max
        try:
            async with self._client.stream("POST", path, params=asked, timeout=timeout_s) as answer:
                if answer.status_code == httpx.codes.CONFLICT:
                    raise NothingToDump(service)
                if not answer.is_success:
                    raise DumpFailed(service)
                stream = frames(answer.aiter_raw())
                found = await _taken(service, stream, repository, room)
        except (httpx.HTTPError, FrameInvalid):
            raise DumpFailed(service) from None
        if len(found.boxes) < boxes_min or found.since not in {"", since}:
            raise DumpFailed(service)
        return found


async def _taken(
    service: str, stream: AsyncIterator[Frame], repository: Repository, room: Room
) -> Dump:
    begin: Begin | None = None
    segments: list[Segment] = []
    async for frame in stream:
        head = frame.head
        if isinstance(head, Begin):
            begin = head
        elif isinstance(head, SegmentHead):
            if head.number != len(segments):
                raise DumpFailed(service)
            if not looks_sealed(frame.sealed):
                # The whole backup fails, and loudly: better none than one that anybody can read.
                raise Plaintext
            put = await repository.put(room, frame.sealed)
            segments.append(Segment(head.kind, head.items, Object.of(put)))
        elif begin is not None:
            return _whole(service, begin, segments, head)
    raise DumpFailed(service)


def _whole(service: str, begin: Begin, segments: list[Segment], end: End) -> Dump:
    if begin.service != service or end.segments != len(segments):
        raise DumpFailed(service)
    return Dump(
        service,
        begin.dump,
        begin.boxes,
        segments,
        end.documents,
        end.recordings,
        end.left_out,
        begin.since,
        begin.mark,
    )
