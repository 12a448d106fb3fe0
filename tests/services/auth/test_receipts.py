"""Receipts: anybody can check one, without our code, years later."""

import base64
import hashlib
import json

import jwt
import pytest
from msgspec.structs import replace
from tests.services.auth.issuing_world import DEPLOYMENT, Upload, an_auth, metadata

from voicefile.auth.keys.signing_keys import published_keys
from voicefile.auth.store import RecordingState, Slip
from voicefile.translog.origin import origin_of


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


async def published(vault, tenant):
    answer = await vault.call("GET", f"/v1/tenants/{tenant}/receipt-keys")
    return jwt.PyJWKSet.from_dict(answer.json())


async def verified(vault, tenant, receipt):
    key = (await published(vault, tenant))[jwt.get_unverified_header(receipt)["kid"]]
    return jwt.decode(receipt, key, algorithms=["EdDSA"])


async def test_a_receipt_verifies_with_a_library_that_is_not_ours(vault, partner):
    upload = Upload(partner)
    answer = (await vault.issue(partner, upload)).json()
    claims = await verified(vault, partner.tenant, answer["receipt"])
    said = metadata()
    parts = json.dumps(said["contract_parts"], separators=(",", ":"), ensure_ascii=False)
    consent = json.dumps(said["consent"], separators=(",", ":"), sort_keys=True)
    salt = claims.pop("salt")
    assert len(base64.urlsafe_b64decode(salt + "=")) == 32
    assert claims == {
        "v": 1,
        "iss": DEPLOYMENT,
        "tenant": partner.tenant,
        "recording_id": upload.recording,
        "log": origin_of(DEPLOYMENT, partner.tenant),
        "stored_at": "2027-01-15T08:00:00.000Z",
        "audio_sha256": upload.body["media"]["sha256"],
        "contract_parts_sha256": hashlib.sha256(parts.encode()).hexdigest(),
        "consent_sha256": hashlib.sha256(consent.encode()).hexdigest(),
        "sensitive": False,
    }
    assert jwt.get_unverified_header(answer["receipt"])["typ"] == "voicefile-receipt+jwt"


async def test_the_log_vouches_for_exactly_this_string(vault, partner):
    answer = await vault.issued(partner)
    (deed,) = await vault.deeds("ACCESS_ISSUED")
    assert deed.commitment == hashlib.sha256(answer["receipt"].encode()).digest()


async def test_equal_recordings_have_unlike_commitments(vault, partner):
    await vault.issued(partner)
    await vault.issued(partner)
    one, other = await vault.deeds("ACCESS_ISSUED")
    assert one.commitment != other.commitment


async def test_a_changed_receipt_does_not_verify(vault, partner):
    receipt = (await vault.issued(partner))["receipt"]
    head, claims, signature = receipt.split(".")
    edited = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    edited["sensitive"] = True
    forged = base64.urlsafe_b64encode(json.dumps(edited).encode()).rstrip(b"=").decode()
    with pytest.raises(jwt.InvalidSignatureError):
        await verified(vault, partner.tenant, f"{head}.{forged}.{signature}")


async def test_another_tenants_keys_do_not_verify_it(vault, partner):
    receipt = (await vault.issued(partner))["receipt"]
    with pytest.raises(KeyError):
        await verified(vault, await vault.tenant("borealis.example"), receipt)


async def test_an_access_token_is_no_receipt_and_a_receipt_no_token(vault, partner):
    receipt = (await vault.issued(partner))["receipt"]
    answer = await vault.call("GET", "/v1/tenant", token=receipt)
    assert answer.status_code == 401


async def test_the_log_says_with_which_key_a_tenants_receipts_are_signed(vault, partner):
    (deed,) = await vault.deeds("TENANT_OPENED")
    ((kid, public),) = await published_keys(partner.tenant, ports=vault.ports)
    told = b"voicefile/receipt-key\x00" + kid.encode() + public
    assert deed.commitment == hashlib.sha256(told).digest()


async def test_keys_of_an_unknown_tenant_are_missing(vault):
    answer = await vault.call("GET", f"/v1/tenants/{'0' * 32}/receipt-keys")
    assert answer.status_code == 404


async def test_the_partner_reads_its_receipt_again(vault, partner):
    answer = await vault.issued(partner)
    status = await vault.call(
        "GET",
        f"/internal/v1/recordings/{answer['recording_id']}",
        params={"tenant": partner.tenant, "partner": partner.id},
        peer="ingest",
    )
    told = status.json()
    assert told["receipt"] == answer["receipt"]
    assert (told["state"], told["letter"]) == ("playable", "wanted")
    assert told["delete_on"] == "2037-01-12"


async def test_foreign_and_missing_recordings_are_the_same_404(vault, partner):
    answer = await vault.issued(partner)
    other = await vault.partner(partner.tenant)
    stranger = await vault.partner(await vault.tenant("borealis.example"))
    told = set()
    for who, recording in (
        (other, answer["recording_id"]),
        (stranger, answer["recording_id"]),
        (partner, "0" * 32),
    ):
        status = await vault.call(
            "GET",
            f"/internal/v1/recordings/{recording}",
            params={"tenant": who.tenant, "partner": who.id},
            peer="ingest",
        )
        assert status.status_code == 404
        told.add(status.content)
    assert len(told) == 1


async def test_an_erased_recording_shows_no_receipt(vault, partner):
    answer = await vault.issued(partner)
    stored = await vault.credential(partner, answer["recording_id"])
    (recording,) = stored.record.recordings
    erased = replace(recording, state=RecordingState.ERASED, slip=Slip("", b""), details=b"")
    await vault.ports.access.of(partner.tenant).replace(
        stored, replace(stored.record, recordings=(erased,))
    )
    status = await vault.call(
        "GET",
        f"/internal/v1/recordings/{recording.id}",
        params={"tenant": partner.tenant, "partner": partner.id},
        peer="ingest",
    )
    assert (status.json()["state"], status.json()["receipt"]) == ("erased", None)


async def test_the_sweeper_learns_which_blobs_have_an_owner(vault, partner):
    upload = Upload(partner)
    await vault.issue(partner, upload)
    owned = [blob["name"] for blob in upload.body["blobs"].values()]
    answer = await vault.call(
        "POST", "/internal/v1/blobs/known", json={"names": [*owned, "0" * 32]}, peer="ingest"
    )
    assert sorted(answer.json()["known"]) == sorted(owned)
