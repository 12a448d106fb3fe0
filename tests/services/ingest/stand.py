"""A running ingest over real stores, a faithful auth, and a clock that stands still."""

import json
import secrets
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.services.ingest.fake_auth import DEPLOYMENT, FakeAuth
from tests.services.ingest.fake_decoder import QuickDecoders, wav

from voicefile.blobstore.sealed import SealedBlob
from voicefile.chassis.inprocess import in_process_client
from voicefile.contracts.ingest.v1 import IngestEvent
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.identity.ids import PrincipalId, TenantId
from voicefile.identity.principal import Principal, Role
from voicefile.identity.tokens import TokenRefused
from voicefile.ingest.app import COLLECTIONS, build
from voicefile.ingest.settings import IngestSettings

TENANT = "aa" * 16
OTHER_TENANT = "bb" * 16
PARTNER = Principal(PrincipalId("11" * 16), TenantId(TENANT), Role.PARTNER)
SIBLING = Principal(PrincipalId("22" * 16), TenantId(TENANT), Role.PARTNER)
STRANGER = Principal(PrincipalId("33" * 16), TenantId(OTHER_TENANT), Role.PARTNER)
BOUND = Principal(PrincipalId("44" * 16), TenantId(TENANT), Role.PARTNER, department="sales")
AGENT = Principal(PrincipalId("55" * 16), TenantId(TENANT), Role.CARE)
TOKENS = {
    "partner": PARTNER,
    "sibling": SIBLING,
    "stranger": STRANGER,
    "bound": BOUND,
    "agent": AGENT,
}
NOW_S = 1_800_000_000.0
BOUNDARY = "b0undary"

METADATA = {
    "contract_reference": "V-2027-0815",
    "recorded_at": "2027-01-15T08:00:00+01:00",
    "consent": {
        "obtained_at": "2027-01-15T07:59:30+01:00",
        "method": "spoken",
        "wording_sha256": "ab" * 32,
    },
    "customer": {"name": "Erika Musterfrau"},
}


class Tokens:
    """Verifies the tokens named above."""

    async def verify(self, token):
        if token not in TOKENS:
            raise TokenRefused
        return TOKENS[token]


@dataclass
class Clock:
    now_s: float = NOW_S

    def __call__(self):
        return self.now_s


def new_key():
    return str(uuid.uuid4())


def speech(seconds=0.5):
    return wav(secrets.token_bytes(int(seconds * 16_000)))


def part(name, content, content_type):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    head += '; filename="a.wav"' if name == "audio" else ""
    head += f"\r\nContent-Type: {content_type}\r\n" if content_type else "\r\n"
    return head.encode() + b"\r\n" + content + b"\r\n"


def body_of(*parts, end=True):
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def metadata_part(metadata):
    encoded = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return part("metadata", encoded, "application/json")


def audio_part(audio):
    return part("audio", audio, "audio/wav")


def pieces(data, size=60_000):
    async def flow():
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return flow()


@dataclass
class Stand:
    settings: IngestSettings
    clock: Clock
    blobs: Any
    store: Any
    auth: FakeAuth
    decoders: Any
    service: Any
    client: Any
    failures: list = field(default_factory=list)

    @property
    def desk(self):
        return self.service.public.state.desk

    @property
    def sweeper(self):
        return self.service.public.state.sweeper

    async def post(self, content, *, key=None, token="partner", **headers):
        sent = {
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Idempotency-Key": key or new_key(),
            **headers,
        }
        sent = {name: value for name, value in sent.items() if value is not None}
        return await self.client.post("/ingest/v1/recordings", content=content, headers=sent)

    async def upload(self, audio=None, *, key=None, token="partner", **changes):
        said = {**METADATA, **changes}
        body = body_of(metadata_part(said), audio_part(audio or speech()))
        return await self.post(body, key=key, token=token)

    async def get(self, path, *, token="partner"):
        headers = {"Authorization": f"Bearer {token}"}
        return await self.client.get(f"/ingest{path}", headers=headers)

    async def learn(self, *tenants, **changes):
        for tenant in tenants or (TENANT, OTHER_TENANT):
            await self.desk.tenants.learn(self.auth.published(tenant, **changes))

    async def events(self):
        return [
            IngestEvent.FromString(event.payload)
            for _, document in await self.store.pending(10_000)
            for event in document.pending
        ]

    async def deeds(self, action=None):
        deeds = [event.deed for event in await self.events()]
        return [deed for deed in deeds if action in {None, deed.action}]

    async def stored_facts(self):
        events = await self.events()
        return [e.recording_stored for e in events if e.HasField("recording_stored")]

    async def names(self):
        return {entry.name for entry in await self.blobs.entries(limit=100_000)}

    async def heard(self, recording, role):
        """The plaintext of a recording's object, opened with the key auth was given for it."""
        kept = self.auth.issued[recording]
        context = Context(
            DEPLOYMENT.encode(), kept["tenant"], object_id(recording, role), Kind.AUDIO
        )
        name, key = kept["blobs"][role]["name"], self.auth.data_key(recording)
        sealed = await SealedBlob.open(self.blobs, name, key, context)
        return await sealed.read(0, kept["media"][f"{role}_bytes"])


@asynccontextmanager
async def standing(
    path,
    *,
    blobs,
    auth=None,
    decoders=None,
    clock=None,
    monotonic=None,
    wrapped=None,
    client=None,
    **settings,
):
    """Ingest over SQLite in `path`. `wrapped` may put something between ingest and its store.

    Time passes as `clock` says, unless `monotonic` says otherwise: then the clock has jumped.
    """
    auth = auth or FakeAuth()
    clock = clock or Clock()
    told = IngestSettings(**{"issue_retry_s": 0.001, "duplicate_poll_s": 0.01, **settings})
    store = await SqliteDocStore.open(path, COLLECTIONS)
    decoders = decoders or QuickDecoders()
    failures = []
    async with client or in_process_client({"/auth": auth.app()}, peer="ingest") as to_auth:
        service = build(
            told,
            deployment=DEPLOYMENT,
            blobs=blobs,
            docs=wrapped(store) if wrapped else store,
            bus=MemoryEventBus(),
            client=to_auth,
            tokens=Tokens(),
            on_failure=failures.append,
            decoders=decoders,
            now_s=clock,
            monotonic_s=monotonic or clock,
        )
        async with in_process_client({"/ingest": service.public}, timeout_s=60) as inside:
            yield Stand(told, clock, blobs, store, auth, decoders, service, inside, failures)
    await store.close()


def closed(facts):
    return replace(facts, open=False)
