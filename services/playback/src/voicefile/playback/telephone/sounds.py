"""Sounds: what the edge fetches, each once: words, or a run of the recording as a WAV file."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from voicefile.playback.errors import RecordingNotFound
from voicefile.playback.play import Playback, Rendition
from voicefile.playback.telephone.calls import Calls, Taken
from voicefile.playback.telephone.logins import caller_of
from voicefile.playback.telephone.prompt_wav import SAMPLE_BYTES, header
from voicefile.playback.telephone.prompts import Prompts
from voicefile.playback.telephone.speech import unpacked
from voicefile.playback.telephone.watching import FirstSound

HEADER_BYTES: Final = 44
"""Of a telephone rendition, before its samples."""


def samples_of(rendition_bytes: int) -> int:
    """How many samples a telephone rendition of so many bytes has."""
    return max(0, rendition_bytes - HEADER_BYTES) // SAMPLE_BYTES


@dataclass(frozen=True)
class SoundFile:
    """A WAV file that is ready to be sent."""

    size: int
    pieces: AsyncGenerator[bytes, None]


class Sounds:
    """The one way to a sound: its token, which is used up before the first byte leaves."""

    def __init__(
        self, *, calls: Calls, prompts: Prompts, playback: Playback, first_sound: FirstSound
    ) -> None:
        self._first_sound = first_sound
        self._calls = calls
        self._prompts = prompts
        self._playback = playback

    async def sound(self, call_id: str, token: str, *, request_id: str) -> SoundFile:
        """Raises RecordingNotFound for a token that is not, or not any more; as `play` does."""
        taken = await self._calls.take(call_id, token)
        if taken is None:
            raise RecordingNotFound
        if taken.said:
            language, phrases = unpacked(taken.said)
            tenant = taken.call.tenant or taken.call.line_tenant
            words = self._prompts.say(phrases, language, tenant=tenant)
            self._first_sound.fetched(call_id)
            return SoundFile(len(words), _whole(words))
        return await self._chunk(call_id, taken, request_id=request_id)

    async def _chunk(self, call_id: str, taken: Taken, *, request_id: str) -> SoundFile:
        first, last = (HEADER_BYTES + each * SAMPLE_BYTES for each in (taken.start, taken.stop))
        opened = await self._playback.play(
            caller_of(taken.call, call_id),
            taken.call.recording,
            Rendition.TELEPHONE,
            range_header=f"bytes={first}-{last - 1}",
            request_id=request_id,
        )
        head = header(opened.span.length)
        return SoundFile(len(head) + opened.span.length, _headed(head, opened.pieces))


async def _whole(words: bytes) -> AsyncGenerator[bytes, None]:
    yield words


async def _headed(head: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield head
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()
