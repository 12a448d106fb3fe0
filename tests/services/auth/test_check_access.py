"""Signing in with access ID and PIN, and with an answer where there is a question."""

import asyncio
import json
import re

import pytest
from msgspec.structs import replace
from tests.services.auth.access_world import DEVICE, a_world

from voicefile.auth.credentials.change_credential import Order, restore
from voicefile.auth.errors import ChangeNotPossible
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.access_store import CHALLENGES, SESSIONS
from voicefile.auth.store import ACCESS, CredentialState
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.crypto.keyring import renew_identity_key
from voicefile.deeds.deed import Actor, Outcome, Role
from voicefile.docstore.port import Document
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Principal
from voicefile.identity.principal import Role as Acting

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def tenant(world):
    return await world.tenant()


async def test_id_and_pin_open_a_session_and_make_the_credential_active(world, tenant):
    letter = await world.letter(tenant)
    response = await world.sign_in(letter)
    assert response.status_code == 201
    told = response.json()
    assert re.fullmatch(r"vs_[A-Za-z0-9_-]{43}", told["session_token"])
    assert (told["level"], told["expires_in_s"]) == (1, 1800)
    assert (await world.access(letter)).record.state is CredentialState.ACTIVE
    (deed,) = await world.told("CUSTOMER_SIGNED_IN")
    assert (deed.tenant, deed.object_id) == (tenant, letter.credential)
    assert (deed.role, deed.outcome) == (Role.ROLE_CUSTOMER, Outcome.OUTCOME_DONE)


async def test_the_id_may_be_typed_in_groups(world, tenant):
    letter = await world.letter(tenant)
    typed = f" {letter.access_id[:4]}-{letter.access_id[4:8]} {letter.access_id[8:]}"
    assert (await world.sign_in(letter, access_id=typed)).status_code == 201


async def test_a_mistyped_id_is_told_and_charged_to_nobody(world, tenant):
    letter = await world.letter(tenant)
    wrong = letter.access_id[:-1] + str((int(letter.access_id[-1]) + 1) % 10)
    for _ in range(30):
        response = await world.sign_in(letter, access_id=wrong)
        assert response.status_code == 422
        assert response.json()["type"].endswith(":mistyped-access-id")
    assert await world.told("CUSTOMER_SIGNED_IN") == []
    assert (await world.sign_in(letter)).status_code == 201


async def test_a_refusal_is_a_deed_before_it_is_an_answer(world, tenant):
    letter = await world.letter(tenant)
    response = await world.sign_in(letter, pin="00000000")
    assert response.status_code == 401
    (deed,) = await world.told("CUSTOMER_SIGNED_IN")
    assert (deed.outcome, deed.role) == (Outcome.OUTCOME_REFUSED, Role.ROLE_UNKNOWN)
    assert deed.object_id == letter.credential


async def test_a_pin_never_stands_in_an_answer(world, tenant):
    letter = await world.letter(tenant)
    async with world.client(world.public) as client:
        for body in (
            {"access_id": letter.access_id, "pin": int(letter.pin)},
            {"access_id": letter.access_id, "pin": letter.pin, letter.pin: "extra"},
            {"access_id": letter.access_id, "pin": letter.pin * 9},
            {"access_id": letter.pin * 9, "pin": letter.pin},
        ):
            response = await client.post("/v1/customer-sessions", json=body)
            assert response.status_code == 422
            assert letter.pin not in response.text
            assert letter.access_id not in response.text


async def test_a_closed_tenant_lets_nobody_in_and_ends_sessions(world, tenant):
    letter = await world.letter(tenant)
    token = await world.session(letter)
    await close_tenant(tenant, by=Actor.service(), ports=world.ports)
    assert (await world.sign_in(letter)).status_code == 401
    assert (await world.inside("hearable", token)).status_code == 401


async def test_a_question_comes_before_any_session(world, tenant):
    letter = await world.letter(tenant, question=True, sensitive=True)
    asked = (await world.sign_in(letter)).json()
    assert asked["question"] == {"kind": "iban_last4", "prompt": "Die letzten vier Ziffern?"}
    assert "session_token" not in asked
    assert await world.told("CUSTOMER_SIGNED_IN") == []
    assert len(await world.told("QUESTION_ASKED")) == 1
    answered = await world.answer(asked["challenge"], " 12-34 ")
    assert answered.status_code == 201
    assert answered.json()["level"] == 2
    assert len(await world.told("QUESTION_ANSWERED")) == 1
    assert len(await world.told("CUSTOMER_SIGNED_IN")) == 1


async def test_a_challenge_opens_one_session(world, tenant):
    letter = await world.letter(tenant, question=True)
    challenge = (await world.sign_in(letter)).json()["challenge"]
    answers = await asyncio.gather(*(world.answer(challenge, "1234") for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201, 401, 401, 401, 401]


async def test_a_challenge_takes_three_answers_and_five_minutes(world, tenant):
    letter = await world.letter(tenant, question=True)
    challenge = (await world.sign_in(letter)).json()["challenge"]
    for _ in range(3):
        refused = await world.answer(challenge, "0000")
        assert refused.status_code == 401
    # The day's wrong answers are used up as well: a new challenge helps nobody.
    assert (await world.answer(challenge, "1234")).content == refused.content
    world.clock.s += 1
    fresh = (await world.sign_in(letter)).json()["challenge"]
    assert (await world.answer(fresh, "1234")).content == refused.content
    world.clock.s += 86_400
    late = (await world.sign_in(letter)).json()["challenge"]
    world.clock.s += 300
    assert (await world.answer(late, "1234")).content == refused.content
    assert (await world.answer("nothing-like-it", "1234")).content == refused.content


async def restored(world, letter):
    """Whether care can take the freeze back, so that the PIN of the old letter opens again."""
    care = Principal(new_id(), letter.tenant, Acting.CARE)
    try:
        await restore(letter.credential, order=Order(care), ports=world.ports)
    except ChangeNotPossible:
        return False
    return True


async def test_nine_wrong_answers_freeze_the_credential(world, tenant):
    letter = await world.letter(tenant, question=True)
    for _ in range(3):
        world.clock.s += 86_400
        challenge = (await world.sign_in(letter)).json()["challenge"]
        for _ in range(3):
            await world.answer(challenge, "0000")
    assert (await world.access(letter)).record.state is CredentialState.FROZEN
    assert len(await world.told("CREDENTIAL_FROZEN")) == 1
    assert not await restored(world, letter)


async def test_a_reissue_between_pin_and_answer_ends_the_challenge(world, tenant):
    letter = await world.letter(tenant, question=True)
    challenge = (await world.sign_in(letter)).json()["challenge"]
    await world.change(letter, generation=2)
    assert (await world.answer(challenge, "1234")).status_code == 401


async def test_a_known_device_is_served_while_strangers_are_locked(world, tenant):
    letter = await world.letter(tenant)
    await world.session(letter, device=DEVICE)
    for number in range(6):
        await world.sign_in(letter, pin="00000000", address=f"198.51.{number}.1")
    assert (await world.sign_in(letter, address="203.0.113.9")).status_code == 401
    assert (await world.sign_in(letter, device=DEVICE)).status_code == 201


async def test_only_the_portal_speaks_for_addresses_and_devices(world, tenant):
    letter = await world.letter(tenant)
    await world.session(letter, device=DEVICE)
    for number in range(4):
        await world.sign_in(letter, pin="00000000", address=f"198.51.{number}.1")
    body = {"access_id": letter.access_id, "pin": letter.pin}
    for peer in (None, "playback", "ingest"):
        async with world.client(world.public, peer=peer) as client:
            response = await client.post(
                "/v1/customer-sessions", json=body, headers={"Voicefile-Device": DEVICE}
            )
            assert response.status_code == 401


async def test_one_network_is_told_when_to_come_again(world, tenant):
    letter = await world.letter(tenant)
    letters = [await world.letter(tenant) for _ in range(10)]
    for each in letters:
        await world.sign_in(each, pin="00000000", address="198.51.100.7")
    response = await world.sign_in(letter, address="198.51.100.200")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3600"


async def test_a_hundred_failures_in_a_row_freeze_until_a_new_letter(tmp_path):
    limits = Limits(stranger_failures_in_a_row=4, stranger_waits_s=(0,))
    async with a_world(tmp_path, limits=limits) as world:
        letter = await world.letter(await world.tenant())
        token = await world.session(letter, device=DEVICE)
        for number in range(4):
            await world.sign_in(letter, pin="00000000", address=f"198.51.{number}.1")
        assert (await world.access(letter)).record.state is CredentialState.FROZEN
        (deed,) = await world.told("CREDENTIAL_FROZEN")
        assert deed.object_id == letter.credential
        assert (await world.sign_in(letter, device=DEVICE)).status_code == 401
        assert (await world.inside("hearable", token)).status_code == 401
        assert (await restored(world, letter)) is False
        assert (await world.sign_in(letter, device=DEVICE)).status_code == 401
        # The new letter: A re-issue leaves the row at its start, so it does not freeze at once.
        await world.change(letter, state=CredentialState.ISSUED)
        assert (await world.sign_in(letter, device=DEVICE)).status_code == 201


async def test_under_attack_strangers_wait_and_known_callers_do_not(tmp_path):
    limits = Limits(failures_per_hour=3)
    async with a_world(tmp_path, limits=limits) as world:
        tenant = await world.tenant()
        letter, other = await world.letter(tenant), await world.letter(tenant)
        await world.session(letter, device=DEVICE)
        for number in range(3):
            await world.sign_in(other, pin="00000000", address=f"198.51.{number}.1")
        began = world.clock.s
        assert (await world.sign_in(letter, device=DEVICE)).status_code == 201
        assert world.clock.s == began
        newcomer = await world.letter(tenant)
        assert (await world.sign_in(newcomer, address="203.0.113.1")).status_code == 201
        assert world.clock.s == began + 10


async def test_a_full_queue_says_busy_and_charges_nothing(tmp_path):
    settings = AccessSettings(pin_threads=1)
    async with a_world(tmp_path, settings=settings) as world:
        letter = await world.letter(await world.tenant())
        world.pool._places = dict.fromkeys(world.pool._places, 0)
        response = await world.sign_in(letter)
        assert response.status_code == 503
        assert response.json()["type"].endswith(":busy")
        assert "retry-after" in response.headers
        assert await world.told("CUSTOMER_SIGNED_IN") == []


async def test_a_new_pepper_reaches_the_credential_at_its_sign_in(world, tenant):
    letter = await world.letter(tenant)
    before = (await world.access(letter)).record
    stored = await world.ports.tenants.of(tenant).get(tenant)
    keys = await renew_identity_key(
        world.custody.root,
        stored.record.keys,
        deployment=world.custody.deployment,
        root_version=stored.record.keys.identity_versions[0].wrapped.root_version,
        now_s=world.clock.s,
    )
    world.custody.expect(tenant, keys)
    record = replace(stored.record, keys=keys)
    await world.ports.tenants.of(tenant).replace(stored, record)
    world.custody.forget(tenant)
    assert (await world.sign_in(letter)).status_code == 201
    after = (await world.access(letter)).record
    assert after.pepper == keys.identity_version().id != before.pepper
    assert after.pin_verifier != before.pin_verifier
    assert (await world.sign_in(letter)).status_code == 201


async def test_a_verifier_swapped_in_the_store_opens_nothing_and_is_told(world, tenant):
    mine, victims = await world.letter(tenant), await world.letter(tenant)
    stolen = await world.docs.get(ACCESS, mine.credential)
    target = await world.docs.get(ACCESS, victims.credential)
    body = dict(target.body) | {
        name: stolen.body[name] for name in ("pin_salt", "pin_verifier", "mac")
    }
    await world.docs.replace(
        ACCESS, Document(target.id, target.tenant, body, target.version, target.pending)
    )
    assert (await world.sign_in(victims, pin=mine.pin)).status_code == 401
    (deed,) = await world.told("INTEGRITY_FAILED")
    assert deed.object_id == victims.credential


async def test_sessions_and_challenges_written_past_auth_open_nothing(world, tenant):
    letter, question = await world.letter(tenant), await world.letter(tenant, question=True)
    token = await world.session(letter)
    challenge = (await world.sign_in(question)).json()["challenge"]
    for collection in (SESSIONS, CHALLENGES):
        for found in await world.docs.scan(collection):
            forged = {"level": 2} if collection is SESSIONS else {"tries": -9}
            body = dict(found.body) | forged
            await world.docs.replace(
                collection, Document(found.id, found.tenant, body, found.version, found.pending)
            )
    assert (await world.inside("hearable", token)).status_code == 401
    assert (await world.answer(challenge, "1234")).status_code == 401


async def test_half_a_character_is_refused_before_anything_is_charged(world, tenant):
    letter = await world.letter(tenant)
    body = json.dumps({"access_id": letter.access_id, "pin": "\ud800"})
    async with world.client(world.public) as client:
        for _ in range(20):
            answer = await client.post("/v1/customer-sessions", content=body, headers=JSON)
            assert answer.status_code == 422
    assert (await world.sign_in(letter)).status_code == 201
