"""Each way an upload can be wrong has an answer of its own, and none of them stores anything."""

import json

import pytest
from tests.services.ingest.stand import (
    BOUNDARY,
    METADATA,
    PARTNER,
    TENANT,
    audio_part,
    body_of,
    metadata_part,
    new_key,
    part,
    pieces,
    speech,
    standing,
)

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.ingest.media.errors import (
    AudioTooLong,
    BrokenAudio,
    DecodeLimitExceeded,
    DecoderUnavailable,
    EmptyAudio,
    Reason,
    TooManyChannels,
)

SAID = metadata_part(METADATA)
SOUND = audio_part(speech(0.1))


def slug(answer):
    return answer.json()["type"].removeprefix("urn:voicefile:problem:")


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (body_of(SOUND, SAID), 400, "part-out-of-order"),
        (body_of(SAID), 400, "part-missing"),
        (body_of(SOUND), 400, "part-out-of-order"),
        (body_of(), 400, "part-missing"),
        (body_of(SAID, SAID), 400, "part-duplicate"),
        (body_of(SAID, SOUND, SOUND), 400, "part-duplicate"),
        (body_of(SAID, SOUND, SAID), 400, "part-duplicate"),
        (body_of(SAID, SOUND, part("more", b"x", None)), 400, "part-unknown"),
        (body_of(SAID, part("more", b"x", None), SOUND), 400, "part-unknown"),
        (body_of(part("Metadata", b"{}", None), SOUND), 400, "part-unknown"),
        (body_of(SAID, SOUND, end=False), 400, "upload-truncated"),
        (body_of(SAID, SOUND)[:-8], 400, "upload-truncated"),
        (b"", 400, "upload-truncated"),
        (b"no boundary anywhere", 400, "upload-malformed"),
        (body_of(part("metadata", b"{}", "text/plain"), SOUND), 415, "part-type-wrong"),
        (body_of(SAID, part("audio", b"x", "text/html")), 415, "part-type-wrong"),
        (body_of(SAID, part("audio", b"not sound", None)), 415, "unrecognised-audio"),
        (body_of(SAID, part("audio", b"", None)), 422, "empty-audio"),
        (body_of(metadata_part(b"{" + b" " * 70_000), SOUND), 413, "metadata-too-large"),
        (body_of(metadata_part(b"{"), SOUND), 422, "metadata-invalid"),
        (body_of(metadata_part(b""), SOUND), 422, "metadata-invalid"),
        (body_of(metadata_part({}), SOUND), 422, "consent-missing"),
    ],
)
async def test_a_wrong_body_is_told_what_is_wrong(stand, body, status, expected):
    answer = await stand.post(pieces(body, 1000))
    assert (answer.status_code, slug(answer)) == (status, expected)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await stand.names() == set()
    assert stand.auth.asked == []


@pytest.mark.parametrize(
    ("header", "status", "expected"),
    [
        (None, 415, "not-multipart"),
        ("application/json", 415, "not-multipart"),
        ("multipart/form-data", 400, "boundary-unfit"),
        (f"multipart/form-data; boundary={'x' * 300}", 400, "boundary-unfit"),
        (f"multipart/form-data; boundary={BOUNDARY}; boundary=x", 400, "upload-malformed"),
    ],
)
async def test_a_wrong_content_type_is_told(stand, header, status, expected):
    answer = await stand.post(body_of(SAID, SOUND), **{"Content-Type": header})
    assert (answer.status_code, slug(answer)) == (status, expected)


async def test_a_missing_key_is_told(stand):
    answer = await stand.post(body_of(SAID, SOUND), **{"Idempotency-Key": None})
    assert (answer.status_code, slug(answer)) == (400, "idempotency-key-invalid")


async def test_two_keys_are_none(stand):
    headers = [
        ("Authorization", "Bearer partner"),
        ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}"),
        ("Idempotency-Key", new_key()),
        ("Idempotency-Key", new_key()),
    ]
    answer = await stand.client.post(
        "/ingest/v1/recordings", content=body_of(SAID, SOUND), headers=headers
    )
    assert slug(answer) == "idempotency-key-invalid"


async def test_too_much_audio_is_refused_while_it_comes(tmp_path):
    async with standing(
        tmp_path / "i.db", blobs=MemoryBlobStore(), upload_bytes_max=100_000
    ) as stand:
        await stand.learn()
        for length, status in ((100_000, 415), (100_001, 413)):
            body = body_of(SAID, part("audio", bytes(length), None))
            answer = await stand.post(pieces(body))
            assert answer.status_code == status
        assert slug(answer) == "upload-too-large"
        assert await stand.names() == set()


async def test_too_much_is_refused_by_its_announcement(tmp_path):
    async with standing(tmp_path / "i.db", blobs=MemoryBlobStore(), upload_bytes_max=1000) as stand:
        await stand.learn()
        answer = await stand.post(body_of(SAID, part("audio", bytes(10**6), None)))
        assert (answer.status_code, slug(answer)) == (413, "upload-too-large")


@pytest.mark.parametrize(
    ("changes", "status", "expected"),
    [
        ({"consent": None}, 422, "consent-missing"),
        ({"consent": {}}, 422, "consent-missing"),
        ({"consent": {**METADATA["consent"], "method": None}}, 422, "metadata-invalid"),
        ({"sensitive": True}, 422, "question-missing"),
        ({"scope": {"department": "nowhere"}}, 422, "unknown-scope"),
        ({"scope": {"department": "closed"}}, 403, "recording-not-allowed"),
        ({"retention_class": "for-ever"}, 422, "unknown-retention-class"),
    ],
)
async def test_wrong_metadata_is_told(stand, changes, status, expected):
    answer = await stand.upload(**changes)
    assert (answer.status_code, slug(answer)) == (status, expected)
    assert await stand.names() == set()
    assert stand.auth.asked == []


async def test_somebody_elses_department_is_as_unknown_as_none(stand):
    answers = [
        await stand.upload(token="bound", scope={"department": where})
        for where in ("closed", "nowhere")
    ]
    assert answers[0].content == answers[1].content
    assert slug(answers[0]) == "unknown-scope"


async def test_errors_name_fields_and_never_values(stand):
    secret = "Zwickelhuber 4711"
    answer = await stand.upload(
        customer={"name": "x" * 300 + secret, "phone": secret, secret: secret},
        question={"kind": secret, "answer": secret},
        recorded_at=secret,
        language=secret,
    )
    assert slug(answer) == "metadata-invalid"
    fields = {error["field"] for error in answer.json()["errors"]}
    assert {"customer.name", "customer.phone", "question.kind", "recorded_at"} <= fields
    assert "Zwickel" not in answer.text
    assert "4711" not in answer.text


async def test_a_closed_tenant_takes_nothing(stand):
    await stand.learn(TENANT, version=2, open=False)
    answer = await stand.upload()
    assert (answer.status_code, slug(answer)) == (403, "tenant-closed")


async def test_a_tenant_without_recording_takes_nothing(stand):
    await stand.learn(TENANT, version=2, recording_allowed=False)
    assert slug(await stand.upload()) == "recording-not-allowed"


async def test_a_tenant_nobody_told_us_of_is_asked_to_wait(tmp_path):
    async with standing(tmp_path / "i.db", blobs=MemoryBlobStore()) as stand:
        answer = await stand.upload()
        assert (answer.status_code, slug(answer)) == (503, "tenant-not-yet-known")
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("failure", "status", "expected", "reason"),
    [
        (BrokenAudio(Reason.DOES_NOT_DECODE), 422, "broken-audio", "does-not-decode"),
        (EmptyAudio(), 422, "empty-audio", "no-samples"),
        (AudioTooLong(), 422, "audio-too-long", "too-long"),
        (TooManyChannels(), 422, "too-many-channels", "too-many-channels"),
        (DecodeLimitExceeded(Reason.MEMORY), 422, "decode-limit", "memory"),
        (DecoderUnavailable(), 503, "decoder-unavailable", None),
    ],
)
async def test_what_the_decoder_refuses_is_told_with_its_reason(
    stand, failure, status, expected, reason
):
    stand.decoders.failure = failure
    answer = await stand.upload()
    assert (answer.status_code, slug(answer)) == (status, expected)
    assert answer.json().get("reason") == reason
    assert await stand.names() == set()


async def test_no_place_is_told_and_frees_the_key(tmp_path):
    async with standing(
        tmp_path / "i.db", blobs=MemoryBlobStore(), uploads_max=1, upload_queue_s=0.01
    ) as stand:
        await stand.learn()
        async with stand.desk.places.taken(PARTNER, wait_s=1):
            key = new_key()
            answer = await stand.upload(key=key)
            assert (answer.status_code, slug(answer)) == (503, "busy")
            assert int(answer.headers["retry-after"]) > 0
        assert (await stand.upload(key=key)).status_code == 201


async def test_the_interface_tells_the_form_of_an_upload(stand):
    answer = await stand.client.get("/ingest/v1/openapi.json")
    post = answer.json()["paths"]["/v1/recordings"]["post"]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["metadata", "audio"]
    assert "$defs" not in json.dumps(form)
