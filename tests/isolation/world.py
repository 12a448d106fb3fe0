"""Three tenants with everybody in them, and one of each thing that a route can be asked for."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
from tests.isolation.who import AGENTS, FORGED, PEERS, Who, forged_headers
from tests.services.auth.quick_pins import quick_pool
from tests.stand import OPERATOR, Company, Stand, stand

from voicefile.auth.credentials.change_credential import Order
from voicefile.auth.erasing.ask import Wish, ask
from voicefile.auth.erasing.certificate import What, Why
from voicefile.auth.erasing.erase import Order as EraseOrder
from voicefile.auth.erasing.erase import erase
from voicefile.auth.erasing.hold import lift_hold, place_hold
from voicefile.auth.errors import ChangeNotPossible
from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.records import Stored
from voicefile.auth.store import Access, Recording
from voicefile.auth.tenants.principals import Added, NewPrincipal, add_principal
from voicefile.blobstore.names import new_blob_name
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.deeds.deed import Purpose
from voicefile.identity.guard import TELEPHONE_PREFIX
from voicefile.identity.ids import PLATFORM, new_id
from voicefile.identity.principal import Principal, Role

PURPOSE = {"Purpose": "complaint"}
ANSWER = "4711"
RENEW_AFTER_S = 60.0
"""A partner's token lives for five minutes, and so does a session nobody uses."""


def text(content: bytes) -> str:
    """Bytes as JSON carries them."""
    return base64.b64encode(content).decode()


class Thing(StrEnum):
    """What a route is asked for."""

    RECORDING = "recording"
    CREDENTIAL = "credential"
    SPARE_CREDENTIAL = "credential nobody signs in with"
    PRINCIPAL = "principal"
    PARTNER = "partner id"
    STAFF = "staff username"
    TENANT = "tenant"
    LOG = "log"
    CONTRACT = "contract reference"
    JOINABLE = "access ID to join"
    LETTER = "access ID to sign in with"
    CHALLENGE = "challenge"
    LOGIN = "telephone login"
    ASKED_LOGIN = "telephone login with a question"
    RELEASE = "release"
    BLOB = "blob name"
    FREE_RECORDING = "recording without a hold"
    HELD_RECORDING = "recording with a hold"
    ERASED_RECORDING = "erased recording"
    ERASURE = "erasure that was asked for"


@dataclass
class Filed:
    """One recording as its partner filed it, and the credential it hangs on."""

    recording: str
    access_id: str
    pin: str = field(repr=False)
    receipt: str = field(repr=False)
    key: str
    reference: str
    name: str
    credential: str
    stored: Stored[Access] = field(repr=False)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """As they stood in the store when it was filed."""
        return self.stored.record.recordings

    @property
    def marks(self) -> set[str]:
        """What must be seen by nobody who has no right to this customer."""
        return {self.recording, self.access_id, self.reference, self.name, self.credential}


@dataclass
class Home:
    """One tenant as the matrix uses it. Five customers: two who listen, three for other trials."""

    company: Company
    stand: Stand
    other_partner: Added
    main: Filed
    neighbour: Filed
    spare: Filed
    victim: Filed
    """Strangers try their PINs on it."""
    asked: Filed
    """Sensitive, with a question."""
    call: str = field(default_factory=new_id)
    """In which whoever is on the telephone calls."""
    instance: SealingKeyPair = field(default_factory=SealingKeyPair.generate)
    bearers: dict[Who, str] = field(default_factory=dict, repr=False)
    releases: list[str] = field(default_factory=list)
    staff: dict[str, Added] = field(default_factory=dict, repr=False)
    asked_to_erase: dict[str, str] = field(default_factory=dict)
    """By request: the recording that is to be erased."""
    erased: str = ""
    """A recording of the first partner's that is no more."""

    @property
    def id(self) -> str:
        return self.company.id

    @property
    def marks(self) -> set[str]:
        """What nobody of another tenant may ever see."""
        own = {self.id, self.company.partner.id, self.other_partner.id}
        return own.union(*(each.marks for each in self.filed))

    @property
    def filed(self) -> tuple[Filed, ...]:
        return self.main, self.neighbour, self.spare, self.victim, self.asked

    def thing(self, what: Thing) -> str:
        """The tenant's standing one; a call that uses it up takes a fresh one."""
        standing = {
            Thing.RECORDING: self.main.recording,
            Thing.CREDENTIAL: self.main.credential,
            Thing.SPARE_CREDENTIAL: self.spare.credential,
            Thing.PRINCIPAL: self.other_partner.id,
            Thing.PARTNER: self.company.partner.id,
            Thing.STAFF: self.company.staff["care"].username,
            Thing.TENANT: self.id,
            Thing.LOG: self.id,
            Thing.CONTRACT: self.main.reference,
            Thing.JOINABLE: self.main.access_id,
            Thing.LETTER: self.victim.access_id,
            Thing.CHALLENGE: "vc_" + "A" * 43,
            Thing.LOGIN: "0" * 32,
            Thing.ASKED_LOGIN: "0" * 32,
            Thing.RELEASE: self.releases[0] if self.releases else new_id(),
            Thing.BLOB: self.main.recordings[0].blobs["original"].name,
            Thing.FREE_RECORDING: self.spare.recording,
            Thing.HELD_RECORDING: self.spare.recording,
            Thing.ERASED_RECORDING: self.erased,
            Thing.ERASURE: next(iter(self.asked_to_erase), ""),
        }
        return standing[what] or ""

    async def signed_in(self) -> None:
        """Everybody's token or session, new where an old one would soon be over."""
        company = self.company
        self.bearers = {
            Who.PARTNER: await company.partner_token(),
            Who.OTHER_PARTNER: await company.partner_token(self.other_partner),
            Who.CUSTOMER: await self.fresh_session(Who.CUSTOMER),
            Who.OTHER_CUSTOMER: await self.fresh_session(Who.OTHER_CUSTOMER),
            Who.CALLER: await self.fresh_session(Who.CALLER),
            Who.ADMIN: await company.staff_token("admin"),
            Who.AUDITOR: await company.staff_token("auditor"),
            Who.OPERATOR: await company.staff_token("operator"),
        } | dict.fromkeys(AGENTS, await company.staff_token("care"))
        self.releases = [await self._fresh_release()]

    async def fresh(self, what: Thing) -> str:
        """A new one, to be used up."""
        makers: dict[Thing, Callable[[], Awaitable[str]]] = {
            Thing.SPARE_CREDENTIAL: self._fresh_credential,
            Thing.PRINCIPAL: self._fresh_principal,
            Thing.STAFF: self._fresh_staff,
            Thing.CHALLENGE: self._fresh_challenge,
            Thing.LOGIN: self._fresh_login,
            Thing.ASKED_LOGIN: self._fresh_asked_login,
            Thing.RELEASE: self._fresh_release,
            Thing.FREE_RECORDING: self._fresh_free,
            Thing.HELD_RECORDING: self._fresh_held,
            Thing.ERASURE: self._fresh_erasure,
        }
        return await makers[what]()

    async def fresh_session(self, who: Who) -> str:
        """A session of its own for a customer who is going to end it."""
        if who is Who.CALLER:
            answer = await self._keyed(f"{await self._fresh_login()}/pin", pin=self.main.pin)
            return f"{TELEPHONE_PREFIX}{answer['session_id']}.{self.call}"
        filed = self.main if who is Who.CUSTOMER else self.neighbour
        header = await self.company.session(filed.access_id, filed.pin)
        return header["Authorization"].removeprefix("Bearer ")

    async def _fresh_credential(self) -> str:
        return (await filed(self.stand, self.company)).credential

    async def _fresh_free(self) -> str:
        order = Order(by=Principal(new_id(), self.id, Role.TENANT_ADMIN))
        with suppress(ChangeNotPossible):
            await lift_hold(self.spare.recording, order=order, ports=self.stand.ports)
        return self.spare.recording

    async def _fresh_held(self) -> str:
        recording = await self._fresh_free()
        by = Principal(new_id(), self.id, Role.CARE)
        order = Order(by=by, purpose=Purpose.PURPOSE_LEGAL)
        await place_hold(recording, "case-17", order=order, ports=self.stand.ports)
        return recording

    async def _fresh_erasure(self) -> str:
        """Asked for by a care agent of the tenant, so that its admin may confirm it."""
        recording = (await filed(self.stand, self.company)).recording
        by = Principal(self.company.staff["care"].id, self.id, Role.CARE)
        order = Order(by=by, purpose=Purpose.PURPOSE_CUSTOMER_REQUEST)
        asked = await ask(Wish(What.RECORDING, recording), order=order, ports=self.stand.ports)
        self.asked_to_erase[asked.id] = recording
        return asked.id

    async def something_erased(self) -> None:
        """One recording of the first partner that is no more."""
        gone = await filed(self.stand, self.company)
        order = EraseOrder(by=OPERATOR, why=Why.EARLY)
        await erase(gone.stored, lambda _: True, order=order, ports=self.stand.ports)
        self.erased = gone.recording

    async def _fresh_principal(self) -> str:
        new = NewPrincipal(Role.PARTNER, "leaves soon")
        return (await add_principal(self.id, new, by=OPERATOR, ports=self.stand.ports)).id

    async def _fresh_staff(self) -> str:
        new = NewPrincipal(Role.CARE, "new", handle=f"new-{new_id()[:8]}")
        added = await add_principal(self.id, new, by=OPERATOR, ports=self.stand.ports)
        self.staff[added.username or ""] = added
        return added.username or ""

    async def _fresh_challenge(self) -> str:
        answer = await self.company.sign_in(self.asked.access_id, self.asked.pin)
        return str(answer.raise_for_status().json()["challenge"])

    async def _fresh_login(self) -> str:
        answer = await self._keyed("", access_id=self.main.access_id)
        return str(answer["login_id"])

    async def _fresh_asked_login(self) -> str:
        login = str((await self._keyed("", access_id=self.asked.access_id))["login_id"])
        assert "question" in await self._keyed(f"{login}/pin", pin=self.asked.pin)
        return login

    async def _keyed(self, step: str, **keyed: str) -> dict[str, Any]:
        """One step of a telephone login, as playback asks it."""
        body = keyed | {"caller": "", "call_id": self.call}
        path = f"/auth/internal/v1/telephone-logins/{step}".removesuffix("/")
        async with self.stand.vault.client(peer="playback") as playback:
            answer = await playback.post(path, json=body)
        return dict(answer.raise_for_status().json())

    async def _fresh_release(self) -> str:
        body = {
            "recording_id": self.main.recording,
            "instance_key": text(self.instance.public),
            "listening": new_id(),
        }
        async with self.stand.vault.client(peer="playback") as playback:
            answer = await playback.post(
                "/auth/internal/v1/releases",
                json=body,
                headers={"Authorization": f"Bearer {self.bearers[Who.CUSTOMER]}"},
            )
        return str(answer.raise_for_status().json()["release_id"])


def missing(what: Thing) -> str:
    """One that never was, of the same form."""
    if what in (Thing.JOINABLE, Thing.LETTER):
        return new_access_id()
    if what is Thing.BLOB:
        return str(new_blob_name())
    return {Thing.STAFF: f"nobody@{new_id()[:8]}.test", Thing.CONTRACT: f"V-{new_id()[:10]}"}.get(
        what, new_id()
    )


QUESTION = {
    "sensitive": True,
    "question": {"kind": "iban_last4", "answer": ANSWER},
}


async def filed(s: Stand, company: Company, **metadata: Any) -> Filed:
    """A recording stored the way partners do, with what is known of it afterwards."""
    name, key = f"Kundin {new_id()}", new_id()
    reference = metadata.setdefault("contract_reference", f"V-{new_id()}")
    metadata.setdefault("customer", {"name": name, "phone": "+49 30 1234567"})
    answer = (await company.upload(key=key, **metadata)).raise_for_status().json()
    records = s.ports.access.of(company.id)
    stored = await records.find_one("recording", answer["recording_id"])
    assert stored is not None
    return Filed(
        recording=answer["recording_id"],
        access_id=answer["access_id"],
        pin=answer["pin"],
        receipt=answer["receipt"],
        key=key,
        reference=reference,
        name=metadata["customer"]["name"],
        credential=stored.id,
        stored=stored,
    )


async def home_of(s: Stand, company: Company) -> Home:
    """A tenant with everything in it."""
    new = NewPrincipal(Role.PARTNER, "another CRM")
    home = Home(
        company=company,
        stand=s,
        other_partner=await add_principal(company.id, new, by=OPERATOR, ports=s.ports),
        main=await filed(s, company),
        neighbour=await filed(s, company),
        spare=await filed(s, company),
        victim=await filed(s, company),
        asked=await filed(s, company, **QUESTION),
    )
    # A one-time code works once: each home has its own operator, who is of none of them.
    company.staff["operator"] = await an_operator(s)
    await home.signed_in()
    await home.something_erased()
    await home.fresh(Thing.ERASURE)
    return home


async def an_operator(s: Stand) -> Added:
    """Somebody who runs the platform and belongs to no tenant."""
    new = NewPrincipal(Role.OPERATOR, "on call", handle=f"on-call-{new_id()[:8]}")
    return await add_principal(PLATFORM, new, by=OPERATOR, ports=s.ports)


@dataclass
class World:
    """The vault, its three tenants, and the ways to knock at its doors."""

    stand: Stand
    homes: list[Home]
    clients: dict[str | None, httpx.AsyncClient] = field(repr=False)
    signed_in_at_s: float = field(default_factory=time.monotonic)
    _networks: int = 0

    async def renewed(self) -> None:
        """Between two tests of one run others may take their time: nobody's token is over then."""
        if time.monotonic() - self.signed_in_at_s > RENEW_AFTER_S:
            self.signed_in_at_s = time.monotonic()
            for home in self.homes:
                await home.signed_in()

    def others(self, home: Home) -> list[Home]:
        return [each for each in self.homes if each.id != home.id]

    def client(self, who: Who) -> httpx.AsyncClient:
        """Both doors of every service, as the asker's certificate says."""
        return self.clients[PEERS.get(who)]

    def elsewhere(self, who: Who) -> httpx.AsyncClient:
        """The same from a network nobody has called from yet: throttles count by network."""
        self._networks += 1
        address = f"10.{self._networks // 250}.{self._networks % 250}.7"
        return self.stand.elsewhere(address, peer=PEERS.get(who))

    def front(self, peer: str | None = None) -> httpx.AsyncClient:
        """The public port, also for somebody who shows it a certificate of ours."""
        return self.stand.front(peer=peer)

    def headers(self, who: Who, home: Home, bearer: str | None = None) -> dict[str, str]:
        """What the asker sends with everything."""
        token = bearer or home.bearers.get(who)
        headers = dict(PURPOSE)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if who in FORGED:
            headers |= forged_headers(self.others(home)[0].id)
        return headers


@asynccontextmanager
async def world(place: Any) -> AsyncIterator[World]:
    """Everything running; ended with the block."""
    # Thousands sign in; a PIN at its full cost is tried elsewhere.
    async with stand(place, companies=3, pins=quick_pool()) as s:
        homes = [await home_of(s, company) for company in s.companies]
        clients = {name: s.vault.client(peer=name) for name in (None, *PEERS.values())}
        await s.settled()
        try:
            yield World(s, homes, clients)
        finally:
            await asyncio.gather(*(client.aclose() for client in clients.values()))
