"""An upload takes as much memory as its pieces in hand, however long it is."""

import secrets
import struct
from pathlib import Path

import pytest
from tests.services.ingest.fake_decoder import RATE_HZ
from tests.services.ingest.stand import BOUNDARY, METADATA, metadata_part, part, standing

from voicefile.blobstore.filesystem import FilesystemBlobStore

MIB = 1 << 20
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def peak_mib():
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def fresh_peak_mib():
    RESET.write_text("5")
    return peak_mib()


def long_call(mib):
    block = secrets.token_bytes(65_536)
    head = b"RIFF" + struct.pack("<I", 36 + mib * MIB) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)

    async def flow():
        yield metadata_part(METADATA) + part("audio", b"", "audio/wav")[:-2]
        yield head + b"data" + struct.pack("<I", mib * MIB)
        for _ in range(mib * MIB // len(block)):
            yield block
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    return flow()


@pytest.mark.skipif(not STATUS.exists(), reason="the peak is read from /proc")
async def test_a_long_upload_takes_no_more_than_its_share(tmp_path):
    async with standing(tmp_path / "i.db", blobs=FilesystemBlobStore(tmp_path / "blobs")) as stand:
        await stand.learn()
        assert (await stand.post(long_call(1))).status_code == 201
        before = fresh_peak_mib()
        assert (await stand.post(long_call(48))).status_code == 201
        assert peak_mib() - before <= 16
