"""One voice file comes in: sealed on its way, issued once, and told to those who need to know."""

import json

from tests.services.ingest.fake_auth import FakeAuth
from tests.services.ingest.fake_decoder import wav
from tests.services.ingest.stand import METADATA, TENANT, new_key, speech

from voicefile.contracts.deed.v1 import Action, Outcome, Role


async def test_an_upload_is_answered_with_id_pin_and_receipt(stand):
    answer = await stand.upload()
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert set(said) == {
        "recording_id", "state", "access_id", "pin", "question_kind", "duration_ms", "sha256",
        "receipt",
    }  # fmt: skip
    assert said["state"] == "playable"
    assert answer.headers["location"] == f"/ingest/v1/recordings/{said['recording_id']}"


async def test_what_was_sent_opens_with_the_key_auth_was_given(stand):
    audio = speech(9)
    said = (await stand.upload(audio)).json()
    assert await stand.heard(said["recording_id"], "original") == audio
    assert await stand.heard(said["recording_id"], "telephone") == audio
    peaks = json.loads(await stand.heard(said["recording_id"], "peaks"))
    assert peaks["peaks_per_second"] == 20


async def test_nothing_of_the_sound_is_stored_in_clear(stand):
    audio = speech(2)
    await stand.upload(audio)
    for name in await stand.names():
        sealed = await stand.blobs.read(name, 0, 10**9)
        assert audio[1000:1032] not in sealed
        assert sealed[:4] == b"VFE1"


async def test_sizes_at_rest_tell_chunks_and_not_bytes(stand):
    sizes = set()
    for seconds in (0.1, 0.2, 0.3):
        said = (await stand.upload(speech(seconds))).json()
        kept = stand.auth.issued[said["recording_id"]]
        sizes.add(kept["blobs"]["original"]["sealed_bytes"])
    assert len(sizes) == 1


async def test_the_deed_and_the_fact_travel_in_the_mark(stand):
    answer = await stand.upload()
    said = answer.json()
    (event,) = await stand.events()
    assert event.deed.action == Action.ACTION_RECORDING_STORED
    assert (event.deed.actor, event.deed.role) == ("11" * 16, Role.ROLE_PARTNER)
    assert event.deed.request_id == answer.headers["voicefile-request-id"]
    assert event.recording_stored.recording_id == said["recording_id"]
    assert set(event.recording_stored.blobs) == stand.auth.owned()


async def test_a_silent_recording_is_stored_and_quarantined(stand):
    said = (await stand.upload(wav(b"\0" * 16_000))).json()
    assert said["state"] == "quarantined"
    assert stand.auth.issued[said["recording_id"]]["findings"] == ["silent"]


async def test_auth_gets_the_metadata_as_it_was_validated(stand):
    said = (
        await stand.upload(
            sensitive=True,
            question={"kind": "iban_last4", "answer": "0815"},
            scope={"department": "sales"},
            retention_class="contract",
            contract_parts=["tariff", "device"],
        )
    ).json()
    told = stand.auth.issued[said["recording_id"]]["metadata"]
    assert told["scope"] == {"department": "sales"}
    assert told["question"] == {"kind": "iban_last4", "answer": "0815"}
    assert said["question_kind"] == "iban_last4"


async def test_a_joins_answer_has_no_pin(stand):
    said = (await stand.upload(sensitive=True, join_access_id="1234-5678-9012")).json()
    assert "pin" not in said
    assert "sealed_pin" not in said


async def test_a_partner_bound_to_a_department_uploads_into_it(stand):
    said = (await stand.upload(token="bound")).json()
    assert stand.auth.issued[said["recording_id"]]["metadata"]["scope"]["department"] == "sales"


async def test_only_partners_bring_recordings(stand):
    assert (await stand.upload(token="agent")).status_code == 403
    assert (await stand.upload(token="nobody")).status_code == 401
    [told] = await stand.events()
    assert told.deed.action == Action.ACTION_DOOR_REFUSED


async def test_an_epoch_that_retired_meanwhile_is_sealed_to_anew(stand):
    stand.auth.retire()
    audio = speech()
    answer = await stand.upload(audio)
    assert answer.status_code == 201
    assert await stand.heard(answer.json()["recording_id"], "original") == audio
    assert stand.auth.asked == ["issue", "issue"]


async def test_a_key_without_auths_signature_is_never_sealed_to(stand):
    await stand.desk.tenants.learn(FakeAuth().published(TENANT, version=2))
    answer = await stand.upload()
    assert answer.status_code == 503
    assert answer.json()["type"].endswith("sealing-key-refused")
    assert await stand.names() == set()


async def test_an_epoch_named_by_a_forger_gets_no_key(stand):
    stand.auth.retire()
    real = stand.auth.sealing_key
    stand.auth.sealing_key = lambda tenant: real("cc" * 16)
    answer = await stand.upload()
    assert answer.status_code == 503
    assert stand.auth.issued == {}
    assert await stand.names() == set()


async def test_a_refusal_is_a_deed_and_leaves_nothing(stand):
    answer = await stand.upload(consent=None)
    assert answer.status_code == 422
    (deed,) = await stand.deeds()
    assert (deed.action, deed.outcome) == (Action.ACTION_UPLOAD_REFUSED, Outcome.OUTCOME_REFUSED)
    assert deed.tenant == TENANT
    assert await stand.names() == set()


async def test_a_refused_key_may_be_used_again(stand):
    key = new_key()
    assert (await stand.upload(key=key, consent=None)).status_code == 422
    assert (await stand.upload(key=key)).status_code == 201


async def test_what_auth_refuses_leaves_nothing_either(stand):
    for slug, status in (
        ("tenant-closed", 403),
        ("recording-not-allowed", 403),
        ("unknown-access-id", 404),
        ("retention-required", 422),
        ("unknown-retention-class", 422),
        ("something-new", 422),
    ):
        stand.auth.refuse = (slug, status)
        answer = await stand.upload()
        expected = "upload-not-accepted" if slug == "something-new" else slug
        assert answer.json()["type"] == f"urn:voicefile:problem:{expected}"
        assert answer.status_code == status
    assert await stand.names() == set()
    assert len(await stand.deeds(Action.ACTION_UPLOAD_REFUSED)) == 6


async def test_the_deeds_of_an_instance_are_numbered_without_a_gap(stand):
    for changes in ({}, {"consent": None}, {}, {"sensitive": True}):
        await stand.upload(**changes)
    assert sorted(deed.n for deed in await stand.deeds()) == [1, 2, 3, 4]


async def test_the_idempotency_key_is_stored_nowhere(stand, tmp_path):
    key = new_key()
    await stand.upload(key=key)
    for path in tmp_path.iterdir():
        assert key.encode() not in path.read_bytes()


async def test_no_customer_data_is_stored(stand, tmp_path):
    await stand.upload(customer={"name": "Quirinius Zwickelhuber", "phone": "+49 30 99887766"})
    for path in tmp_path.iterdir():
        raw = path.read_bytes()
        assert b"Zwickelhuber" not in raw
        assert b"99887766" not in raw
        assert METADATA["contract_reference"].encode() not in raw
