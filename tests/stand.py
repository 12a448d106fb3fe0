"""A whole vault for tests: every service over real embedded adapters, and people who use it."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pyotp
from tests.services.playback.telephone.pretended import prompts

from voicefile.auth.ports import Ports
from voicefile.auth.store import PolicyRules
from voicefile.auth.tenants.open_tenant import NewTenant, open_tenant
from voicefile.auth.tenants.principals import Added, NewPrincipal, add_principal
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.inprocess import BASE_URL, InProcessTransport, in_process_client
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import BARE, Vault, embedded
from voicefile.cli.partner import sample
from voicefile.cli.place import Place
from voicefile.deeds.deed import Actor
from voicefile.deeds.deed import Role as DeedRole
from voicefile.docstore.port import DocStore
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Role

APART = os.environ.get("VOICEFILE_FORM", "embedded") != "embedded"
"""In which form the vault stands: `embedded`, or `cluster` (see tests/cluster)."""
OPERATOR = Actor("", DeedRole.ROLE_OPERATOR)
RULES = PolicyRules(
    retention_days={"contract": 1_095, "short": 30}, default_retention_class="contract"
)
STAFF = {"care": Role.CARE, "auditor": Role.AUDITOR, "admin": Role.TENANT_ADMIN}


def metadata(**changes: Any) -> dict[str, Any]:
    """What a partner sends with a recording; `changes` replace, None removes."""
    usual = {
        "contract_reference": f"V-{new_id()[:10]}",
        "contract_kind": "Mobilfunkvertrag",
        "contract_parts": ["Tarif M", "24 Monate"],
        "recorded_at": "2026-01-20T14:03:00+01:00",
        "language": "de",
        "consent": {
            "obtained_at": "2026-01-20T14:02:30+01:00",
            "method": "spoken",
            "wording_sha256": "6b" * 32,
        },
        "customer": {"name": "Erika Mustermann", "phone": "+49 30 1234567"},
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


@dataclass
class Company:
    """One tenant with somebody in each role."""

    id: str
    ports: Ports = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)
    partner: Added = field(repr=False)
    staff: dict[str, Added] = field(repr=False)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    async def partner_token(self, partner: Added | None = None) -> str:
        """A partner's access token, by client secret."""
        partner = partner or self.partner
        assert partner.client_secret
        answer = await self.client.post(
            "/auth/v1/token",
            data={"grant_type": "client_credentials"},
            auth=httpx.BasicAuth(partner.id, partner.client_secret.expose()),
        )
        return answer.raise_for_status().json()["access_token"]

    async def staff_token(self, handle: str) -> str:
        """A staff member's access token, kept while it lives: a one-time code works only once."""
        token, until = self._tokens.get(handle, ("", 0.0))
        if time.monotonic() < until:
            return token
        added = self.staff[handle]
        assert added.password
        assert added.totp_secret
        answer = await self.client.post(
            "/auth/v1/staff-sessions",
            json={
                "username": added.username,
                "password": added.password.expose(),
                "totp": pyotp.TOTP(added.totp_secret.expose()).now(),
            },
        )
        token = answer.raise_for_status().json()["access_token"]
        self._tokens[handle] = (token, time.monotonic() + 600)
        return token

    async def upload(
        self,
        audio: bytes | None = None,
        *,
        key: str | None = None,
        token: str | None = None,
        **changes: Any,
    ) -> httpx.Response:
        """Stores a recording the way the partner guide shows."""
        token = token or await self.partner_token()
        return await self.client.post(
            "/ingest/v1/recordings",
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key or new_id()},
            files=[
                ("metadata", (None, json.dumps(metadata(**changes)), "application/json")),
                ("audio", ("a.wav", sample() if audio is None else audio, "audio/wav")),
            ],
        )

    async def sign_in(self, access_id: str, pin: str) -> httpx.Response:
        """Signs in as a customer."""
        body = {"access_id": access_id, "pin": pin}
        return await self.client.post("/auth/v1/customer-sessions", json=body)

    async def session(self, access_id: str, pin: str) -> dict[str, str]:
        """The Authorization header of a customer who signed in without a question."""
        answer = (await self.sign_in(access_id, pin)).raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['session_token']}"}


@dataclass
class Stand:
    """A vault, its tenants, and a client that is nobody in particular."""

    place: Place
    vault: Vault
    client: httpx.AsyncClient
    companies: list[Company]
    stores: Mapping[str, DocStore] = field(default_factory=dict)
    """Each service's documents, past its doors."""
    blobs: BlobStore = field(default_factory=MemoryBlobStore)

    @property
    def ports(self) -> Ports:
        """Auth's ports, as commands use them."""
        return self.vault.services["/auth"].public.state.ports

    def elsewhere(self, address: str, *, peer: str | None = None) -> httpx.AsyncClient:
        """A client that calls from this address: throttles count networks."""
        return in_process_client(self.vault.services, peer=peer, client=(address, 443))

    def front(self, *, peer: str | None = None) -> httpx.AsyncClient:
        """The public port alone, also for somebody who shows it a certificate of ours."""
        transport = InProcessTransport(self.vault.public, peer=peer)
        return httpx.AsyncClient(transport=transport, base_url=BASE_URL)

    async def published(self) -> None:
        """Waits until every service has heard what auth has done so far."""
        async with asyncio.timeout(10):
            while await self.ports.store.pending(1):
                await asyncio.sleep(0.02)

    async def settled(self) -> None:
        """Waits until every deed so far stands in the log and under a checkpoint."""
        await self.published()
        await asyncio.sleep(1.2)

    async def copied_to(self, folder: Path) -> None:
        """Everything kept of these tenants, as an embedded vault has it on its disk."""
        shutil.copytree(self.place.data, folder)


async def company(ports: Ports, client: httpx.AsyncClient, name: str) -> Company:
    """A tenant with a partner, care, an auditor and an administrator."""
    # In a cluster other tests have companies, too: a domain belongs to one.
    domain = f"{name}-{new_id()[:8]}.test"
    tenant = await open_tenant(NewTenant(name, domain, RULES, demo=True), by=OPERATOR, ports=ports)
    new = NewPrincipal(Role.PARTNER, "CRM")
    partner = await add_principal(tenant, new, by=OPERATOR, ports=ports)
    staff = {
        handle: await add_principal(
            tenant, NewPrincipal(role, handle, handle=handle), by=OPERATOR, ports=ports
        )
        for handle, role in STAFF.items()
    }
    return Company(tenant, ports, client, partner, staff)


@asynccontextmanager
async def stand(
    data: Path, *, companies: int = 2, deployment: str = "test", pins: PinPool | None = None
) -> AsyncIterator[Stand]:
    """A vault with its tenants, in the form that the environment asks for.

    Embedded, it may have quick `pins`, where many sign in and their cost is no matter.
    """
    if APART:
        # Only a cluster needs the engines' clients.
        form = import_module("tests.cluster.stand_apart").stand_apart(deployment)
    else:
        form = embedded_stand(data, deployment, pins)
    async with form as made:
        made.companies += [
            await company(made.ports, made.client, f"company{n}") for n in range(companies)
        ]
        await made.published()
        yield made


@asynccontextmanager
async def embedded_stand(
    data: Path, deployment: str, pins: PinPool | None = None
) -> AsyncIterator[Stand]:
    """Everything running in this process over `data`, without sockets."""
    place, stores, failures = Place(data), {}, []

    def kept(service: str, store: DocStore) -> DocStore:
        stores[service] = store
        return store

    settings = DeploymentSettings(data_dir=data, deployment=deployment)
    fittings = replace(BARE, documents=kept)
    async with AsyncExitStack() as running:
        running.enter_context(place.held())
        vault = await running.enter_async_context(
            embedded(
                settings,
                place,
                on_failure=failures.append,
                fittings=fittings,
                prompts=prompts(),
                pins=pins,
            )
        )
        client = await running.enter_async_context(vault.client())
        yield Stand(place, vault, client, [], stores, FilesystemBlobStore(place.blobs))
    assert not failures, failures
