"""Playback through HTTPS on one core: a sealed recording against the same bytes sent in clear."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

from tests.bench.figures import Row, median
from tests.bench.vault import VaultProcess, folder, vault_process
from tests.corpus.make_long import make_long

from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.names import new_blob_name

SECONDS = 3_600
RUNS = 7
PROMISED = 0.7
MB = 1_000_000


def measure() -> list[Row]:
    with folder() as scratch:
        audio = scratch / "hour.wav"
        audio.write_bytes(make_long("wav", SECONDS))
        name, plain = asyncio.run(_beside(audio, scratch / "plain"))
        with vault_process(scratch / "var", core=0, VOICEFILE_BENCH_PLAIN=str(plain)) as vault:
            filed = vault.uploaded(audio)["filed"][0]
            recording = f"/playback/v1/recordings/{filed['recording_id']}/audio"
            ways = {
                "sealed": (recording, vault.sign_in(filed)),
                "plain": (f"/playback/v1/plain/{name}", {}),
            }
            # In turns, so that whatever else the machine does meets both.
            taken = {way: [] for way in ways}
            for _ in range(RUNS + 1):
                for way, (path, headers) in ways.items():
                    taken[way].append(_taken(vault, path, headers, audio.stat().st_size))
        return _rows({way: runs[1:] for way, runs in taken.items()})


def _rows(taken: dict[str, list[tuple[float, float]]]) -> list[Row]:
    speed = {way: [speed for speed, _ in runs] for way, runs in taken.items()}
    cost = {way: [cost for _, cost in runs] for way, runs in taken.items()}
    ratios = [a / b for a, b in zip(speed["sealed"], speed["plain"], strict=True)]
    by_cpu = [b / a for a, b in zip(cost["sealed"], cost["plain"], strict=True)]
    return [
        Row("plain file, same server", speed["plain"], "MB/s"),
        Row("sealed", speed["sealed"], "MB/s", median(speed["plain"]), "plain"),
        Row(
            "sealed : plain, pair by pair",
            ratios,
            "",
            promise=f">= {PROMISED}",
            kept=median(ratios) >= PROMISED,
        ),
        Row("the same by the server's CPU time", by_cpu, ""),
        Row("CPU of the server, sealed", cost["sealed"], "ms/MB", median(cost["plain"]), "plain"),
    ]


async def _beside(audio: Path, root: Path) -> tuple[str, Path]:
    """The plain bytes, where the same store finds them."""
    name = new_blob_name()

    async def pieces():
        yield await asyncio.to_thread(audio.read_bytes)

    await FilesystemBlobStore(root).put(name, pieces())
    return name, root


def _taken(
    vault: VaultProcess, path: str, headers: dict[str, str], expected: int
) -> tuple[float, float]:
    """MB/s from the first byte on, and the server's CPU-ms per MB."""
    context = ssl.create_default_context(cafile=str(vault.authority))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    buffer = bytearray(1 << 18)
    cpu_s = vault.usage.cpu_s
    with (
        socket.create_connection(("localhost", vault.port)) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as wire,
    ):
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        begun_s, got = 0.0, 0
        while got < expected and (length := wire.recv_into(buffer)):
            begun_s = begun_s or time.perf_counter()
            got += length
        took_s = time.perf_counter() - begun_s
    assert got >= expected, bytes(buffer[:200])
    return got / took_s / MB, (vault.usage.cpu_s - cpu_s) * 1000 / (got / MB)
