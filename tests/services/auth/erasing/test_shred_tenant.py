"""Closing a tenant: back within its days, and then gone for good, but for what it signed."""

import base64

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.services.auth.erasing.test_hold import hold, lift
from tests.services.auth.erasing.test_two_persons import person
from tests.services.auth.issuing_world import an_auth, slug

from voicefile.auth.erasing.metrics import tenants_waiting
from voicefile.auth.erasing.shred_tenant import shred_tenants
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.store import ACCESS, DIRECTORY, PRINCIPALS, TENANTS
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.crypto.errors import UnknownKey
from voicefile.deeds.deed import Actor

DAY_S = 86_400
WRITES = 7
"""Of shredding a tenant with one recording: its slip, the directory, the last of the customer, its
remains, the partner, the certificate, the tenant."""


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


async def closed(vault, partner):
    return await close_tenant(partner.tenant, by=Actor.service(), ports=vault.ports)


async def test_two_admins_close_their_tenant_and_either_brings_it_back(vault, partner):
    first = await person(vault, partner.tenant, "tenant_admin", "boss")
    second = await person(vault, partner.tenant, "tenant_admin", "deputy")
    said = await vault.issued(partner)
    asked = (await first.ask(tenant_id=partner.tenant)).json()
    assert slug(await first.confirm(asked["erasure_id"], partner.tenant[:8])) == (
        "second-person-required"
    )
    done = (await second.confirm(asked["erasure_id"], partner.tenant[:8])).json()
    assert (done["what"], done["delete_on"]) == ("tenant", "2027-04-15")
    told = (await first.call("GET", "/v1/tenant")).json()
    assert (told["open"], told["delete_on"]) == (False, "2027-04-15")
    assert slug(await vault.issue(partner)) == "tenant-closed"
    vault.clock.s += 90 * DAY_S - 8 * 3_600 - 1
    assert await shred_tenants(vault.ports) == 0
    assert (await first.call("POST", "/v1/tenant/restoration")).status_code == 204
    vault.clock.s += 30 * DAY_S
    assert await shred_tenants(vault.ports) == 0
    assert (await vault.issue(partner)).status_code == 201
    stored = await vault.credential(partner, said["recording_id"])
    assert stored.record.recordings[0].state == "playable"
    (deed,) = await vault.deeds("TENANT_CLOSED")
    assert (deed.actor, deed.related_id) == (second.id, asked["erasure_id"])


async def test_on_its_day_it_can_not_come_back(vault, partner):
    admin = await person(vault, partner.tenant, "tenant_admin", "boss")
    await closed(vault, partner)
    vault.clock.s += 90 * DAY_S
    refused = await admin.call("POST", "/v1/tenant/restoration")
    assert slug(refused) == "change-not-possible"


async def test_nothing_of_it_is_left_but_what_its_certificates_need(vault, partner):
    other = await vault.partner(await vault.tenant("boreal.example"))
    kept = await vault.issued(other)
    gone = [(await vault.issued(partner))["recording_id"] for _ in range(3)]
    admin = await person(vault, partner.tenant, "tenant_admin", "boss")
    await admin.ask(recording_id=gone[0])
    keys = (await vault.call("GET", f"/v1/tenants/{partner.tenant}/receipt-keys")).json()
    await closed(vault, partner)
    vault.clock.s += 90 * DAY_S
    assert await shred_tenants(vault.ports) == 1
    for collection in (ACCESS, DIRECTORY, PRINCIPALS, TENANTS):
        left = await vault.docs.scan(collection, limit=1000)
        assert {document.tenant for document in left} <= {other.tenant}, collection.name
    with pytest.raises(UnknownKey):
        await vault.custody.namespace(partner.tenant)
    # The other tenant is as it was, and the domain is free again.
    stored = await vault.credential(other, kept["recording_id"])
    assert stored.record.recordings[0].state == "playable"
    await vault.tenant()
    assert (await vault.call("GET", f"/v1/tenants/{partner.tenant}/receipt-keys")).json() == keys
    answer = await vault.call("GET", f"/v1/tenants/{partner.tenant}/shred-certificate")
    certificate = answer.json()["certificate"]
    public = base64.urlsafe_b64decode(keys["keys"][0]["x"] + "=")
    claims = jwt.decode(
        certificate, Ed25519PublicKey.from_public_bytes(public), algorithms=["EdDSA"]
    )
    assert (claims["what"], claims["tenant"]) == ("tenant", partner.tenant)
    assert (claims["why"], "recording_id" in claims) == ("tenant-closed", False)
    erased = [event for event in await vault.events() if event.HasField("tenant_erased")]
    assert [event.tenant_erased.tenant for event in erased] == [partner.tenant]
    assert claims["deed_id"] == erased[0].deed.deed_id
    told = {deed.object_id for deed in await vault.deeds("RECORDING_ERASED")}
    assert told == set(gone)
    assert await shred_tenants(vault.ports) == 0


async def test_a_hold_keeps_the_tenant_and_shows(vault, partner):
    held, free = [(await vault.issued(partner))["recording_id"] for _ in range(2)]
    await hold(vault, partner, held)
    await closed(vault, partner)
    vault.clock.s += 90 * DAY_S
    assert await shred_tenants(vault.ports) == 0
    assert tenants_waiting()._value.get() == 1
    states = {
        each: (await vault.credential(partner, each)).record.recordings[0].state
        for each in (held, free)
    }
    assert states == {held: "held", free: "erased"}
    await lift(vault, partner, held)
    assert await shred_tenants(vault.ports) == 1
    assert tenants_waiting()._value.get() == 0


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("step", range(WRITES + 1))
async def test_killed_anywhere_the_next_round_goes_on(tmp_path, step):
    """Each write that shredding makes is the last one of a killed process once."""
    left = [None]

    class Fuse:
        def __init__(self, store):
            self._store = store

        def __getattr__(self, name):
            operation = getattr(self._store, name)
            if name not in {"replace", "insert", "delete"}:
                return operation

            async def fused(*args, **how):
                if left[0] is not None:
                    if left[0] == 0:
                        raise Killed
                    left[0] -= 1
                return await operation(*args, **how)

            return fused

    async with an_auth(tmp_path, wrap_store=Fuse) as vault:
        partner = await vault.partner(await vault.tenant())
        await vault.issued(partner)
        await closed(vault, partner)
        vault.clock.s += 90 * DAY_S
        left[0] = step
        try:
            await shred_tenants(vault.ports)
            died = False
        except (Killed, BaseExceptionGroup):
            died = True
        left[0] = None
        assert died == (step < WRITES)
    async with an_auth(tmp_path, clock=vault.clock) as again:
        done = await shred_tenants(again.ports)
        assert done == (1 if died else 0)
        assert await again.docs.scan(TENANTS) == []
        assert await again.docs.scan(ACCESS) == []
        answer = await again.call("GET", f"/v1/tenants/{partner.tenant}/shred-certificate")
        assert answer.status_code == 200
        told = [event for event in await again.events() if event.HasField("tenant_erased")]
        assert len(told) == 1


async def test_rotation_goes_on_without_it(vault, partner):
    await vault.issued(partner)
    other = await vault.partner(await vault.tenant("boreal.example"))
    await vault.issued(other)
    await closed(vault, partner)
    vault.clock.s += 90 * DAY_S
    await shred_tenants(vault.ports)
    await rotate(vault.ports)
    vault.clock.s += vault.settings.epoch_grace_s + 1
    assert (await rotate(vault.ports)).epochs_destroyed == 1
