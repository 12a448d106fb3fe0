"""One upload's conversation with its decoder process, as ingest holds it."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NoReturn, TypeVar

import msgspec

from voicefile.ingest.media.containers.recognised import Codec, Container
from voicefile.ingest.media.decoder_protocol import (
    BYTES_PER_SAMPLE,
    DECODED,
    HEAD,
    PEAK_MAX,
    PEAKS_PER_SECOND,
    PEAKS_PIECE_BYTES,
    PIECE_BYTES,
    READ,
    READ_MAX,
    REFUSED,
    SAMPLES_PER_PEAK,
    TELEPHONE_RATE_HZ,
    DecodeLimits,
    Message,
)
from voicefile.ingest.media.errors import REFUSALS, DecodeLimitExceeded, Reason
from voicefile.ingest.media.findings import Finding
from voicefile.ingest.media.telephone_wav import HEADER_BYTES, wav_header

T = TypeVar("T")
ReadPlain = Callable[[int, int], Awaitable[bytes]]
TakePiece = Callable[[bytes], Awaitable[None]]

READS_FACTOR = 4
READS_FREE_BYTES = 16_777_216
"""Bytes a decoder may ask for: the upload four times over, and this. Asking costs it nothing,
answering costs opening chunks."""

PAYLOAD_MAX = {
    Message.READ: READ.size,
    Message.REFUSED: REFUSED.size,
    Message.DECODED: DECODED.size,
    Message.PCM: PIECE_BYTES,
    Message.PEAKS: PEAKS_PIECE_BYTES,
}
CHANNELS = range(1, 3)
SAMPLE_RATES_HZ = range(8_000, 96_001)
SLACK_S = 0.1
"""The rendition may be so much longer or shorter than the recording: resampling rounds."""


class DecoderHungUp(Exception):
    """The process ended before it had said all; its exit status tells why."""


class DecoderLied(Exception):
    """The process said what it never says unless an upload has taken it over."""


@dataclass(frozen=True)
class Decoded:
    """What ingest knows of an upload's sound."""

    media_type: str
    codec: str
    duration_ms: int
    sample_rate_hz: int
    channels: int
    findings: tuple[str, ...]
    telephone_bytes: int
    """Length of the telephone rendition, header and all."""
    peaks: bytes
    """JSON: {"version": 1, "peaks_per_second": 20, "peaks": [0..127, ...]}."""


class DecodeJob:
    """Answers the decoder's questions and passes its sound on."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        read_plain: ReadPlain,
        plain_bytes: int,
        telephone: TakePiece,
        limits: DecodeLimits,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._read_plain = read_plain
        self._plain_bytes = plain_bytes
        self._telephone = telephone
        self._limits = limits
        self._monotonic_s = monotonic_s
        self._wall_left_s = float(limits.wall_max_s)
        self._reads_left = READS_FACTOR * plain_bytes + READS_FREE_BYTES

    async def run(self) -> Decoded:
        """Raises MediaRefused, DecoderHungUp, DecoderLied, and what the callbacks raise."""
        while True:
            message, payload = await self._hear()
            if message is Message.READ:
                await self._answer(payload)
            elif message is Message.REFUSED:
                self._refuse(payload)
            elif message is Message.DECODED:
                return await self._take(payload)
            else:
                raise DecoderLied

    async def _take(self, payload: bytes) -> Decoded:
        summary = self._summary(payload)
        pcm_bytes = summary.telephone_bytes - HEADER_BYTES
        await self._telephone(wav_header(TELEPHONE_RATE_HZ, pcm_bytes))
        left = pcm_bytes
        while left:
            piece = await self._piece(Message.PCM, left)
            left -= len(piece)
            await self._telephone(piece)
        peaks = bytearray()
        count = -(-pcm_bytes // (SAMPLES_PER_PEAK * BYTES_PER_SAMPLE))
        while len(peaks) < count:
            peaks += await self._piece(Message.PEAKS, count - len(peaks))
        if max(peaks) > PEAK_MAX:
            raise DecoderLied
        return replace(summary, peaks=_peaks_json(peaks))

    async def _piece(self, expected: Message, left: int) -> bytes:
        message, payload = await self._hear()
        if message is not expected or not 0 < len(payload) <= left:
            raise DecoderLied
        return payload

    def _summary(self, payload: bytes) -> Decoded:
        try:
            container, codec, rate, channels, samples, bits, pcm_bytes = DECODED.unpack(payload)
            media_type, codec_name = list(Container)[container], list(Codec)[codec]
        except (struct.error, IndexError):
            raise DecoderLied from None
        duration_s = samples / rate if rate in SAMPLE_RATES_HZ else 0.0
        telephone_s = pcm_bytes / BYTES_PER_SAMPLE / TELEPHONE_RATE_HZ
        believable = (
            0 < duration_s <= self._limits.duration_max_s
            and channels in CHANNELS
            and bits < 1 << len(Finding)
            and pcm_bytes > 0
            and pcm_bytes % BYTES_PER_SAMPLE == 0
            and abs(telephone_s - duration_s) <= SLACK_S
        )
        if not believable:
            raise DecoderLied
        return Decoded(
            media_type=media_type.value,
            codec=codec_name.value,
            duration_ms=round(duration_s * 1_000),
            sample_rate_hz=rate,
            channels=channels,
            findings=tuple(f.value for bit, f in enumerate(Finding) if bits >> bit & 1),
            telephone_bytes=HEADER_BYTES + pcm_bytes,
            peaks=b"",
        )

    @staticmethod
    def _refuse(payload: bytes) -> NoReturn:
        try:
            refusal, reason = REFUSED.unpack(payload)
            raise REFUSALS[refusal](list(Reason)[reason])
        except (struct.error, IndexError):
            raise DecoderLied from None

    async def _answer(self, payload: bytes) -> None:
        if len(payload) != READ.size:
            raise DecoderLied
        start, stop = READ.unpack(payload)
        if not (start < stop <= self._plain_bytes and stop - start <= READ_MAX):
            raise DecoderLied
        self._reads_left -= stop - start
        if self._reads_left < 0:
            raise DecodeLimitExceeded(Reason.READS)
        self._writer.write(await self._read_plain(start, stop))
        await self._charged(self._writer.drain())

    async def _hear(self) -> tuple[Message, bytes]:
        kind, length = HEAD.unpack(await self._charged(self._reader.readexactly(HEAD.size)))
        if kind not in PAYLOAD_MAX or length > PAYLOAD_MAX[kind]:
            raise DecoderLied
        return Message(kind), await self._charged(self._reader.readexactly(length))

    async def _charged(self, answer: Awaitable[T]) -> T:
        """Charges the time to the upload: what its decoder takes, not what ingest itself does."""
        started_s = self._monotonic_s()
        try:
            async with asyncio.timeout(self._wall_left_s):
                return await answer
        except TimeoutError:
            raise DecodeLimitExceeded(Reason.TIME) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise DecoderHungUp from None
        finally:
            self._wall_left_s = max(0.0, self._wall_left_s - (self._monotonic_s() - started_s))


def _peaks_json(peaks: bytearray) -> bytes:
    return msgspec.json.encode(
        {"version": 1, "peaks_per_second": PEAKS_PER_SECOND, "peaks": list(peaks)}
    )
