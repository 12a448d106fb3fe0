"""Auth whole, for the tests of keeping and issuing: real app, real store, real keys, one clock."""

import base64
import hashlib
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from tests.services.auth.quick_pins import quick_pool

from voicefile.auth import app
from voicefile.auth.settings import AuthSettings
from voicefile.auth.store import PolicyRules
from voicefile.auth.tenants.open_tenant import NewTenant, first_start, open_tenant
from voicefile.auth.tenants.principals import NewPrincipal, add_principal
from voicefile.auth.tokens.issue_token import sign_token
from voicefile.chassis.inprocess import in_process_client
from voicefile.contracts.auth.v1 import AuthEvent
from voicefile.contracts.deed.v1 import Action
from voicefile.crypto.envelope import object_id
from voicefile.crypto.keyring import slip_context
from voicefile.crypto.primitives import seal_to
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.secret import DataKey
from voicefile.deeds.deed import Actor
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Principal, Role

DEPLOYMENT = "test"
RULES = PolicyRules(
    retention_days={"contract": 3650, "short": 30}, default_retention_class="contract"
)
STARTED_S = 1_800_000_000.0


class Clock:
    """One time for everything."""

    def __init__(self):
        self.s = STARTED_S

    def __call__(self):
        return self.s


@dataclass
class Partner:
    """A partner of a tenant, as ingest knows it from its token."""

    tenant: str
    id: str
    secret: str = ""


@dataclass
class Upload:
    """What ingest holds when it asks for access to be issued."""

    partner: Partner
    recording: str = field(default_factory=new_id)
    key: DataKey = field(default_factory=DataKey.random)
    idempotency_key: str = field(default_factory=lambda: "k" * 11 + new_id())
    digest: bytes = b"\x07" * 32
    metadata: dict = field(default_factory=dict)
    state: str = "playable"
    body: dict = field(default_factory=dict)


def metadata(**changes):
    """What a partner says about a voice file."""
    said = {
        "contract_reference": "V-2027/0815",
        "contract_kind": "electricity",
        "contract_parts": ["Tarif Grün", "24 Monate"],
        "recorded_at": "2027-01-15T09:00:00+01:00",
        "language": "de",
        "consent": {
            "obtained_at": "2027-01-15T08:59:00+01:00",
            "method": "spoken",
            "wording_sha256": "ab" * 32,
        },
        "customer": {
            "name": "Erika Mustermann-Kanari",
            "phone": "0170 1234567",
            "email": "Erika@Example.org",
            "customer_number": "K-4711",
            "birth_date": "1980-05-17",
            "address": {"street": "Am Kanarienweg", "city": "Musterstadt"},
        },
        "agent": "agent-7",
        "campaign": "spring",
    }
    return {**said, **changes}


class World:
    def __init__(self, docs, root, *, clock, settings, pins):
        self.docs, self.root, self.clock, self.settings = docs, root, clock, settings
        self.bus = MemoryEventBus()
        self.failures = []
        self.service = app.build(
            settings,
            deployment=DEPLOYMENT,
            docs=docs,
            bus=self.bus,
            root=root,
            client=httpx.AsyncClient(
                transport=httpx.MockTransport(lambda _: httpx.Response(503)),
                base_url="https://audit",
            ),
            on_failure=self.failures.append,
            pins=pins,
            now_s=clock,
        )
        self.ports = self.service.public.state.ports
        self.custody = self.ports.custody

    # --- people ---

    async def tenant(self, domain="aurora.example", *, rules=RULES, demo=True, **more):
        return await open_tenant(
            NewTenant(domain.split(".", maxsplit=1)[0], domain, rules, demo=demo, **more),
            by=Actor.service(),
            ports=self.ports,
        )

    async def partner(self, tenant, **how):
        added = await add_principal(
            tenant, NewPrincipal(Role.PARTNER, **how), by=Actor.service(), ports=self.ports
        )
        secret = added.client_secret.expose() if added.client_secret else ""
        return Partner(tenant, added.id, secret)

    async def staff(self, tenant, role=Role.CARE, handle="anna", **how):
        return await add_principal(
            tenant,
            NewPrincipal(role, "Anna Beispiel", handle=handle, **how),
            by=Actor.service(),
            ports=self.ports,
        )

    async def token(self, tenant, role, principal=None, department="", project=""):
        """A token as signing in gives it, without the signing in."""
        who = Principal(principal or new_id(), tenant, role, department, project)
        return (await sign_token(who, lasts_s=300, ports=self.ports)).text

    # --- calls ---

    def client(self, *, peer=None):
        return in_process_client({"/auth": self.service}, peer=peer)

    async def call(self, method, path, *, token=None, purpose=None, peer=None, **how):
        headers = {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if purpose:
            headers["Purpose"] = purpose
        async with self.client(peer=peer) as client:
            return await client.request(method, f"/auth{path}", headers=headers, **how)

    async def prepared(self, upload):
        """The body of the issue, its data key sealed to the tenant's open epoch."""
        tenant = upload.partner.tenant
        keys = await self.custody.namespace(tenant)
        sealing = await self.custody.sealing_key(tenant, keys)
        context = slip_context(
            self.custody.deployment, tenant, object_id(upload.recording, "slip"), sealing.epoch
        )
        upload.body = {
            "recording_id": upload.recording,
            "tenant": tenant,
            "partner": upload.partner.id,
            "idempotency_key": upload.idempotency_key,
            "request_digest": b64(upload.digest),
            "epoch": sealing.epoch,
            "sealed_key": b64(seal_to(sealing.public, context.encode(), upload.key)),
            "blobs": {
                role: {"name": new_id(), "sealed_bytes": 65_652}
                for role in ("original", "telephone", "peaks")
            },
            "state": upload.state,
            "findings": [] if upload.state == "playable" else ["silence"],
            "media": {
                "media_type": "audio/wav",
                "original_bytes": 16_044,
                "telephone_bytes": 16_044,
                "peaks_bytes": 99,
                "duration_ms": 1_000,
                "sha256": hashlib.sha256(upload.recording.encode()).hexdigest(),
            },
            "metadata": upload.metadata or metadata(),
            "request_id": new_id(),
        }
        return upload

    async def ask(self, upload):
        """Sends the prepared issue."""
        return await self.call("POST", "/internal/v1/issues", json=upload.body, peer="ingest")

    async def issue(self, partner, upload=None, **said):
        """Files a recording and answers what the partner is told."""
        upload = upload or Upload(partner, metadata=metadata(**said))
        return await self.ask(await self.prepared(upload))

    async def issued(self, partner, **said):
        response = await self.issue(partner, **said)
        assert response.status_code == 201, response.text
        return response.json()

    async def credential(self, partner, recording):
        """The access document of a recording."""
        return await self.ports.access.of(partner.tenant).find_one("recording", recording)

    # --- what was told ---

    async def events(self):
        """Every event of auth that waits to be published, in the order of the deeds."""
        found = []
        for _, document in await self.docs.pending(limit=100_000):
            found += [AuthEvent.FromString(event.payload) for event in document.pending]
        return sorted(found, key=lambda event: event.deed.n)

    async def deeds(self, *actions):
        wanted = [Action.Value(f"ACTION_{action}") for action in actions]
        return [
            event.deed
            for event in await self.events()
            if event.HasField("deed") and (not wanted or event.deed.action in wanted)
        ]


def b64(content):
    return base64.b64encode(content).decode()


def slug(response):
    return json.loads(response.content)["type"].removeprefix("urn:voicefile:problem:")


@asynccontextmanager
async def an_auth(
    directory, *, clock=None, settings=None, wrap_store=None, wrap_root=None, full_cost=False
):
    """Auth over stores in `directory`, started but with its loops standing still.

    With `full_cost` it hashes PINs itself.
    """
    docs = await SqliteDocStore.open(directory / "auth.db", app.COLLECTIONS)
    root = FileRootKey(directory / "root")
    world = World(
        wrap_store(docs) if wrap_store else docs,
        wrap_root(root) if wrap_root else root,
        clock=clock or Clock(),
        settings=settings or AuthSettings(),
        pins=None if full_cost else quick_pool(),
    )
    try:
        await first_start(world.ports)
        yield world
    finally:
        world.ports.pins.close()
        await docs.close()
