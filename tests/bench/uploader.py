"""Partners who upload: a process of its own, so that its work is not counted as the vault's.

Reads one job of JSON on standard input, answers with each upload's seconds and answer.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from tests.bench.wire import Connection
from tests.stand import metadata

from voicefile.identity.ids import new_id

BOUNDARY = "a-boundary-that-is-nowhere-in-the-audio"


def body_of(audio: bytes, media_type: str, **said: Any) -> bytes:
    """Two parts, as the partner guide shows."""
    described = json.dumps(metadata(**said))
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="metadata"\r\n'
        f"Content-Type: application/json\r\n\r\n{described}\r\n--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="audio"; filename="a"\r\n'
        f"Content-Type: {media_type}\r\n\r\n"
    )
    return parts.encode() + audio + f"\r\n--{BOUNDARY}--\r\n".encode()


async def upload(connection: Connection, token: str, body: bytes) -> dict[str, Any]:
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": new_id(),
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    answer = await connection.ask("POST", "/ingest/v1/recordings", headers=headers, body=body)
    assert answer.status == 201, (answer.status, answer.body)
    return answer.json()


async def main(job: dict[str, Any], audio: bytes) -> dict[str, Any]:
    media_type = job["media_type"]
    left = job["uploads"]
    took_s: list[float] = []
    filed: list[dict[str, Any]] = []

    async def partner() -> None:
        nonlocal left
        connection = Connection(job["port"], Path(job["authority"]))
        while left > 0:
            left -= 1
            body = body_of(audio, media_type, join_access_id=job.get("join"))
            begun = time.perf_counter()
            filed.append(await upload(connection, job["token"], body))
            took_s.append(time.perf_counter() - begun)
        connection.close()

    begun, spent = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as partners:
        for _ in range(job["partners"]):
            partners.create_task(partner())
    return {
        "whole_s": time.perf_counter() - begun,
        "cpu_s": time.process_time() - spent,
        "took_s": took_s,
        "filed": filed,
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(uvloop.run(main(asked, Path(asked["audio"]).read_bytes()))))
