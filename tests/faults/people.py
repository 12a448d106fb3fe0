"""What partners, customers and care do at the public doors, whichever wire leads there."""

import json
import random
from dataclasses import dataclass

import httpx
import pyotp
from tests.stand import RULES, metadata

from voicefile.auth.tenants.open_tenant import NewTenant, open_tenant
from voicefile.auth.tenants.principals import NewPrincipal, add_principal
from voicefile.deeds.deed import Actor
from voicefile.deeds.deed import Role as DeedRole
from voicefile.identity.principal import Role
from voicefile.ingest.media.telephone_wav import wav_header

REQUEST_ID = "voicefile-request-id"
SECONDS = 5
"""80,000 bytes of noise: more than a chunk, and every byte another in every recording."""


def noise(seed, *, seconds=SECONDS):
    sound = random.Random(f"sound {seed}").randbytes(int(seconds * 8_000) * 2)
    return wav_header(8_000, len(sound)) + sound


def told_about(key, **changes):
    """The same key, the same words: a retry repeats its request to the letter."""
    return metadata(contract_reference=f"V-{key[:10]}", **changes)


@dataclass(frozen=True)
class Company:
    """Who works at one tenant, as plain text, so that it can wait in a file."""

    id: str
    partner: str
    secret: str
    care: tuple[str, str, str]

    async def partner_token(self, client):
        answer = await client.post(
            "/auth/v1/token",
            data={"grant_type": "client_credentials"},
            auth=httpx.BasicAuth(self.partner, self.secret),
        )
        return answer.raise_for_status().json()["access_token"]

    async def care_token(self, client):
        username, password, totp = self.care
        answer = await client.post(
            "/auth/v1/staff-sessions",
            json={"username": username, "password": password, "totp": pyotp.TOTP(totp).now()},
        )
        return answer.raise_for_status().json()["access_token"]


async def opened(ports, name, *, by=Actor("", DeedRole.ROLE_OPERATOR)):
    """A tenant that takes recordings, with a partner and an agent of its care."""
    tenant = await open_tenant(
        NewTenant(name, f"{name}.test", RULES, demo=True), by=by, ports=ports
    )
    partner = await add_principal(tenant, NewPrincipal(Role.PARTNER, "CRM"), by=by, ports=ports)
    care = NewPrincipal(Role.CARE, "care", handle="care")
    agent = await add_principal(tenant, care, by=by, ports=ports)
    return Company(
        tenant,
        partner.id,
        partner.client_secret.expose(),
        (agent.username, agent.password.expose(), agent.totp_secret.expose()),
    )


async def upload(client, *, token, key, audio, said):
    return await client.post(
        "/ingest/v1/recordings",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
        files=[
            ("metadata", (None, json.dumps(said), "application/json")),
            ("audio", ("a.wav", audio, "audio/wav")),
        ],
    )


async def sign_in(client, access_id, pin):
    return await client.post(
        "/auth/v1/customer-sessions", json={"access_id": access_id, "pin": pin}
    )


def session(signed_in):
    return {"Authorization": f"Bearer {signed_in.raise_for_status().json()['session_token']}"}


async def listed(client, headers):
    answer = await client.get("/playback/v1/recordings", headers=headers)
    return answer.raise_for_status().json()["recordings"]


async def heard(client, headers, recording, **query):
    path = f"/playback/v1/recordings/{recording}/audio"
    return await client.get(path, headers=headers, params=query)


async def logged_out(client, headers):
    return await client.delete("/auth/v1/customer-sessions/current", headers=headers)


async def reissued(client, *, token, credential):
    return await client.post(
        f"/auth/v1/credentials/{credential}/reissue",
        headers={"Authorization": f"Bearer {token}"},
    )


async def status_of(client, *, token, recording):
    return await client.get(
        f"/ingest/v1/recordings/{recording}", headers={"Authorization": f"Bearer {token}"}
    )
