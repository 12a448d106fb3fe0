"""Over a real socket: who is refused in the middle of sending still gets to read why."""

import asyncio
import json
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.services.ingest.fake_auth import until
from tests.services.ingest.stand import (
    BOUNDARY,
    METADATA,
    audio_part,
    body_of,
    metadata_part,
    new_key,
    part,
    speech,
    standing,
)

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.chassis.tls import development_certificates
from voicefile.chassis.wire import listen, serve, server_context

MIB = 1 << 20
NO_CONSENT = {name: value for name, value in METADATA.items() if name != "consent"}


@asynccontextmanager
async def at_a_port(tmp_path, **settings):
    certificates = development_certificates(tmp_path / "tls")
    sockets = listen("localhost", 0)
    stop = asyncio.Event()
    async with (
        standing(tmp_path / "i.db", blobs=MemoryBlobStore(), **settings) as stand,
        asyncio.TaskGroup() as tasks,
    ):
        await stand.learn()
        context = server_context(certificates.server)
        tasks.create_task(serve(stand.service.public, sockets=sockets, context=context, stop=stop))
        stand.port = sockets[0].getsockname()[1]
        stand.authority = certificates.authority
        try:
            yield stand
        finally:
            stop.set()


def head(*, length=None, token="partner", key=None):
    framing = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    lines = (
        "POST /v1/recordings HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {token}",
        f"Idempotency-Key: {key or new_key()}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        framing,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def connected(stand):
    trust = ssl.create_default_context(cafile=str(stand.authority))
    return await asyncio.open_connection("localhost", stand.port, ssl=trust)


async def send_all_then_read(stand, chunks):
    """The naive client: looks for an answer only when it has sent everything."""
    reader, writer = await connected(stand)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        answer = await reader.read()
    finally:
        writer.close()
    status, _, rest = answer.partition(b"\r\n")
    headers, _, body = rest.partition(b"\r\n\r\n")
    return int(status.split()[1]), headers.lower(), json.loads(body)


def large(metadata, *, mib=100, chunked=False, **options):
    start = metadata_part(metadata) + part("audio", b"", None)[:-2]
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    body = [start, *[bytes(MIB)] * mib, end]
    if not chunked:
        return [head(length=sum(map(len, body)), **options), *body]
    framed = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in body]
    return [head(**options), *framed, b"0\r\n\r\n"]


@pytest.mark.parametrize(
    ("chunks", "settings", "status", "slug"),
    [
        (large(NO_CONSENT), {}, 422, "consent-missing"),
        (large(NO_CONSENT, chunked=True), {}, 422, "consent-missing"),
        (large(METADATA), {"upload_bytes_max": MIB}, 413, "upload-too-large"),
        (large(METADATA, chunked=True), {"upload_bytes_max": MIB}, 413, "upload-too-large"),
        (large(METADATA, token="nobody"), {}, 401, "not-identified"),
        (large(METADATA, key="guessable"), {}, 400, "idempotency-key-invalid"),
    ],
)
async def test_who_sends_a_hundred_mebibytes_gets_the_answer(
    tmp_path, chunks, settings, status, slug
):
    async with at_a_port(tmp_path, **settings) as stand:
        told = await send_all_then_read(stand, chunks)
        assert (told[0], told[2]["type"]) == (status, f"urn:voicefile:problem:{slug}")
        assert b"connection: close" in told[1]
        assert await stand.names() == set()


async def test_who_sends_without_end_is_left(tmp_path):
    async with at_a_port(
        tmp_path, refused_discard_bytes_max=8 * MIB, upload_bytes_max=MIB
    ) as stand:
        with pytest.raises(OSError):
            await send_all_then_read(stand, large(METADATA, mib=1000, chunked=True))


async def test_httpx_gets_its_answer(tmp_path):
    async def flow():
        for chunk in large(NO_CONSENT, mib=50)[1:]:
            yield chunk

    async with at_a_port(tmp_path) as stand:
        trust = ssl.create_default_context(cafile=str(stand.authority))
        async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
            answer = await client.post(
                f"https://localhost:{stand.port}/v1/recordings",
                content=flow(),
                headers={
                    "Authorization": "Bearer partner",
                    "Idempotency-Key": new_key(),
                    "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                },
            )
        assert answer.status_code == 422


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_shows_the_answer(tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps(NO_CONSENT))
    with (tmp_path / "large.wav").open("wb") as file:
        file.truncate(100 * MIB)
    async with at_a_port(tmp_path) as stand:
        run = await asyncio.to_thread(
            subprocess.run,
            [
                "curl", "-sS", "--cacert", str(stand.authority), "-w", "\n%{http_code}",
                "-H", "Authorization: Bearer partner", "-H", f"Idempotency-Key: {new_key()}",
                "-F", f"metadata=@{tmp_path}/metadata.json;type=application/json",
                "-F", f"audio=@{tmp_path}/large.wav",
                f"https://localhost:{stand.port}/v1/recordings",
            ],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        body, _, status = run.stdout.rpartition("\n")
        assert (status, json.loads(body)["status"]) == ("422", 422), run.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_stores_a_recording(tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps(METADATA))
    (tmp_path / "call.wav").write_bytes(speech(90))
    async with at_a_port(tmp_path) as stand:
        run = await asyncio.to_thread(
            subprocess.run,
            [
                "curl", "-sS", "--fail", "--cacert", str(stand.authority),
                "-H", "Authorization: Bearer partner", "-H", f"Idempotency-Key: {new_key()}",
                "-F", f"metadata=<{tmp_path}/metadata.json;type=application/json",
                "-F", f"audio=@{tmp_path}/call.wav",
                f"https://localhost:{stand.port}/v1/recordings",
            ],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert json.loads(run.stdout)["state"] == "playable", run.stderr


async def test_a_connection_is_good_for_more_than_one_upload(tmp_path):
    async with at_a_port(tmp_path) as stand:
        reader, writer = await connected(stand)
        for _ in range(3):
            body = body_of(metadata_part(METADATA), audio_part(speech()))
            writer.write(head(length=len(body)) + body)
            told = await reader.readuntil(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 201")
            assert b"connection: close" not in told.lower()
            length = next(
                int(line.split(b":")[1])
                for line in told.splitlines()
                if line.lower().startswith(b"content-length")
            )
            assert json.loads(await reader.readexactly(length))["state"] == "playable"
        writer.close()


async def test_a_caller_who_hangs_up_leaves_nothing(tmp_path):
    async with at_a_port(tmp_path) as stand:
        key = new_key()
        _, writer = await connected(stand)
        body = body_of(metadata_part(METADATA), audio_part(speech(60)))
        writer.write(head(length=len(body), key=key) + body[: len(body) // 2])
        await writer.drain()
        in_hand = stand.desk.marking.reservations._in_hand
        await until(lambda: in_hand)
        writer.transport.abort()
        await until(lambda: not in_hand)
        assert await stand.names() == set()
        assert (await stand.upload(key=key)).status_code == 201


async def test_a_sender_who_falls_silent_is_told_so(tmp_path):
    async with at_a_port(tmp_path, upload_idle_s=0.05, refused_discard_s=0.1) as stand:
        start = metadata_part(METADATA) + part("audio", b"", None)[:-2]
        told = await send_all_then_read(stand, [head(length=10**6), start])
        assert (told[0], told[2]["type"]) == (408, "urn:voicefile:problem:upload-stalled")
