"""What a partner's CRM and a customer's browser do, over HTTPS, as the demo plays them."""

import asyncio
import hashlib
import json
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from voicefile.identity.ids import new_id

SAMPLE = "summary-de.wav"
TIMEOUT_S = 30.0
TRIES_MAX = 10
_CONTRACT_PARTS = ("Tarif Nordlicht M", "24 Monate Laufzeit", "29,90 EUR im Monat")


@dataclass(frozen=True)
class PartnerLogin:
    """A partner's credentials at the token endpoint."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Filed:
    """What the partner got back; the PIN is shown once."""

    recording_id: str
    access_id: str
    pin: str = field(repr=False)


def https_client(url: str, authority: Path) -> httpx.AsyncClient:
    """A client that trusts the development authority and nothing else."""
    context = ssl.create_default_context(cafile=str(authority))
    return httpx.AsyncClient(base_url=url, verify=context, timeout=TIMEOUT_S, trust_env=False)


def sample() -> bytes:
    """A short spoken contract summary, made for this project."""
    return (files("voicefile.cli") / "sample" / SAMPLE).read_bytes()


async def file_recording(client: httpx.AsyncClient, login: PartnerLogin, audio: bytes) -> Filed:
    """Stores a recording as the partner guide shows. Raises httpx.HTTPStatusError."""
    basic = httpx.BasicAuth(login.client_id, login.client_secret)
    granted = await client.post(
        "/auth/v1/token", data={"grant_type": "client_credentials"}, auth=basic
    )
    token = granted.raise_for_status().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": new_id()}
    metadata = json.dumps(_metadata())
    for _ in range(TRIES_MAX):
        parts: list[tuple[str, tuple[str | None, str | bytes, str]]] = [
            ("metadata", (None, metadata, "application/json")),
            ("audio", ("recording.wav", audio, "audio/wav")),
        ]
        answer = await client.post("/ingest/v1/recordings", headers=headers, files=parts)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        # Not now: a minute-old tenant is not known everywhere yet. Same key, so never twice.
        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
    filed = answer.raise_for_status().json()
    return Filed(filed["recording_id"], filed["access_id"], filed["pin"])


def _metadata() -> dict[str, Any]:
    closed = datetime.now(UTC).astimezone().replace(microsecond=0) - timedelta(minutes=5)
    wording = "Sind Sie einverstanden, dass diese Zusammenfassung aufgezeichnet wird?"
    return {
        "contract_reference": f"DEMO-{closed:%Y%m%d-%H%M%S}",
        "contract_kind": "Mobilfunkvertrag",
        "contract_parts": list(_CONTRACT_PARTS),
        "recorded_at": closed.isoformat(),
        "language": "de",
        "consent": {
            "obtained_at": (closed - timedelta(seconds=30)).isoformat(),
            "method": "spoken",
            "wording_sha256": hashlib.sha256(wording.encode()).hexdigest(),
        },
        "customer": {"name": "Erika Mustermann", "phone": "+49 30 1234567"},
    }


async def hear(client: httpx.AsyncClient, filed: Filed) -> bytes:
    """Signs in as the customer and takes the recording. Raises httpx.HTTPStatusError."""
    signed_in = await client.post(
        "/auth/v1/customer-sessions", json={"access_id": filed.access_id, "pin": filed.pin}
    )
    token = signed_in.raise_for_status().json()["session_token"]
    session = {"Authorization": f"Bearer {token}"}
    audio = await client.get(f"/playback/v1/recordings/{filed.recording_id}/audio", headers=session)
    heard = audio.raise_for_status().content
    await client.delete("/auth/v1/customer-sessions/current", headers=session)
    return heard
