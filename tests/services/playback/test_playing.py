"""What comes out over HTTP is the stored recording, byte for byte, at every border."""

import hashlib
import io
import json
import random
import secrets
import zipfile
from dataclasses import dataclass

import httpx
import pytest
from tests.libs.verify import log_world
from tests.services.playback.fake_auth import DEPLOYMENT, SESSION, TENANT, FakeAuth

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.names import new_blob_name
from voicefile.chassis.inprocess import in_process_client
from voicefile.contracts.deed.v1 import Action, Purpose
from voicefile.contracts.playback.v1 import PlaybackEvent
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.secret import DataKey
from voicefile.crypto.stream import CHUNK, seal
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.identity.guard import TELEPHONE_PREFIX
from voicefile.identity.ids import PrincipalId, TenantId
from voicefile.identity.principal import Principal, Role
from voicefile.identity.tokens import TokenRefused
from voicefile.playback.app import COLLECTIONS, build
from voicefile.playback.settings import PlaybackSettings

RECORDING = "ab" * 16
AUDIO = secrets.token_bytes(3 * CHUNK + 12_345)
TELEPHONE = secrets.token_bytes(CHUNK)
PEAKS = b'{"version":1,"peaks_per_second":20,"peaks":[]}'
AGENT = Principal(PrincipalId("cc" * 16), TenantId(TENANT), Role.CARE)


class Tokens:
    """Verifies exactly two tokens: a care agent's and a partner's."""

    async def verify(self, token):
        if token == "agent":
            return AGENT
        if token == "partner":
            return Principal(PrincipalId("dd" * 16), TenantId(TENANT), Role.PARTNER)
        raise TokenRefused


@dataclass
class Stand:
    client: httpx.AsyncClient
    auth: FakeAuth
    blobs: MemoryBlobStore
    store: SqliteDocStore

    async def audio(self, span=None, *, token=SESSION, query="", purpose=None):
        headers = {"Authorization": f"Bearer {token}"}
        headers |= {"Range": span} if span else {}
        headers |= {"Purpose": purpose} if purpose else {}
        return await self.client.get(
            f"/playback/v1/recordings/{RECORDING}/audio{query}", headers=headers
        )

    async def deeds(self):
        return [
            PlaybackEvent.FromString(event.payload).deed
            for _, document in await self.store.pending()
            for event in document.pending
        ]


async def one(data):
    yield data


@pytest.fixture
async def stand(tmp_path):
    key, blobs = DataKey.random(), MemoryBlobStore()
    named = {}
    for role, plain in (("original", AUDIO), ("telephone", TELEPHONE), ("peaks", PEAKS)):
        context = Context(DEPLOYMENT.encode(), TENANT, object_id(RECORDING, role), Kind.AUDIO)
        sealed = seal(key, context, plain, pad=True)
        name = new_blob_name()
        await blobs.put(name, one(sealed))
        named[role] = {"name": name, "sealed_bytes": len(sealed)}
    media = {
        "media_type": "audio/flac",
        "original_bytes": len(AUDIO),
        "telephone_bytes": len(TELEPHONE),
        "peaks_bytes": len(PEAKS),
    }
    auth = FakeAuth(RECORDING, key, named, media)
    store = await SqliteDocStore.open(tmp_path / "playback.db", COLLECTIONS)
    service = build(
        PlaybackSettings(),
        deployment=DEPLOYMENT,
        blobs=blobs,
        docs=store,
        bus=MemoryEventBus(),
        client=in_process_client({"/auth": auth.app()}, peer="playback"),
        tokens=Tokens(),
        on_failure=lambda error: None,
    )
    async with in_process_client({"/playback": service.public}) as client:
        yield Stand(client, auth, blobs, store)
    await store.close()


async def test_the_whole_recording_comes_out_bit_exact(stand):
    answer = await stand.audio()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/flac")
    assert answer.content == AUDIO


BORDERS = sorted(
    {
        max(0, min(len(AUDIO) - 1, border + off))
        for border in (0, CHUNK, 2 * CHUNK, 3 * CHUNK, len(AUDIO))
        for off in (-1, 0, 1)
    }
)


async def test_a_range_is_right_at_every_chunk_border(stand):
    for first in BORDERS:
        for last in (each for each in BORDERS if each >= first):
            answer = await stand.audio(f"bytes={first}-{last}")
            assert answer.status_code in (200, 206)
            assert answer.content == AUDIO[first : last + 1]
            if answer.status_code == 206:
                wanted = f"bytes {first}-{last}/{len(AUDIO)}"
                assert answer.headers["content-range"] == wanted


async def test_a_range_behind_the_end_is_refused(stand):
    answer = await stand.audio(f"bytes={len(AUDIO)}-")
    assert answer.status_code == 416
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_telephone_rendition_and_the_peaks_come_out_without_padding(stand):
    assert (await stand.audio(query="?rendition=telephone")).content == TELEPHONE
    headers = {"Authorization": f"Bearer {SESSION}"}
    peaks = await stand.client.get(f"/playback/v1/recordings/{RECORDING}/peaks", headers=headers)
    assert (peaks.content, peaks.headers["content-type"]) == (PEAKS, "application/json")


async def test_all_requests_of_a_session_are_one_release(stand):
    for _ in range(3):
        await stand.audio("bytes=0-10")
    assert len(stand.auth.releases) == 1


async def test_nobody_listens_while_deeds_can_not_be_recorded(stand):
    stand.auth.can_record = False
    answer = await stand.audio()
    assert answer.status_code == 503
    assert AUDIO[:64] not in answer.content


async def test_who_is_not_signed_in_hears_nothing(stand):
    assert (await stand.audio(token="vs_nobody")).status_code == 401


async def test_a_partner_hears_nothing(stand):
    assert (await stand.audio(token="partner", purpose="quality")).status_code == 403


async def test_a_care_agent_needs_a_known_purpose(stand):
    assert (await stand.audio(token="agent")).status_code == 422
    assert (await stand.audio(token="agent", purpose="curious")).status_code == 422
    assert stand.auth.releases == []
    assert (await stand.audio(token="agent", purpose="complaint")).content == AUDIO


async def test_a_foreign_recording_and_a_missing_one_answer_the_same_bytes(stand):
    headers = {"Authorization": f"Bearer {SESSION}"}
    answers = [
        await stand.client.get(f"/playback/v1/recordings/{each}/audio", headers=headers)
        for each in ("12" * 16, "34" * 16)
    ]
    assert {each.status_code for each in answers} == {404}
    assert answers[0].content == answers[1].content


async def test_a_download_is_recorded_with_its_purpose_before_the_file_leaves(stand):
    answer = await stand.audio(token="agent", purpose="dispute", query="?download=true")
    assert answer.headers["content-disposition"] == 'attachment; filename="recording.flac"'
    [deed] = [
        each for each in await stand.deeds() if each.action == Action.ACTION_RECORDING_DOWNLOADED
    ]
    assert (deed.object_id, deed.actor) == (RECORDING, AGENT.id)
    assert deed.purpose == Purpose.PURPOSE_DISPUTE


async def test_a_changed_blob_is_refused_and_recorded_before_a_byte_leaves(stand):
    name = stand.auth.blobs["original"]["name"]
    sealed = bytearray(await stand.blobs.read(name, 0, 10**9))
    sealed[-1] ^= 1
    await stand.blobs.delete(name)
    await stand.blobs.put(name, one(bytes(sealed)))
    answer = await stand.audio()
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("recording-damaged")
    assert Action.ACTION_INTEGRITY_FAILED in [each.action for each in await stand.deeds()]


async def test_a_chunk_changed_in_the_middle_cuts_the_connection(stand):
    name = stand.auth.blobs["original"]["name"]
    sealed = bytearray(await stand.blobs.read(name, 0, 10**9))
    sealed[76 + CHUNK + 16 + 100] ^= 1
    await stand.blobs.delete(name)
    await stand.blobs.put(name, one(bytes(sealed)))
    with pytest.raises(httpx.RemoteProtocolError):
        await stand.audio()
    assert Action.ACTION_INTEGRITY_FAILED in [each.action for each in await stand.deeds()]


def papers_for(audio):
    """What auth answers of a recording whose receipt is over this audio."""
    log = log_world.Log(random.Random(0))
    claims = log_world.claims_of(log, RECORDING, audio_sha256=hashlib.sha256(audio).hexdigest())
    key = log.keys.receipt_key
    foreign = {"kty": "OKP", "crv": "Ed25519", "kid": "older", "x": "A" * 43}
    return {
        "receipt": log_world.signed_receipt(log.keys, **claims),
        "receipt_keys": {"keys": [foreign, json.loads(str(key))]},
        "proof": "proof",
        "receipt_key_proof": "proof of the key",
        "log_key": "key",
        "deeds": "[]",
    }


async def evidence(stand, *, token=SESSION, **headers):
    return await stand.client.get(
        f"/playback/v1/recordings/{RECORDING}/evidence",
        headers={"Authorization": f"Bearer {token}"} | headers,
    )


async def test_a_bundle_holds_the_recording_and_its_papers_and_is_a_download(stand):
    stand.auth.papers = papers_for(AUDIO)
    answer = await evidence(stand, token="agent", Purpose="dispute")
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        assert bundle.read("audio.flac") == AUDIO
        assert bundle.read("receipt.jws").decode() == stand.auth.papers["receipt"]
        assert json.loads(bundle.read("receipt-key.json"))["kid"] == "kid-1"
    [deed] = [
        each for each in await stand.deeds() if each.action == Action.ACTION_RECORDING_DOWNLOADED
    ]
    assert (deed.object_id, deed.purpose) == (RECORDING, Purpose.PURPOSE_DISPUTE)


async def test_audio_that_is_not_the_receipts_never_becomes_a_whole_bundle(stand):
    stand.auth.papers = papers_for(b"other audio")
    with pytest.raises(httpx.RemoteProtocolError):
        await evidence(stand)
    assert Action.ACTION_INTEGRITY_FAILED in [each.action for each in await stand.deeds()]


async def test_no_listening_begins_for_evidence_that_is_refused(stand):
    pending = await evidence(stand)
    assert (pending.status_code, pending.headers["retry-after"]) == (503, "2")
    stand.auth.can_record = False
    assert (await evidence(stand)).json()["type"].endswith("unavailable")
    assert (await evidence(stand, token="vs_nobody")).status_code == 401
    assert stand.auth.releases == []
    assert await stand.deeds() == []


async def test_the_list_shows_nothing_but_what_its_schema_names(stand):
    headers = {"Authorization": f"Bearer {SESSION}"}
    answer = await stand.client.get("/playback/v1/recordings", headers=headers)
    [shown] = answer.json()["recordings"]
    assert shown["recording_id"] == RECORDING
    assert "blobs" not in shown


async def test_the_list_shows_that_the_customer_objected(stand):
    for objected, state in ((False, "playable"), (True, "held")):
        stand.auth.objected = objected
        headers = {"Authorization": f"Bearer {SESSION}"}
        [shown] = (await stand.client.get("/playback/v1/recordings", headers=headers)).json()[
            "recordings"
        ]
        assert (shown["state"], shown["objected"]) == (state, objected)


async def test_what_stands_for_a_telephone_session_opens_no_door_of_playbacks(stand):
    headers = {"Authorization": f"Bearer {TELEPHONE_PREFIX}{'0' * 32}.call"}
    for path in ("recordings", f"recordings/{RECORDING}/audio", f"recordings/{RECORDING}/evidence"):
        answer = await stand.client.get(f"/playback/v1/{path}", headers=headers)
        assert answer.status_code == 401
    assert stand.auth.releases == []
