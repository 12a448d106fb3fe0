"""Receiving with the decoder it really has: a process of its own that hears what was sealed."""

import json
import math
import struct

from tests.services.ingest.fake_decoder import RATE_HZ, wav
from tests.services.ingest.stand import standing

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.ingest.media.decoder import Decoders


def tone(seconds, rate_hz=RATE_HZ):
    samples = range(int(seconds * rate_hz))
    return b"".join(
        struct.pack("<h", int(9000 * math.sin(i * 2 * math.pi * 440 / rate_hz))) for i in samples
    )


async def test_what_can_be_heard_is_stored_in_three_forms_and_what_can_not_in_none(tmp_path):
    decoders = Decoders(concurrency=1)
    async with (
        standing(tmp_path / "i.db", blobs=MemoryBlobStore(), decoders=decoders) as stand,
        decoders.running(),
    ):
        await stand.learn()
        audio = wav(tone(6))
        said = (await stand.upload(audio)).json()
        assert (said["state"], said["duration_ms"]) == ("playable", 6000)
        assert await stand.heard(said["recording_id"], "original") == audio
        assert await stand.heard(said["recording_id"], "telephone") == audio
        peaks = json.loads(await stand.heard(said["recording_id"], "peaks"))
        assert len(peaks["peaks"]) == 120
        for junk, status in ((audio[:-100], 422), (b"RIFF" + bytes(99), 415), (bytes(9), 415)):
            answer = await stand.upload(junk)
            assert answer.status_code in {status, 422}, answer.text
        silent = (await stand.upload(wav(bytes(32_000)))).json()
        assert silent["state"] == "quarantined"
        assert await stand.names() == stand.auth.owned()
