"""Whatever is sent twice is stored once, and whoever asks again gets the same answer."""

import asyncio
import secrets

import httpx
import pytest
from tests.services.ingest.fake_auth import until
from tests.services.ingest.fake_decoder import QuickDecoders
from tests.services.ingest.stand import (
    METADATA,
    PARTNER,
    TENANT,
    audio_part,
    body_of,
    metadata_part,
    new_key,
    pieces,
    speech,
    standing,
)

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.contracts.deed.v1 import Action
from voicefile.crypto.secret import SecretText
from voicefile.ingest.reservations import reservation_id


async def reservation(stand, key):
    return await stand.desk.marking.reservations.find(
        reservation_id(PARTNER.id, SecretText(key)), tenant=TENANT
    )


async def test_a_retry_gets_the_same_bytes_and_stores_nothing(stand):
    key, audio = new_key(), speech()
    first = await stand.upload(audio, key=key)
    names = await stand.names()
    again = await stand.upload(audio, key=key)
    assert (again.status_code, again.content) == (201, first.content)
    assert await stand.names() == names
    assert len(stand.auth.issued) == 1


async def test_a_retry_hands_the_pin_out_once_more_and_says_so_in_a_deed(stand):
    key, audio = new_key(), speech()
    await stand.upload(audio, key=key)
    await stand.upload(audio, key=key)
    assert len(await stand.deeds(Action.ACTION_RECORDING_STORED)) == 1
    assert len(await stand.deeds(Action.ACTION_RECORDING_READ)) == 1


@pytest.mark.parametrize("quoted", ['"{}"', " {} "])
async def test_a_key_is_the_same_however_it_is_wrapped(stand, quoted):
    key, audio = new_key(), speech()
    first = await stand.upload(audio, key=key)
    assert (await stand.upload(audio, key=quoted.format(key))).content == first.content


async def test_another_upload_under_the_same_key_is_refused(stand):
    key, audio = new_key(), speech()
    await stand.upload(audio, key=key)
    for other, changes in ((speech(), {}), (audio, {"contract_reference": "another"})):
        answer = await stand.upload(other, key=key, **changes)
        assert answer.status_code == 409
        assert answer.json()["type"].endswith(":key-reused")
        assert "pin" not in answer.json()
    assert len(stand.auth.issued) == 1


async def test_the_same_metadata_written_differently_is_the_same(stand):
    key, audio = new_key(), speech()
    first = await stand.upload(audio, key=key)
    spread = b'{\n "sensitive": false,' + str.encode(
        str(METADATA).replace("'", '"').removeprefix("{")
    )
    again = await stand.post(body_of(metadata_part(spread), audio_part(audio)), key=key)
    assert again.content == first.content


async def test_one_key_of_two_partners_is_two_keys(stand):
    key, audio = new_key(), speech()
    answers = [await stand.upload(audio, key=key, token=t) for t in ("partner", "sibling")]
    assert [a.status_code for a in answers] == [201, 201]
    assert answers[0].json()["recording_id"] != answers[1].json()["recording_id"]


async def test_a_lost_answer_is_found_by_the_retry(stand):
    key, audio = new_key(), speech()
    stand.auth.lose_answers = 99
    # Idempotent by recording id: the second question of the same upload finds the first's write.
    assert (await stand.upload(audio, key=key)).status_code == 201
    assert stand.auth.asked == ["issue", "issue"]


async def test_what_is_issued_and_not_marked_is_not_stored_again(stand):
    key, audio = new_key(), speech()
    reservations = stand.desk.marking.reservations
    mark, reservations.mark = reservations.mark, out_of_memory
    assert (await stand.upload(audio, key=key)).status_code == 500
    reservations.mark = mark
    names = await stand.names()
    stand.clock.now_s += 16
    again = await stand.upload(audio, key=key)
    assert again.json() == stand.auth.issued[again.json()["recording_id"]]["answer"]
    assert (await reservation(stand, key)).attempt == 1
    assert stand.auth.asked.count("issue") == 1
    assert await stand.names() == names


async def out_of_memory(*_):
    raise MemoryError


async def test_an_answer_that_stays_unknown_keeps_everything_for_the_retry(stand):
    key, audio = new_key(), speech()

    stand.auth.unreachable = 3
    lost = await stand.upload(audio, key=key)
    assert lost.status_code == 503
    assert lost.headers["retry-after"] == "5"
    assert len(await stand.names()) == 3
    again = await stand.upload(audio, key=key)
    assert again.status_code == 201
    assert (await reservation(stand, key)).attempt == 2
    assert await stand.heard(again.json()["recording_id"], "original") == audio


async def test_a_refusal_after_silence_decides_nothing(stand):
    # The silent question may still be on its way, so its blobs are not ours to delete.
    stand.auth.unreachable = 1
    stand.auth.refuse = ("tenant-closed", 403)
    assert (await stand.upload()).status_code == 503
    assert len(await stand.names()) == 3


async def test_a_refused_retry_does_not_free_a_key_that_may_be_issued_yet(stand):
    key, audio = new_key(), speech()
    stand.auth.gate = asyncio.Event()
    first = asyncio.create_task(stand.upload(audio, key=key))
    await until(lambda: stand.auth.asked == ["issue"])
    stand.clock.now_s += 16
    stand.desk.marking.reservations.pass_on(reservation_id(PARTNER.id, SecretText(key)))
    assert (await stand.upload(audio, key=key, consent=None)).status_code == 422
    stand.auth.gate.set()
    assert (await first).status_code == 201
    assert (await stand.upload(audio, key=key)).content == (await first).content
    assert len(stand.auth.issued) == 1


async def test_an_expired_answer_names_reissue(stand):
    key, audio = new_key(), speech()
    await stand.upload(audio, key=key)
    stand.auth.expired = True
    answer = await stand.upload(audio, key=key)
    assert answer.status_code == 409
    assert answer.json()["type"].endswith(":answer-expired")
    assert "re-issue" in answer.json()["title"]


async def test_an_erased_recording_says_gone(stand):
    key, audio = new_key(), speech()
    await stand.upload(audio, key=key)
    stand.auth.issued.clear()
    assert (await stand.upload(audio, key=key)).status_code == 410


async def test_a_thousand_retries_at_once_are_one_recording(stand):
    key, audio = new_key(), speech(0.2)
    answers = await asyncio.gather(*(stand.upload(audio, key=key) for _ in range(1000)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(stand.auth.issued) == 1
    assert await stand.names() == stand.auth.owned()
    assert len(await stand.deeds(Action.ACTION_RECORDING_STORED)) == 1


async def test_two_instances_and_one_key_are_one_recording(tmp_path, stand):
    key, audio = new_key(), speech(0.2)
    async with standing(
        tmp_path / "other.db",
        blobs=stand.blobs,
        auth=stand.auth,
        clock=stand.clock,
        wrapped=lambda own: stand.store,
    ) as other:
        answers = await asyncio.gather(
            *(each.upload(audio, key=key) for each in (stand, other) for _ in range(10))
        )
    assert len({answer.content for answer in answers}) == 1
    assert len(stand.auth.issued) == 1
    assert await stand.names() == stand.auth.owned()


class StuckOnce(QuickDecoders):
    """Decodes nothing the first time, until it is let."""

    def __init__(self):
        super().__init__()
        self.stuck = asyncio.Event()
        self.go_on = asyncio.Event()

    async def decode(self, *args, **options):
        if not self.stuck.is_set():
            self.stuck.set()
            await self.go_on.wait()
        return await super().decode(*args, **options)


async def test_a_duplicate_waits_while_the_lease_lives_and_is_told_so(tmp_path):
    decoders = StuckOnce()
    async with standing(
        tmp_path / "i.db", blobs=MemoryBlobStore(), decoders=decoders, duplicate_wait_s=0.05,
        lease_s=15, uploads_max=2,
    ) as stand:  # fmt: skip
        await stand.learn()
        key, audio = new_key(), speech()
        first = asyncio.create_task(stand.upload(audio, key=key))
        await decoders.stuck.wait()
        stand.desk.marking.reservations._in_hand.clear()  # the first works in another process
        waiting = await stand.upload(audio, key=key)
        assert waiting.status_code == 503
        assert waiting.json()["type"].endswith(":upload-in-progress")
        decoders.go_on.set()
        assert (await first).status_code == 201
        assert (await stand.upload(audio, key=key)).content == (await first).content


async def test_a_lapsed_lease_is_taken_over_with_new_names(tmp_path):
    decoders = StuckOnce()
    async with standing(
        tmp_path / "i.db", blobs=MemoryBlobStore(), decoders=decoders, lease_renew_s=1
    ) as stand:
        await stand.learn()
        key, audio = new_key(), speech()
        # The first one's own heart has stopped, as that of a process that is swapped out.
        stuck = asyncio.create_task(stand.upload(audio, key=key))
        await decoders.stuck.wait()
        before = await reservation(stand, key)
        await stand.desk.marking.reservations.let_go(before)
        stand.desk.marking.reservations.pass_on(before.id)
        second = await stand.upload(audio, key=key)
        assert second.status_code == 201
        after = await reservation(stand, key)
        assert (after.attempt, after.recording) == (2, before.recording)
        assert not set(after.blobs.values()) & set(before.blobs.values())
        decoders.go_on.set()
        late = await stuck
        # Its blobs went with its defeat; what to ask for next is the other one's answer.
        assert late.json()["type"].endswith(":upload-overtaken")
        assert await stand.names() == stand.auth.owned()
        assert await stand.heard(before.recording, "original") == audio
        assert (await stand.upload(audio, key=key)).content == second.content


async def test_of_two_attempts_that_reach_auth_the_first_write_wins(stand):
    key, audio = new_key(), speech()
    stand.auth.gate = asyncio.Event()
    first = asyncio.create_task(stand.upload(audio, key=key))
    await until(lambda: stand.auth.asked == ["issue"])
    stand.clock.now_s += 16
    reservations = stand.desk.marking.reservations
    reservations.pass_on(reservation_id(PARTNER.id, SecretText(key)))
    second = asyncio.create_task(stand.upload(audio, key=key))
    await until(lambda: stand.auth.asked.count("issue") == 2)
    stand.auth.gate.set()
    answers = await asyncio.gather(first, second)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert len(stand.auth.issued) == 1
    # The fact names the blobs of the attempt that won, and the other's are gone.
    (fact,) = await stand.stored_facts()
    assert set(fact.blobs) == stand.auth.owned() == await stand.names()
    assert await stand.heard(fact.recording_id, "original") == audio


async def test_who_lost_its_lease_while_receiving_stops(tmp_path):
    async with standing(tmp_path / "i.db", blobs=MemoryBlobStore()) as stand:
        await stand.learn()
        key, audio = new_key(), speech(3)
        body = body_of(metadata_part(METADATA), audio_part(audio))
        paused, go_on = asyncio.Event(), asyncio.Event()

        async def slow():
            yield body[:20_000]
            paused.set()
            await go_on.wait()
            yield body[20_000:]

        first = asyncio.create_task(stand.post(slow(), key=key))
        await paused.wait()
        await until(lambda: key and stand.desk.marking.reservations._in_hand)
        stand.clock.now_s += 16
        stand.desk.marking.reservations._in_hand.clear()
        second = await stand.post(pieces(body), key=key)
        assert second.status_code == 201
        go_on.set()
        overtaken = await first
        assert overtaken.status_code == 503
        assert overtaken.json()["type"].endswith(":upload-overtaken")
        assert await stand.names() == stand.auth.owned()


async def test_bytes_that_flow_keep_the_lease(tmp_path):
    async with standing(tmp_path / "i.db", blobs=MemoryBlobStore()) as stand:
        await stand.learn()
        key, audio = new_key(), speech(3)
        body = body_of(metadata_part(METADATA), audio_part(audio))

        async def drop_by_drop():
            for start in range(0, len(body), 10_000):
                yield body[start : start + 10_000]
                stand.clock.now_s += 9
                await asyncio.sleep(0)

        answer = await stand.post(drop_by_drop(), key=key)
        assert answer.status_code == 201, answer.text
        assert (await reservation(stand, key)).attempt == 1


async def test_a_cut_connection_leaves_nothing_and_frees_the_key(stand):
    key, audio = new_key(), speech(3)
    body = body_of(metadata_part(METADATA), audio_part(audio))

    async def cut():
        yield body[:50_000]
        raise ConnectionResetError

    with pytest.raises((httpx.HTTPError, ConnectionResetError)):
        await stand.post(cut(), key=key)
    await until(lambda: not stand.desk.marking.reservations._in_hand)
    assert await stand.names() == set()
    assert await reservation(stand, key) is None
    assert (await stand.upload(audio, key=key)).status_code == 201


@pytest.mark.parametrize(
    "key",
    [
        "0102030405060102030405060102030a",
        "q8ZbJm4tKx_Rw0Vf-3dPuA",
        "4f9d7c52-0f0e-4a63-9c9a-5f0b7a1c2d3e",
    ],
)
async def test_a_random_key_is_taken_in_whatever_form(stand, key):
    assert (await stand.upload(speech(), key=key)).status_code == 201


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "00000000000000000000000000004711",
        "ORDER-2027-000000000001",
        "0000000000000000000000000001",
        "a" * 200,
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",  # version 1: a time and a network card
        "00000000-0000-0000-0000-000000000000",
        "spaces are not base64url at all",
    ],
)
async def test_a_key_that_can_be_guessed_is_refused(stand, key):
    answer = await stand.upload(speech(), key=key or " ")
    assert answer.status_code == 400
    assert answer.json()["type"].endswith(":idempotency-key-invalid")


async def test_random_keys_are_taken(stand):
    for key in (new_key(), new_key().upper(), secrets.token_urlsafe(16), secrets.token_urlsafe(32)):
        assert (await stand.upload(speech(0.05), key=key)).status_code == 201
