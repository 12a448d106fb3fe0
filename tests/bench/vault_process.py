"""The embedded vault as its own process over HTTPS, as `voicefile serve` runs it, and measurable.

`python -m tests.bench.vault_process` with the usual environment serves until its standard input
ends. It tells who may do what in one line of JSON, then answers each line on standard input.
"""

import asyncio
import cProfile
import json
import os
import pstats
import re
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from tests.bench.figures import TICKS
from tests.stand import company

from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.port import BlobName
from voicefile.blobstore.sealed import RUN_CHUNKS_MAX
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings
from voicefile.chassis.streaming import StreamedResponse
from voicefile.cli.embedded import Vault
from voicefile.cli.place import Place
from voicefile.cli.serve import serving
from voicefile.crypto.stream import CHUNK

FETCHED_BYTES = RUN_CHUNKS_MAX * CHUNK


async def serve(companies: int) -> int:
    settings = DeploymentSettings()
    place = Place(settings.data_dir)
    place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with place.log.open("a", encoding="utf-8") as log:
        configure("vault", stream=log, console=False)
        async with serving(settings) as (vault, _ended):
            with_plain_file(vault)
            say(await opened(vault, companies))
            await obey()
    return 0


def with_plain_file(vault: Vault) -> None:
    """A route of playback that sends a file as it lies there: the baseline of the sealed way.

    The same server, edges and response, the same store and pieces; nothing is asked or opened.
    """
    path = os.environ.get("VOICEFILE_BENCH_PLAIN")
    if path is None:
        return
    blobs = FilesystemBlobStore(Path(path))
    app = vault.services["/playback"].public

    @app.get("/v1/plain/{name}")
    async def plain(name: str) -> StreamedResponse:
        whole = await blobs.size(BlobName(name))

        async def pieces() -> AsyncGenerator[bytes, None]:
            for start in range(0, whole, FETCHED_BYTES):
                fetched = memoryview(await blobs.read(BlobName(name), start, start + FETCHED_BYTES))
                for at in range(0, len(fetched), CHUNK):
                    yield bytes(fetched[at : at + CHUNK])

        return StreamedResponse(pieces(), headers={"Content-Length": str(whole)})


async def opened(vault: Vault, count: int) -> dict[str, Any]:
    """Tenants with somebody in each role, and what they sign in with."""
    ports = vault.services["/auth"].public.state.ports
    client = vault.client()
    made = [await company(ports, client, f"bench{n}") for n in range(count)]
    tokens = [await each.partner_token() for each in made]
    care = [await each.staff_token("care") for each in made]
    await client.aclose()
    return {
        "tenants": [
            {"id": each.id, "partner_token": token, "care_token": staff}
            for each, token, staff in zip(made, tokens, care, strict=True)
        ]
    }


async def obey() -> None:
    profile: cProfile.Profile | None = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        if asked["do"] == "threads":
            say(threads_cpu_s())
        elif asked["do"] == "profile":
            # CPU time of the loop's thread: by the clock, waiting for others would look like work.
            profile = cProfile.Profile(time.thread_time)
            profile.enable()
            say({})
        elif asked["do"] == "profiled":
            assert profile
            profile.disable()
            write_profile(profile, Path(asked["into"]))
            say({})


def write_profile(profile: cProfile.Profile, into: Path) -> None:
    with into.open("w", encoding="utf-8") as out:
        stats = pstats.Stats(profile, stream=out).strip_dirs()
        for order in ("tottime", "cumulative"):
            stats.sort_stats(order).print_stats(100)


def threads_cpu_s() -> dict[str, float]:
    """CPU seconds by what the threads are for: what the loop does, and what it leaves to others."""
    spent: dict[str, float] = {}
    for thread in threading.enumerate():
        with suppress(OSError):
            name = re.sub(r"[-_]?\d+$", "", thread.name)
            stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
            user, system = stat.rpartition(")")[2].split()[11:13]
            spent[name] = spent.get(name, 0.0) + (int(user) + int(system)) / TICKS
    return spent


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(uvloop.run(serve(int(sys.argv[1]))))
