"""A small deployment for the tests of signing in and listening: real keys and store, one clock."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from msgspec.structs import replace
from tests.services.auth.quick_pins import quick_pool

from voicefile.auth import store
from voicefile.auth.errors import TenantClosed, UnusableKey
from voicefile.auth.events import TOPIC, key_of, wrap
from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.issuing.customer import QUESTION_PROMPT, Customer, seal_customer
from voicefile.auth.issuing.details import seal_details
from voicefile.auth.issuing.directory import Claim
from voicefile.auth.keys.custody import Custody
from voicefile.auth.listening import access_store
from voicefile.auth.listening.access_routes import ACCESS_PROBLEMS, internal_router, public_router
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.doors import doors_of
from voicefile.auth.listening.telephone_routes import telephone_router
from voicefile.auth.ports import ports_of
from voicefile.auth.settings import AuthSettings
from voicefile.auth.store import (
    Access,
    Blob,
    CredentialState,
    LetterState,
    Question,
    Recording,
    RecordingDetails,
    RecordingState,
)
from voicefile.auth.tenants.open_tenant import NewTenant, first_start, open_tenant
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.auth.throttling.verifiers import answer_verifier, new_salt
from voicefile.chassis.inprocess import InProcessTransport
from voicefile.chassis.problems import Problem
from voicefile.chassis.service import new_app, serve_routes
from voicefile.contracts.deed.v1 import Event
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.primitives import random_digits
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.secret import DataKey, SecretText
from voicefile.deeds.deed import Action, Actor
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.identity.ids import new_id
from voicefile.identity.tokens import FixedKeySet, TokenVerifier

PROBLEMS = {
    **ACCESS_PROBLEMS,
    UnusableKey: Problem("unusable-key", 422, "The key cannot be used"),
    TenantClosed: Problem("tenant-closed", 403, "The tenant is closed"),
}
COLLECTIONS = (*store.COLLECTIONS, *access_store.COLLECTIONS, DEEDS)
DEPLOYMENT = "test"
DEVICE = "device-cookie-of-the-customer"
OPEN_THROTTLES = Limits(
    stranger_tries_per_day=10**6,
    stranger_waits_s=(0,),
    stranger_failures_in_a_row=10**6,
    origin_failures_per_hour=10**6,
    tenant_failures_per_hour=10**6,
    failures_per_hour=10**6,
)


async def settled(condition):
    """Waits until what other tasks and threads do has come this far."""
    async with asyncio.timeout(10):
        while not condition():  # threads have no event to wait for
            await asyncio.sleep(0.001)


class Clock:
    """One time for everything; sleeping moves it."""

    def __init__(self):
        self.s = 1_800_000_000.0
        self.slept = []

    def __call__(self):
        return self.s

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.s += seconds


@dataclass
class Letter:
    """What a customer was sent, and where it leads."""

    tenant: str
    credential: str
    access_id: str
    pin: str
    recordings: list[str] = field(default_factory=list)
    answer: str = "1234"
    keys: dict[str, DataKey] = field(default_factory=dict)


class Audit:
    """The log's word on whether it can append; says yes until told otherwise."""

    def __init__(self):
        self.answer = {"appendable": True, "sequenced": {}}
        self.asked = 0

    async def __call__(self, request):
        self.asked += 1
        if self.answer is None:
            raise httpx.ConnectError("no log", request=request)
        return httpx.Response(200, content=json.dumps(self.answer))


class World:
    def __init__(self, docs, custody, *, settings, limits, clock, pool=None):
        self.clock, self.docs, self.custody, self.audit = clock, docs, custody, Audit()
        self.deeds = DeedSeries(docs, topic=TOPIC, wrap=wrap, key_of=key_of, now_s=clock)
        self.pool = pool or quick_pool()
        self.ports = ports_of(
            docs, custody, deeds=self.deeds, pins=self.pool, settings=AuthSettings(), now_s=clock
        )
        self._signer = Ed25519PrivateKey.generate()
        tokens = TokenVerifier(
            FixedKeySet({"k": self._signer.public_key().public_bytes_raw()}),
            issuer=DEPLOYMENT,
            now=clock,
        )
        self.doors = doors_of(
            self.ports,
            pool=self.pool,
            audit=httpx.AsyncClient(
                transport=httpx.MockTransport(self.audit), base_url="https://audit"
            ),
            tokens=tokens,
            settings=settings,
            limits=limits,
            monotonic_s=clock,
            sleep=clock.sleep,
        )
        self.public = new_app("auth", problems=PROBLEMS, tokens=tokens)
        serve_routes(self.public, public_router(self.doors))
        self.internal = new_app("auth", problems=PROBLEMS, tokens=tokens)
        serve_routes(self.internal, internal_router(self.doors))
        serve_routes(self.internal, telephone_router(self.doors))

    def client(self, app: FastAPI, *, peer=None, address="192.0.2.1") -> httpx.AsyncClient:
        transport = InProcessTransport(app, peer=peer, client=(address, 4711))
        return httpx.AsyncClient(transport=transport, base_url="https://vault")

    async def sign_in(self, letter, *, pin=None, access_id=None, address="192.0.2.1", device=None):
        headers = {"Voicefile-Client-Address": address}
        if device is not None:
            headers["Voicefile-Device"] = device
        async with self.client(self.public, peer="portal") as portal:
            return await portal.post(
                "/v1/customer-sessions",
                json={"access_id": access_id or letter.access_id, "pin": pin or letter.pin},
                headers=headers,
            )

    async def answer(self, challenge, answer):
        async with self.client(self.public, peer="portal") as portal:
            return await portal.post(
                "/v1/customer-sessions/answers", json={"challenge": challenge, "answer": answer}
            )

    async def session(self, letter, **how):
        """A session token, question answered."""
        response = await self.sign_in(letter, **how)
        assert response.status_code == 201, response.text
        told = response.json()
        if "challenge" in told:
            told = (await self.answer(told["challenge"], letter.answer)).json()
        return told["session_token"]

    async def sign_out(self, token):
        async with self.client(self.public) as client:
            return await client.delete(
                "/v1/customer-sessions/current", headers={"Authorization": f"Bearer {token}"}
            )

    async def inside(self, path, token, body=None, *, peer="playback", query=None):
        async with self.client(self.internal, peer=peer) as playback:
            return await playback.post(
                f"/internal/v1/{path}",
                json=body or {},
                params=query or {},
                headers={"Authorization": f"Bearer {token}"} if token else {},
            )

    def staff(self, tenant, *, role="care", principal=None, department="", project=""):
        """A staff access token."""
        claims = {
            "iss": DEPLOYMENT,
            "aud": "voicefile",
            "sub": principal or new_id(),
            "tenant": tenant,
            "role": role,
            "dept": department,
            "project": project,
            "iat": int(self.clock.s),
            "exp": int(self.clock.s) + 900,
            "jti": new_id(),
        }
        return jwt.encode(claims, self._signer, algorithm="EdDSA", headers={"kid": "k"})

    async def tenant(self, name="a"):
        return await open_tenant(
            NewTenant(name=name, login_domain=f"{name}.example"),
            by=Actor.service(),
            ports=self.ports,
        )

    async def letter(
        self, tenant, *, question=False, sensitive=False, state=CredentialState.ISSUED, count=1
    ):
        """A credential with recordings, as issuing leaves it behind."""
        credential, access_id = new_id(), new_access_id()
        pin, salt = random_digits(8), new_salt()
        letter = Letter(tenant, credential, access_id, pin)
        identity = await self.custody.identity(tenant)
        locator = await self.custody.directory_locator(access_id)
        await self.ports.directory.claim(locator, Claim(tenant, credential), now_s=0)
        of = {"tenant": tenant, "credential": credential}
        access = Access(
            partner=new_id(),
            state=state,
            letter=LetterState.SENT,
            pin_salt=salt,
            pin_verifier=await self.pool.hash(
                identity.derive(Purpose.PIN_PEPPER), SecretText(pin), salt=salt, **of
            ),
            pepper=identity.id,
            issued_on="2027-01-15",
            locator=locator,
            subject=await seal_customer(
                Customer({"name": "Erika Muster", QUESTION_PROMPT: "Die letzten vier Ziffern?"}),
                custody=self.custody,
                tenant=tenant,
            ),
            question=self._question(identity, letter) if question else None,
            tokens=(),
            recordings=(),
        )
        for _ in range(count):
            recording = await self.recording(letter, sensitive=sensitive)
            access = replace(access, recordings=(*access.recordings, recording))
        await self.ports.access.of(tenant).insert(credential, access)
        return letter

    async def recording(self, letter, *, sensitive=False, department="sales"):
        recording_id, key = new_id(), DataKey.random()
        letter.recordings.append(recording_id)
        letter.keys[recording_id] = key
        return Recording(
            id=recording_id,
            partner=new_id(),
            department=department,
            project="",
            state=RecordingState.PLAYABLE,
            sensitive=sensitive,
            blobs={role: Blob(new_id(), 65_652) for role in ("original", "telephone", "peaks")},
            slip=await self.custody.wrap_data_key(letter.tenant, recording_id, key),
            request_digest=bytes(32),
            details=seal_details(
                DETAILS,
                key,
                deployment=self.custody.deployment,
                tenant=letter.tenant,
                recording=recording_id,
            ),
            stored_on="2027-01-15",
            delete_on="2032-01-15",
            retention_class="contract",
            policy_version=1,
            assurance="uploaded",
        )

    async def access(self, letter):
        return await self.ports.access.of(letter.tenant).get(letter.credential)

    async def change(self, letter, **fields):
        stored = await self.access(letter)
        await self.ports.access.of(letter.tenant).replace(stored, replace(stored.record, **fields))

    async def change_recording(self, letter, **fields):
        stored = await self.access(letter)
        changed = tuple(replace(found, **fields) for found in stored.record.recordings)
        await self.change(letter, recordings=changed)

    async def told(self, *actions):
        """The deeds of these actions, in the order of their numbers."""
        found = []
        for _, document in await self.docs.pending(limit=100_000):
            found += [Event.FromString(event.payload).deed for event in document.pending]
        wanted = [Action.Value(f"ACTION_{action}") for action in actions]
        found.sort(key=lambda deed: deed.n)
        return [deed for deed in found if not wanted or deed.action in wanted]

    def _question(self, identity, letter):
        verifier = answer_verifier(
            identity.derive(Purpose.QUESTION_PEPPER),
            SecretText(letter.answer),
            tenant=letter.tenant,
            credential=letter.credential,
        )
        return Question("iban_last4", verifier, identity.id)


DETAILS = RecordingDetails(
    contract_reference="V-2027-17",
    contract_kind="electricity",
    contract_parts=("tariff",),
    recorded_at="2027-01-15T10:00:00Z",
    stored_at_ms=1_800_000_000_000,
    language="de",
    agent="",
    campaign="",
    consent={},
    media_type="audio/wav",
    original_bytes=50_044,
    telephone_bytes=16_044,
    peaks_bytes=99,
    duration_ms=1_000,
    sha256="0" * 64,
    receipt="",
)


@asynccontextmanager
async def a_world(directory, *, settings=None, limits=None, clock=None, pool=None):
    clock = clock or Clock()
    docs = await SqliteDocStore.open(directory / "auth.db", COLLECTIONS)
    custody = Custody(FileRootKey(directory / "root"), docs, deployment=DEPLOYMENT)
    settings = settings or AccessSettings()
    world = World(docs, custody, settings=settings, limits=limits, clock=clock, pool=pool)
    try:
        await first_start(world.ports)
        await world.doors.gate.ask()
        yield world
    finally:
        world.pool.close()
        await docs.close()
