"""What is not wholly a good recording is refused, and for the right reason."""

import random

import pytest
from tests.corpus.bad import bad_audio_cases
from tests.corpus.spoken_files import spoken_files
from tests.services.ingest.media.hearing import hear

from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.decoder import DecodeLimits
from voicefile.ingest.media.errors import BrokenAudio, MediaRefused, UnrecognisedAudio
from voicefile.ingest.media.recognise import recognise

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = bad_audio_cases()
FILES = spoken_files()


async def test_there_are_many_bad_cases_each_of_its_own_name():
    assert len({case.name for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_bad_upload_is_refused(decoders, case):
    delivered = []

    async def read_plain(start, stop):
        return case.body[start:stop]

    async def telephone(piece):
        delivered.append(piece)

    with pytest.raises(case.error) as refusal:
        await decoders.decode(
            read_plain, len(case.body), telephone=telephone, limits=DecodeLimits()
        )
    assert type(refusal.value) is case.error
    assert delivered == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_a_cut_upload_never_passes_for_whole(decoders, file):
    body = file.read()
    cuts = random.Random(file.name).sample(range(1, len(body)), 10)
    for cut in [*cuts, len(body) - 1]:
        with pytest.raises((BrokenAudio, UnrecognisedAudio)):
            await hear(decoders, body[:cut])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_nothing_may_follow_the_sound(decoders, file):
    more = random.Random(file.name).randbytes(64)
    for length in (16, 33, 64):
        with pytest.raises((BrokenAudio, UnrecognisedAudio)):
            await hear(decoders, file.read() + more[:length])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_damaged_headers_are_refused_or_read_and_nothing_else(file):
    good = file.read()
    chance = random.Random(file.name)
    for _ in range(300):
        body = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            body[chance.randrange(min(len(body), 1_200))] = chance.choice((0, 1, 127, 128, 255))
        source = Source(lambda start, stop, body=body: bytes(body[start:stop]), len(body))
        try:
            recognise(source, duration_max_s=7_200)
        except MediaRefused:
            continue


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_damaged_sound_is_refused_or_decoded_and_nothing_hangs(decoders, file):
    good = file.read()
    chance = random.Random(file.name)
    for _ in range(8):
        body = bytearray(good)
        for _ in range(chance.randint(1, 20)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        outcome = await outcome_of(decoders, bytes(body))
        assert outcome != "decoder-crashed"


async def outcome_of(decoders, body):
    try:
        heard = await hear(decoders, body)
    except MediaRefused as refusal:
        return refusal.reason.value
    assert abs(heard.pcm.size / 8 - heard.decoded.duration_ms) < 100
    return "decoded"
