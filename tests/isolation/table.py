"""The declared table: every route of every service but the portal's, and how to ask it."""

import json
import uuid
from typing import Any

import pyotp
from tests.isolation.rows import Ask, Asker, Cell, Position, Row, without_refusals
from tests.isolation.who import (
    ADMINS,
    AGENTS,
    AUDITORS,
    CUSTOMERS,
    EVERYBODY,
    OPERATORS,
    PARTNERS,
    Who,
)
from tests.isolation.world import ANSWER, Thing, text
from tests.stand import APART, metadata

from voicefile.blobstore.names import new_blob_name
from voicefile.cli.partner import sample
from voicefile.crypto.envelope import object_id
from voicefile.crypto.keyring import slip_context
from voicefile.crypto.primitives import SealingKeyPair, seal_to
from voicefile.crypto.secret import DataKey
from voicefile.identity.ids import new_id

SOME = frozenset({Who.NOBODY, Who.PARTNER, Who.CUSTOMER, Who.CARE, Who.PORTAL, Who.FORGER})
"""Enough to see that a door looks at nothing but the body."""
NO_FOREIGN = (Position.OWN, Position.MISSING)


async def a_state(_: Cell) -> Ask:
    return Ask(json={"change": "undelivered"})


async def a_call(_: Cell) -> Ask:
    return Ask(data={"session_id": str(uuid.uuid4()), "Caller-Destination-Number": "+49800123"})


async def a_sound(_: Cell) -> Ask:
    return Ask(path={"call_id": str(uuid.uuid4()), "file": f"{'A' * 32}.wav"})


async def a_letter(_: Cell) -> Ask:
    return Ask(json={"letter": "printed"})


async def a_search(cell: Cell) -> Ask:
    return Ask(json={"contract_reference": cell.value})


async def a_sign_in(cell: Cell) -> Ask:
    # One's own with its PIN; a foreign or an unknown ID with a PIN that is right elsewhere.
    own = cell.home.main
    tried = own.access_id if cell.position is Position.OWN else cell.value
    return Ask(json={"access_id": tried, "pin": own.pin})


async def an_answer(cell: Cell) -> Ask:
    return Ask(json={"challenge": cell.value, "answer": ANSWER})


async def an_id_keyed(cell: Cell) -> Ask:
    return Ask(json={"access_id": cell.value, "caller": "", "call_id": cell.home.call})


async def a_pin_keyed(cell: Cell) -> Ask:
    return Ask(json={"pin": cell.home.main.pin, "caller": "", "call_id": cell.home.call})


async def an_answer_keyed(cell: Cell) -> Ask:
    return Ask(json={"answer": ANSWER, "caller": "", "call_id": cell.home.call})


async def a_staff_sign_in(cell: Cell) -> Ask:
    added = cell.home.staff.get(cell.value) or cell.home.company.staff["care"]
    assert added.password
    assert added.totp_secret
    return Ask(
        json={
            "username": cell.value,
            "password": added.password.expose(),
            "totp": pyotp.TOTP(added.totp_secret.expose()).now(),
        }
    )


async def a_token(cell: Cell) -> Ask:
    secret = cell.home.company.partner.client_secret
    assert secret
    basic = text(f"{cell.value}:{secret.expose()}".encode())
    return Ask(
        data={"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {basic}"}
    )


async def a_policy(_: Cell) -> Ask:
    return Ask(json={"retention_days": {"contract": 1_095}, "default_retention_class": "contract"})


async def a_preview(_: Cell) -> Ask:
    return Ask(json={"rules": {"retention_days": {"contract": 30}}})


def a_listing(listing: str) -> Asker:
    async def asked(_: Cell) -> Ask:
        return Ask(path={"listing": listing})

    return asked


async def a_hold(_: Cell) -> Ask:
    return Ask(json={"reference": "case-17"})


async def an_erasure(cell: Cell) -> Ask:
    return Ask(json={"recording_id": cell.value})


async def a_confirmation(cell: Cell) -> Ask:
    return Ask(json={"typed": cell.owner.asked_to_erase.get(cell.value, "")[:8]})


async def a_scope(_: Cell) -> Ask:
    return Ask(json={"department": "sales"})


async def a_shop(_: Cell) -> Ask:
    return Ask(json={"public_key": text(SealingKeyPair.generate().public)})


async def a_principal(_: Cell) -> Ask:
    return Ask(json={"role": "partner", "name": "One more"})


async def of_partner(cell: Cell) -> Ask:
    return Ask(params={"tenant": cell.home.id, "partner": cell.home.company.partner.id})


async def blob_names(cell: Cell) -> Ask:
    return Ask(json={"names": [cell.value]})


async def credential_query(cell: Cell) -> Ask:
    return Ask(params={"credential": cell.value})


async def care_listing(cell: Cell) -> Ask:
    return Ask(params={"credential": cell.value}, json={"purpose": "complaint"})


async def a_release(cell: Cell) -> Ask:
    return Ask(
        json={
            "recording_id": cell.value,
            "instance_key": text(cell.home.instance.public),
            "listening": new_id(),
            "purpose": "complaint",
        }
    )


async def a_recording(cell: Cell) -> Ask:
    return Ask(json={"recording_id": cell.value})


async def some_papers(cell: Cell) -> Ask:
    return Ask(json={"recording_id": cell.value, "purpose": "complaint"})


async def a_renewal(cell: Cell) -> Ask:
    return Ask(json={"instance_key": text(cell.home.instance.public)})


async def an_end(cell: Cell) -> Ask:
    key = text(cell.home.instance.public)
    return Ask(json={"instance_key": key, "bytes_sent": 0, "end": "over"})


async def a_kept_answer(cell: Cell) -> Ask:
    home = cell.home
    return Ask(
        json={
            "tenant": home.id,
            "partner": home.company.partner.id,
            "idempotency_key": home.main.key,
        }
    )


async def an_issue(cell: Cell) -> Ask:
    """What ingest sends: a key sealed to the tenant's epoch, for the partner that is asked for."""
    home, recording = cell.home, new_id()
    custody = home.stand.ports.custody
    sealing = await custody.sealing_key(home.id, await custody.namespace(home.id))
    context = slip_context(custody.deployment, home.id, object_id(recording, "slip"), sealing.epoch)
    said: dict[str, Any] = metadata()
    return Ask(
        json={
            "recording_id": recording,
            "tenant": home.id,
            "partner": cell.value,
            "idempotency_key": new_id(),
            "request_digest": text(bytes(32)),
            "epoch": sealing.epoch,
            "sealed_key": text(seal_to(sealing.public, context.encode(), DataKey.random())),
            "blobs": {
                role: {"name": str(new_blob_name()), "sealed_bytes": 65_700}
                for role in ("original", "telephone", "peaks")
            },
            "state": "playable",
            "media": {
                "media_type": "audio/wav",
                "original_bytes": 1_000,
                "telephone_bytes": 1_000,
                "peaks_bytes": 100,
                "duration_ms": 1_000,
                "sha256": "00" * 32,
            },
            "metadata": said,
        }
    )


async def a_tile(cell: Cell) -> Ask:
    """The first tile of the log as far as it has grown, or as far as one's own has."""
    owner = cell.owner if cell.position is not Position.MISSING else cell.home
    head = await owner.company.client.get(f"/audit/v1/logs/{owner.id}/checkpoint")
    size = int(head.text.splitlines()[1])
    return Ask(path={"tile": f"0/000.p/{min(size, 255)}" if size < 256 else "0/000"})


async def a_page(_: Cell) -> Ask:
    return Ask(params={"limit": "1000"})


async def a_role(_: Cell) -> Ask:
    # Services' deeds: nobody's refusals, which repeat whatever id was asked for, are among them.
    return Ask(params={"role": "service"})


async def a_day(cell: Cell) -> Ask:
    return Ask(
        json={
            "tenant": cell.home.id,
            "partner": cell.value,
            "day": "2026-01-20",
            "first": 1,
            "last": 0,
            "entries_sha256": "00" * 32,
            "previous_sha256": "",
        }
    )


async def a_day_that_is_over(_: Cell) -> Ask:
    return Ask(params={"day": "2026-01-20"})


async def of_tenant(cell: Cell) -> Ask:
    return Ask(params={"tenant": cell.home.id})


def upload(cell: Cell, **changes: Any) -> Ask:
    said = json.dumps(metadata(**changes))
    return Ask(
        headers={"Idempotency-Key": new_id()},
        files=[
            ("metadata", (None, said, "application/json")),
            ("audio", ("a.wav", sample(), "audio/wav")),
        ],
    )


async def an_upload(cell: Cell) -> Ask:
    return upload(cell)


async def a_join(cell: Cell) -> Ask:
    return upload(cell, join_access_id=cell.value)


KEEPERS = PARTNERS | AGENTS
PROVERS = PARTNERS | AGENTS | AUDITORS | ADMINS

AUTH = (
    Row("GET /auth/v1/openapi.json", EVERYBODY),
    Row("GET /auth/v1/keys", EVERYBODY),
    Row("GET /auth/v1/tenants/{tenant}/receipt-keys", EVERYBODY, thing=Thing.TENANT, shared=True),
    Row("POST /auth/v1/token", EVERYBODY, thing=Thing.PARTNER, absent=401, ask=a_token),
    Row(
        "POST /auth/v1/staff-sessions",
        EVERYBODY,
        thing=Thing.STAFF,
        absent=401,
        ask=a_staff_sign_in,
        spends=True,
        open_to=SOME,
    ),
    Row(
        "POST /auth/v1/customer-sessions",
        EVERYBODY,
        ok=201,
        thing=Thing.LETTER,
        absent=401,
        ask=a_sign_in,
        open_to=SOME,
    ),
    Row(
        "POST /auth/v1/customer-sessions/answers",
        EVERYBODY,
        ok=201,
        thing=Thing.CHALLENGE,
        absent=401,
        ask=an_answer,
        spends=True,
        open_to=SOME,
        # A challenge belongs to whoever was given it.
        positions=NO_FOREIGN,
    ),
    Row("DELETE /auth/v1/customer-sessions/current", CUSTOMERS, ok=204, spends=True),
    Row("GET /auth/v1/tenant", ADMINS | AUDITORS | AGENTS | PARTNERS),
    Row("PUT /auth/v1/policy", ADMINS, ask=a_policy),
    Row("POST /auth/v1/scopes", ADMINS, ask=a_scope),
    Row("PUT /auth/v1/letter-shop", ADMINS, ok=204, ask=a_shop),
    Row("GET /auth/v1/principals", ADMINS),
    Row("POST /auth/v1/principals", ADMINS, ok=201, ask=a_principal),
    Row(
        "DELETE /auth/v1/principals/{principal}",
        ADMINS,
        ok=204,
        thing=Thing.PRINCIPAL,
        spends=True,
    ),
    # Nobody here is closed, and a restored tenant is as it was.
    Row("POST /auth/v1/tenant/restoration", ADMINS, ok=204),
    Row("POST /auth/v1/retention-previews", ADMINS, ask=a_preview),
    *(
        Row("GET /auth/v1/retention/{listing}", ADMINS | AUDITORS, ask=a_listing(listing))
        for listing in ("planned", "held", "erased")
    ),
    Row(
        "PUT /auth/v1/recordings/{recording}/hold",
        AGENTS | ADMINS,
        thing=Thing.FREE_RECORDING,
        ask=a_hold,
        spends=True,
    ),
    Row(
        "DELETE /auth/v1/recordings/{recording}/hold",
        ADMINS,
        thing=Thing.HELD_RECORDING,
        spends=True,
    ),
    Row(
        "GET /auth/v1/recordings/{recording}/shred-certificate",
        PARTNERS | AUDITORS | ADMINS,
        thing=Thing.ERASED_RECORDING,
    ),
    Row(
        "POST /auth/v1/erasures",
        AGENTS | ADMINS,
        ok=201,
        thing=Thing.RECORDING,
        ask=an_erasure,
    ),
    Row("GET /auth/v1/erasures", ADMINS),
    Row(
        "POST /auth/v1/erasures/{erasure}/confirmation",
        ADMINS,
        thing=Thing.ERASURE,
        ask=a_confirmation,
        spends=True,
    ),
    Row(
        "DELETE /auth/v1/erasures/{erasure}",
        AGENTS | ADMINS,
        ok=204,
        thing=Thing.ERASURE,
        spends=True,
    ),
    # None of these tenants is gone: everybody is told that there is nothing.
    Row(
        "GET /auth/v1/tenants/{tenant}/shred-certificate",
        EVERYBODY,
        ok=404,
        thing=Thing.TENANT,
        shared=True,
    ),
    Row(
        "POST /auth/v1/customer-searches",
        AGENTS,
        thing=Thing.CONTRACT,
        absent=200,  # nobody found: the same as for a number that belongs to nobody
        ask=a_search,
    ),
    Row(
        "POST /auth/v1/credentials/{credential}/reissue",
        KEEPERS,
        thing=Thing.SPARE_CREDENTIAL,
    ),
    Row(
        "POST /auth/v1/credentials/{credential}/state",
        KEEPERS,
        thing=Thing.SPARE_CREDENTIAL,
        ask=a_state,
    ),
    Row(
        "POST /auth/v1/credentials/{credential}/letter",
        KEEPERS,
        thing=Thing.SPARE_CREDENTIAL,
        ask=a_letter,
        spends=True,
    ),
    Row(
        "GET /auth/v1/recordings/{recording}/objection",
        AGENTS | ADMINS,
        thing=Thing.RECORDING,
    ),
    Row(
        "DELETE /auth/v1/recordings/{recording}/objection",
        AGENTS | ADMINS,
        thing=Thing.RECORDING,
    ),
)

AUTH_INSIDE = (
    Row(
        "POST /auth/internal/v1/issues",
        frozenset({Who.INGEST}),
        ok=201,
        thing=Thing.PARTNER,
        ask=an_issue,
    ),
    Row(
        "POST /auth/internal/v1/issues/{recording}/answer",
        frozenset({Who.INGEST}),
        thing=Thing.RECORDING,
        ask=a_kept_answer,
    ),
    Row(
        "POST /auth/internal/v1/manifests",
        frozenset({Who.INGEST}),
        thing=Thing.PARTNER,
        ask=a_day,
    ),
    Row(
        "POST /auth/internal/v1/blobs/known",
        frozenset({Who.INGEST}),
        thing=Thing.BLOB,
        shared=True,
        absent=200,
        ask=blob_names,
    ),
    Row(
        "GET /auth/internal/v1/recordings/{recording}",
        frozenset({Who.INGEST}),
        thing=Thing.RECORDING,
        ask=of_partner,
    ),
    Row(
        "POST /auth/internal/v1/hearable",
        frozenset({Who.PLAYBACK}),
        thing=Thing.CREDENTIAL,
        ask=care_listing,
        on_behalf_of=Who.CARE,
        bearer_matters=True,
    ),
    Row(
        "POST /auth/internal/v1/hearings",
        frozenset({Who.PLAYBACK}),
        thing=Thing.RECORDING,
        ask=a_recording,
        bearer_matters=True,
    ),
    Row(
        "POST /auth/internal/v1/papers",
        frozenset({Who.PLAYBACK}),
        thing=Thing.RECORDING,
        ask=some_papers,
        bearer_matters=True,
    ),
    Row(
        "POST /auth/internal/v1/recordings/{recording}/objection",
        frozenset({Who.PLAYBACK}),
        thing=Thing.RECORDING,
        bearer_matters=True,
    ),
    Row(
        "POST /auth/internal/v1/telephone-logins",
        frozenset({Who.PLAYBACK}),
        ok=201,
        thing=Thing.LETTER,
        shared=True,  # whoever calls may key any ID, and learns nothing
        absent=201,
        ask=an_id_keyed,
    ),
    Row(
        "POST /auth/internal/v1/telephone-logins/{login_id}/pin",
        frozenset({Who.PLAYBACK}),
        ok=201,
        thing=Thing.LOGIN,
        absent=401,
        ask=a_pin_keyed,
        spends=True,
        # A login belongs to the call it was begun in.
        positions=NO_FOREIGN,
    ),
    Row(
        "POST /auth/internal/v1/telephone-logins/{login_id}/answer",
        frozenset({Who.PLAYBACK}),
        ok=201,
        thing=Thing.ASKED_LOGIN,
        absent=401,
        ask=an_answer_keyed,
        spends=True,
        positions=NO_FOREIGN,
    ),
    Row(
        "DELETE /auth/internal/v1/telephone-sessions/current",
        frozenset({Who.PLAYBACK}),
        ok=204,
        on_behalf_of=Who.CALLER,
        spends=True,
    ),
    Row(
        "POST /auth/internal/v1/releases",
        frozenset({Who.PLAYBACK}),
        ok=201,
        thing=Thing.RECORDING,
        ask=a_release,
        bearer_matters=True,
    ),
    Row(
        "POST /auth/internal/v1/releases/{release_id}/renewals",
        frozenset({Who.PLAYBACK}),
        thing=Thing.RELEASE,
        ask=a_renewal,
        bearer_matters=True,  # playback need not pass one on, but if it does, then its holder's
    ),
    Row(
        "POST /auth/internal/v1/releases/{release_id}/end",
        frozenset({Who.PLAYBACK}),
        ok=204,
        thing=Thing.RELEASE,
        shared=True,  # playback ends what it began, long after a session was over
        absent=204,
        ask=an_end,
        spends=True,
    ),
)

AUDIT = (
    Row("GET /audit/v1/openapi.json", EVERYBODY),
    Row("GET /audit/v1/logs/{log}/checkpoint", EVERYBODY, thing=Thing.LOG, shared=True),
    # No witness cosigns for these vaults: everybody is told that there is nothing.
    Row(
        "GET /audit/v1/logs/{log}/checkpoint/cosigned",
        EVERYBODY,
        ok=404,
        thing=Thing.LOG,
        shared=True,
    ),
    Row("GET /audit/v1/logs/{log}/timestamps", EVERYBODY, thing=Thing.LOG, shared=True),
    Row("GET /audit/v1/logs/{log}/key", EVERYBODY, thing=Thing.LOG, shared=True),
    Row(
        "GET /audit/v1/logs/{log}/tile/{tile}",
        EVERYBODY,
        thing=Thing.LOG,
        shared=True,
        ask=a_tile,
    ),
    Row(
        "GET /audit/v1/logs/{log}/entries",
        AUDITORS | OPERATORS,
        thing=Thing.LOG,
        ask=a_page,
        shown=without_refusals,
    ),
    Row(
        "GET /audit/v1/logs/{log}/deeds",
        AUDITORS | OPERATORS,
        thing=Thing.LOG,
        ask=a_page,
        shown=without_refusals,
    ),
    Row(
        "GET /audit/v1/logs/{log}/export",
        AUDITORS | OPERATORS,
        thing=Thing.LOG,
        ask=a_role,
    ),
    Row(
        "GET /audit/v1/recordings/{recording_id}/deeds",
        AUDITORS,
        thing=Thing.RECORDING,
    ),
    Row(
        "GET /audit/internal/v1/recordings/{recording_id}/hearings",
        frozenset({Who.AUTH}),
        thing=Thing.RECORDING,
        absent=200,  # nobody heard it
        ask=of_tenant,
    ),
    Row(
        "GET /audit/internal/v1/recordings/{recording_id}/papers",
        frozenset({Who.AUTH}),
        thing=Thing.RECORDING,
        ask=of_tenant,
    ),
    Row("GET /audit/v1/recordings/{recording_id}/proof", PROVERS, thing=Thing.RECORDING),
    Row("GET /audit/internal/v1/appendable", frozenset({Who.AUTH})),
)

INGEST = (
    Row("GET /ingest/v1/openapi.json", EVERYBODY),
    Row("GET /ingest/v1/changes", PARTNERS),
    # Nobody here has a day behind them: the route finds none, for whoever may ask.
    Row("GET /ingest/v1/manifests", PARTNERS, ok=404, ask=a_day_that_is_over),
    Row("GET /ingest/v1/recordings/{recording_id}", PARTNERS, thing=Thing.RECORDING),
    Row("POST /ingest/v1/recordings", PARTNERS, ok=201, ask=an_upload),
    Row("POST /ingest/v1/recordings", PARTNERS, ok=201, thing=Thing.JOINABLE, ask=a_join),
)

LISTENERS = CUSTOMERS | AGENTS
PLAYBACK = (
    Row("GET /playback/v1/openapi.json", EVERYBODY),
    Row(
        "GET /playback/v1/recordings",
        LISTENERS,
        thing=Thing.CREDENTIAL,
        ask=credential_query,
        indifferent=CUSTOMERS,
    ),
    Row("GET /playback/v1/recordings/{recording_id}/audio", LISTENERS, thing=Thing.RECORDING),
    Row("GET /playback/v1/recordings/{recording_id}/peaks", LISTENERS, thing=Thing.RECORDING),
    Row("GET /playback/v1/recordings/{recording_id}/evidence", LISTENERS, thing=Thing.RECORDING),
    Row("GET /playback/v1/recordings/{recording_id}/hearings", CUSTOMERS, thing=Thing.RECORDING),
)
PLAYBACK_INSIDE = (
    Row("POST /playback/internal/v1/telephone", frozenset({Who.EDGE}), ask=a_call),
    # What may be fetched is told to the edge in the call itself: nobody here has been told.
    Row(
        "GET /playback/internal/v1/telephone/sounds/{call_id}/{file}",
        frozenset({Who.EDGE}),
        ok=404,
        thing=Thing.RECORDING,
        ask=a_sound,
    ),
)

# Apart there are backups. In one process nobody is named here whom a dump could be sealed to.
DUMPS = (
    *(
        Row(
            f"POST /{path}",
            frozenset({Who.BACKUP}),
            ok=200 if APART else 409,
            counts_by_tenant=True,
        )
        for path in (
            "auth/internal/v1/dumps",
            "auth/internal/v1/key-backups",
            "ingest/internal/v1/dumps",
            "playback/internal/v1/dumps",
            "audit/internal/v1/dumps",
        )
    ),
    # Nobody drills here.
    Row("POST /ingest/internal/v1/canaries", frozenset({Who.BACKUP}), ok=409),
)

TABLE = {
    "auth": AUTH,
    "auth, inside": AUTH_INSIDE,
    "audit": AUDIT,
    "ingest": INGEST,
    "playback": PLAYBACK,
    "playback, inside": PLAYBACK_INSIDE,
    "dumps": DUMPS,
}
