"""Nothing a decoder process says is believed that can be checked."""

import asyncio

import pytest

from voicefile.ingest.media.decode_job import DecodeJob, DecoderHungUp, DecoderLied
from voicefile.ingest.media.decoder_protocol import (
    DECODED,
    HEAD,
    READ,
    READ_MAX,
    REFUSED,
    DecodeLimits,
    Message,
)
from voicefile.ingest.media.errors import BrokenAudio, DecodeLimitExceeded, Reason

UPLOAD = 1_000_000
SECOND = DECODED.pack(0, 1, 8_000, 1, 8_000, 0, 16_000)
PCM = HEAD.pack(Message.PCM, 16_000) + bytes(16_000)
PEAKS = HEAD.pack(Message.PEAKS, 20) + bytes(20)


def say(message: int, payload: bytes) -> bytes:
    return HEAD.pack(message, len(payload)) + payload


def decoded(**changed: int) -> bytes:
    told = {
        "container": 0,
        "codec": 1,
        "rate": 8_000,
        "channels": 1,
        "samples": 8_000,
        "findings": 0,
        "pcm_bytes": 16_000,
    }
    return say(Message.DECODED, DECODED.pack(*(told | changed).values()))


class Ears:
    """Takes what would go to the decoder."""

    def __init__(self):
        self.written = bytearray()

    def write(self, data):
        self.written += data

    async def drain(self):
        return


async def converse(said: bytes, *, ends: bool = True, **limits: int):
    """What ingest makes of a decoder that says this."""
    reader, ears, pieces = asyncio.StreamReader(), Ears(), []
    reader.feed_data(said)
    if ends:
        reader.feed_eof()

    async def read_plain(start, stop):
        return bytes(stop - start)

    async def telephone(piece):
        pieces.append(piece)

    job = DecodeJob(
        reader,
        ears,
        read_plain=read_plain,
        plain_bytes=UPLOAD,
        telephone=telephone,
        limits=DecodeLimits(**limits),
    )
    return await job.run(), b"".join(pieces), bytes(ears.written)


async def test_an_honest_decoder_is_believed():
    question = say(Message.READ, READ.pack(0, 100))
    answer, telephone, written = await converse(question + decoded() + PCM + PEAKS)
    assert (answer.media_type, answer.codec, answer.duration_ms) == (
        "audio/wav",
        "pcm_s16le",
        1_000,
    )
    assert telephone[:4] == b"RIFF"
    assert len(telephone) == answer.telephone_bytes == 16_044
    assert written == bytes(100)


LIES = {
    "unknown word": say(99, b""),
    "endless word": HEAD.pack(Message.DECODED, 0xFFFFFFFF),
    "sound before its summary": PCM,
    "peaks before their summary": PEAKS,
    "read beyond the end": say(Message.READ, READ.pack(UPLOAD - 1, UPLOAD + 1)),
    "read backwards": say(Message.READ, READ.pack(100, 50)),
    "read nothing": say(Message.READ, READ.pack(100, 100)),
    "read much at once": say(Message.READ, READ.pack(0, READ_MAX + 1)),
    "short question": say(Message.READ, b"\0" * 8),
    "unknown refusal": say(Message.REFUSED, REFUSED.pack(200, 0)),
    "unknown reason": say(Message.REFUSED, REFUSED.pack(0, 200)),
    "short refusal": say(Message.REFUSED, b"\0"),
    "unknown container": decoded(container=99),
    "unknown codec": decoded(codec=99),
    "unknown finding": decoded(findings=1 << 9),
    "three channels": decoded(channels=3),
    "no channels": decoded(channels=0),
    "odd rate": decoded(rate=1),
    "rate zero": decoded(rate=0),
    "no samples": decoded(samples=0, pcm_bytes=0),
    "half a sample": decoded(pcm_bytes=15_999),
    "more sound than duration": decoded(pcm_bytes=32_000),
    "less sound than duration": decoded(pcm_bytes=1_600),
    "ten hours": decoded(samples=8_000 * 36_000, pcm_bytes=16_000 * 36_000),
    "too much sound": decoded() + PCM + PCM,
    "sound in a too long piece": decoded() + say(Message.PCM, bytes(16_002)),
    "empty piece of sound": decoded() + say(Message.PCM, b""),
    "too many peaks": decoded() + PCM + say(Message.PEAKS, bytes(21)),
    "peak of 128": decoded() + PCM + say(Message.PEAKS, bytes(19) + b"\x80"),
    "summary twice": decoded() + decoded(),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_decoder_is_found_out(lie):
    with pytest.raises(DecoderLied):
        await converse(LIES[lie])


@pytest.mark.parametrize(
    "said",
    [b"", b"\1", decoded()[:-1], decoded(), decoded() + PCM[:-1], decoded() + PCM],
    ids=["nothing", "half a head", "half a summary", "no sound", "half the sound", "no peaks"],
)
async def test_a_decoder_that_ends_early_has_said_nothing(said):
    with pytest.raises(DecoderHungUp):
        await converse(said)


async def test_a_decoder_may_not_read_an_upload_over_and_over():
    block = say(Message.READ, READ.pack(0, READ_MAX))
    with pytest.raises(DecodeLimitExceeded) as refusal:
        await converse(block * 100)
    assert refusal.value.reason is Reason.READS


async def test_a_decoder_that_says_nothing_runs_out_of_time():
    with pytest.raises(DecodeLimitExceeded) as refusal:
        await converse(b"", ends=False, wall_max_s=0)
    assert refusal.value.reason is Reason.TIME


async def test_a_refusal_names_its_reason():
    reason = list(Reason).index(Reason.MALFORMED)
    with pytest.raises(BrokenAudio) as refusal:
        await converse(say(Message.REFUSED, REFUSED.pack(1, reason)))
    assert refusal.value.reason is Reason.MALFORMED
