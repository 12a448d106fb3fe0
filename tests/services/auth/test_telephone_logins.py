"""Signing in by telephone: access ID, PIN and answer, each keyed by itself."""

import asyncio
import json
import re

import pytest
from tests.services.auth.access_world import DEVICE, OPEN_THROTTLES, World, a_world
from tests.services.auth.telephone import Phone
from tests.services.auth.test_enumeration import CountingStore, seen

from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.keys.custody import Custody
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.access_store import COLLECTIONS, LOGINS, SESSIONS, THROTTLES
from voicefile.auth.store import CredentialState
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.deeds.deed import Actor, Outcome, Role
from voicefile.docstore.port import Document
from voicefile.identity.ids import new_id

WRONG = "00000000"
UNKNOWN_LOGIN = "0" * 32


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def tenant(world):
    return await world.tenant()


@pytest.fixture
def phone(world):
    return Phone(world)


async def test_id_and_pin_open_a_session_of_this_call(world, tenant, phone):
    letter = await world.letter(tenant)
    login = await phone.login(letter.access_id)
    answer = await phone.key_pin(login, letter.pin)
    assert answer.status_code == 201
    told = answer.json()
    assert told == {
        "session_id": told["session_id"],
        "tenant": tenant,
        "level": 1,
        "expires_in_s": 1800,
    }
    assert re.fullmatch(r"[0-9a-f]{32}", told["session_id"])
    assert (await world.docs.get(SESSIONS, told["session_id"])).tenant == tenant
    (deed,) = await world.told("CUSTOMER_SIGNED_IN")
    assert (deed.tenant, deed.object_id) == (tenant, letter.credential)
    assert (deed.role, deed.outcome) == (Role.ROLE_CUSTOMER, Outcome.OUTCOME_DONE)
    assert (await world.access(letter)).record.state is CredentialState.ACTIVE


async def test_a_question_is_put_in_the_login_and_answered_to_it(world, tenant, phone):
    letter = await world.letter(tenant, question=True, sensitive=True)
    login = await phone.login(letter.access_id)
    asked = (await phone.key_pin(login, letter.pin)).json()
    question = {"kind": "iban_last4", "prompt": "Die letzten vier Ziffern?"}
    assert asked == {"question": question, "tenant": tenant}
    assert await world.told("CUSTOMER_SIGNED_IN") == []
    answer = await phone.key_answer(login, letter.answer)
    assert answer.status_code == 201
    assert (answer.json()["tenant"], answer.json()["level"]) == (tenant, 2)
    told = await world.told("QUESTION_ASKED", "QUESTION_ANSWERED", "CUSTOMER_SIGNED_IN")
    assert {deed.outcome for deed in told} == {Outcome.OUTCOME_DONE}
    assert len(told) == 3


async def test_a_login_is_given_for_every_id_and_nothing_is_charged(world, tenant, phone):
    letter = await world.letter(tenant)
    answers = [
        await phone.key_id(access_id)
        for _ in range(30)
        for access_id in (letter.access_id, new_access_id())
    ]
    assert {(each.status_code, len(each.content)) for each in answers} == {(201, 47)}
    assert await world.docs.scan(THROTTLES) == []
    assert await world.told("CUSTOMER_SIGNED_IN") == []


async def test_a_mistyped_id_is_told(world, tenant, phone):
    letter = await world.letter(tenant)
    wrong = letter.access_id[:-1] + str((int(letter.access_id[-1]) + 1) % 10)
    answer = await phone.key_id(wrong)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith(":mistyped-access-id")
    assert await world.docs.scan(LOGINS) == []


async def test_a_request_at_playback_is_the_deeds(world, tenant, phone):
    letter, request_id = await world.letter(tenant, question=True), new_id()
    login = await phone.login(letter.access_id)
    await phone.key_pin(login, WRONG, request_id=request_id)
    await phone.key_pin(login, letter.pin, request_id=request_id)
    await phone.key_answer(login, "0000", request_id=request_id)
    await phone.key_answer(login, letter.answer, request_id=request_id)
    told = await world.told("CUSTOMER_SIGNED_IN", "QUESTION_ASKED", "QUESTION_ANSWERED")
    assert {deed.request_id for deed in told} == {request_id}
    assert len(told) == 5


async def test_only_playback_passes_calls_on(world, tenant, phone):
    letter = await world.letter(tenant)
    login = await phone.login(letter.access_id)
    for peer, status in ((None, 401), ("portal", 403), ("ingest", 403), ("audit", 403)):
        answers = [
            await phone.key_id(letter.access_id, peer=peer),
            await phone.key_pin(login, letter.pin, peer=peer),
            await phone.key_answer(login, letter.answer, peer=peer),
            await phone.hang_up(phone.shown(UNKNOWN_LOGIN), peer=peer),
        ]
        assert {each.status_code for each in answers} == {status}


async def wrong_in_every_way(world):
    """The answer to each kind of try that must be refused, by what is wrong with it."""
    tenant, other, closed = [await world.tenant(name) for name in ("a", "b", "c")]
    refused, numbers = {}, iter(range(100))

    def phone(**how):
        return Phone(world, number=f"+49 40 80000{next(numbers):02}", **how)

    known = await world.letter(tenant)
    refused["wrong PIN"] = await phone().sign_in(known, pin=WRONG)
    for state in set(CredentialState) - {CredentialState.ISSUED, CredentialState.ACTIVE}:
        refused[state] = await phone().sign_in(await world.letter(tenant, state=state))
    foreign = await world.letter(other)
    refused["another tenant's ID"] = await phone(dialled=tenant).sign_in(foreign)
    gone = await world.letter(closed)
    await close_tenant(closed, by=Actor.service(), ports=world.ports)
    refused["tenant closed"] = await phone().sign_in(gone)
    refused["no such login"] = await phone().key_pin(UNKNOWN_LOGIN, known.pin)
    refused["another call's"] = await phone().key_pin(
        await phone().login(known.access_id), known.pin
    )
    waiting = phone()
    late = await waiting.login(known.access_id)
    world.clock.s += 300
    refused["expired"] = await waiting.key_pin(late, known.pin)
    caller, spent = phone(), await world.letter(tenant)
    login = await caller.login(spent.access_id)
    for _ in range(3):
        refused["third"] = await caller.key_pin(login, WRONG)
    refused["a login's fourth"] = await caller.key_pin(login, spent.pin)
    refused["locked"] = await phone().sign_in(spent)
    return refused


async def test_every_refusal_is_the_same_bytes_as_an_unknown_ids(world):
    caller = Phone(world)
    unknown = await caller.key_pin(await caller.login(new_access_id()), WRONG)
    refused = await wrong_in_every_way(world)
    assert unknown.status_code == 401
    assert {name for name, each in refused.items() if seen(each) != seen(unknown)} == set()


async def test_a_wrong_answer_looks_like_a_wrong_pin_and_like_no_login(world, tenant, phone):
    letter, plain = await world.letter(tenant, question=True), await world.letter(tenant)
    login = await phone.asked(letter)
    refusals = [
        await phone.key_answer(login, "0000"),
        await Phone(world).key_answer(login, letter.answer),
        await phone.key_answer(UNKNOWN_LOGIN, letter.answer),
        # A login that waits for its PIN takes no answer, one that waits for its answer no PIN.
        await phone.key_answer(await phone.login(plain.access_id), letter.answer),
        await phone.key_pin(login, letter.pin),
        await phone.sign_in(plain, pin=WRONG),
    ]
    assert {each.status_code for each in refusals} == {401}
    assert len({seen(each) for each in refusals}) == 1
    assert (await phone.key_answer(login, letter.answer)).status_code == 201


async def test_refusals_leave_on_a_grid_of_moments(tmp_path):
    async with a_world(tmp_path, settings=AccessSettings(refusals_every_s=0.1)) as world:
        letter, phone = await world.letter(await world.tenant()), Phone(world)
        login, nobodys = await phone.login(letter.access_id), await phone.login(new_access_id())
        for each, pin in ((login, WRONG), (nobodys, WRONG), (UNKNOWN_LOGIN, WRONG)):
            await phone.key_pin(each, pin)
        await Phone(world).key_pin(login, letter.pin)
        # The virtual clock stood still while they worked: each waited for one whole step.
        assert world.clock.slept == pytest.approx([0.1] * 4)


async def test_unknown_ids_cost_the_same_reads_and_writes(tmp_path):
    async with a_world(tmp_path, limits=OPEN_THROTTLES) as plain:
        store = CountingStore(plain.docs)
        custody = Custody(plain.custody.root, store, deployment="test")
        of = {"settings": AccessSettings(), "limits": OPEN_THROTTLES, "clock": plain.clock}
        world = World(store, custody, **of)
        tenant = await world.tenant()
        letters = [await world.letter(tenant, state=state) for state in CredentialState]
        tried = [letter.access_id for letter in letters] + [new_access_id() for _ in range(3)]
        # The first ones fill the caches of keys and make the buckets of tenant and platform.
        for access_id in (letters[0].access_id, new_access_id()):
            caller = Phone(world, number=f"+49 30 {access_id[:7]}")
            await caller.key_pin(await caller.login(access_id), WRONG)
        costs = []
        for number, access_id in enumerate(tried):
            caller = Phone(world, number=f"+49 31 100000{number}")
            store.counts.clear()
            login = await caller.login(access_id)
            begun = dict(store.counts)
            await caller.key_pin(login, WRONG)
            costs.append((begun, dict(store.counts)))
        assert costs[1:] == [costs[-1]] * (len(costs) - 1)
        assert costs[-1][0] == {("insert", "telephone_logins"): 1}
        assert costs[-1][1]["get", "directory"] == costs[-1][1]["get", "access"] == 1
        world.pool.close()


async def test_a_tenants_own_number_takes_its_own_ids_alone(world, tenant):
    other = await world.tenant("b")
    own, foreign = await world.letter(tenant), await world.letter(other)
    assert (await Phone(world, dialled=tenant).sign_in(own)).status_code == 201
    refused = await Phone(world, dialled=tenant).sign_in(foreign)
    assert refused.status_code == 401
    # It was checked and charged like a wrong PIN, and the customer's own tenant knows of it.
    deed = (await world.told("CUSTOMER_SIGNED_IN"))[-1]
    assert (deed.tenant, deed.outcome) == (other, Outcome.OUTCOME_REFUSED)
    assert (await Phone(world).sign_in(foreign)).status_code == 201


async def test_a_login_takes_three_pins(world, tenant, phone):
    letter = await world.letter(tenant)
    login = await phone.login(letter.access_id)
    for _ in range(2):
        await phone.key_pin(login, WRONG)
    assert (await phone.key_pin(login, letter.pin)).status_code == 201
    login = await phone.login(letter.access_id)
    for _ in range(3):
        await phone.key_pin(login, WRONG)
    before = len(await world.told("CUSTOMER_SIGNED_IN"))
    assert (await phone.key_pin(login, letter.pin)).status_code == 401
    # Nothing was checked, so there is nothing that anybody did.
    assert len(await world.told("CUSTOMER_SIGNED_IN")) == before
    world.clock.s += 60
    assert (await phone.sign_in(letter)).status_code == 201


async def test_a_login_opens_one_session(world, tenant, phone):
    letter = await world.letter(tenant)
    login = await phone.login(letter.access_id)
    answers = await asyncio.gather(*(phone.key_pin(login, letter.pin) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [201, 401, 401]
    assert (await phone.key_pin(login, letter.pin)).status_code == 401
    assert len(await world.docs.scan(SESSIONS)) == 1
    assert len(await world.told("CUSTOMER_SIGNED_IN")) == 1


async def test_a_right_pin_and_a_wrong_one_at_once_still_open_the_session(world, tenant, phone):
    letter = await world.letter(tenant)
    login = await phone.login(letter.access_id)
    pins = (WRONG, letter.pin, WRONG)
    answers = await asyncio.gather(*(phone.key_pin(login, pin) for pin in pins))
    assert [each.status_code for each in answers] == [401, 201, 401]


async def test_a_question_is_put_once_and_answered_once(world, tenant, phone):
    letter = await world.letter(tenant, question=True)
    login = await phone.login(letter.access_id)
    asked = await asyncio.gather(*(phone.key_pin(login, letter.pin) for _ in range(3)))
    assert sorted(each.status_code for each in asked) == [201, 401, 401]
    assert len(await world.told("QUESTION_ASKED")) == 1
    answers = await asyncio.gather(*(phone.key_answer(login, letter.answer) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [201, 401, 401]
    assert len(await world.told("CUSTOMER_SIGNED_IN")) == 1


async def test_a_login_takes_three_answers_and_a_day_three_wrong_ones(world, tenant, phone):
    letter = await world.letter(tenant, question=True)
    login = await phone.asked(letter)
    for _ in range(3):
        refused = await phone.key_answer(login, "0000")
    assert seen(await phone.key_answer(login, letter.answer)) == seen(refused)
    again = await phone.asked(letter)
    # The day's wrong answers are used up, whichever way they came.
    assert seen(await phone.key_answer(again, letter.answer)) == seen(refused)
    challenge = (await world.sign_in(letter)).json()["challenge"]
    assert (await world.answer(challenge, letter.answer)).status_code == 401
    world.clock.s += 86_400
    assert (await phone.key_answer(await phone.asked(letter), letter.answer)).status_code == 201


async def test_nine_wrong_answers_freeze_the_credential(world, tenant, phone):
    letter = await world.letter(tenant, question=True)
    for _ in range(3):
        world.clock.s += 86_400
        login = await phone.asked(letter)
        for _ in range(3):
            await phone.key_answer(login, "0000")
    assert (await world.access(letter)).record.state is CredentialState.FROZEN
    assert len(await world.told("CREDENTIAL_FROZEN")) == 1


async def test_the_question_waits_no_longer_than_the_login(world, tenant, phone):
    letter = await world.letter(tenant, question=True)
    login = await phone.login(letter.access_id)
    world.clock.s += 200
    await phone.key_pin(login, letter.pin)
    world.clock.s += 100
    assert (await phone.key_answer(login, letter.answer)).status_code == 401


@pytest.mark.parametrize(
    "change", [{"generation": 2}, {"state": CredentialState.FROZEN}, {"question": None}]
)
async def test_what_happens_between_pin_and_answer_ends_the_login(world, tenant, phone, change):
    letter = await world.letter(tenant, question=True)
    login = await phone.asked(letter)
    await world.change(letter, **change)
    assert (await phone.key_answer(login, letter.answer)).status_code == 401


async def test_a_new_start_between_any_two_steps_loses_nothing(tmp_path):
    async with a_world(tmp_path) as world:
        letter = await world.letter(await world.tenant(), question=True)
        phone = Phone(world)
        login = await phone.login(letter.access_id)
    async with a_world(tmp_path) as world:
        assert (await Phone(world, call=phone.call).key_pin(login, letter.pin)).status_code == 201
    async with a_world(tmp_path) as world:
        again = Phone(world, call=phone.call)
        answer = await again.key_answer(login, letter.answer)
    async with a_world(tmp_path) as world:
        shown = phone.shown(answer.json()["session_id"])
        assert (await world.inside("hearable", shown)).status_code == 200
        # What was used up before the start stays used up after it.
        assert (await Phone(world, call=phone.call).key_answer(login, letter.answer)).is_error


async def test_logins_that_lapsed_are_swept_and_their_deeds_are_told(world, tenant, phone):
    letter = await world.letter(tenant, question=True)
    await phone.asked(letter)
    world.clock.s += 200
    waiting = await phone.login(letter.access_id)
    world.clock.s += 200
    await world.doors.sweep()
    assert [found.id for found in await world.docs.scan(LOGINS)] == [waiting]
    assert len(await world.told("QUESTION_ASKED")) == 1


@pytest.mark.parametrize("bent", [{"tries": -9}, {"call": "0" * 64}, {"dialled": ""}])
async def test_a_login_written_past_auth_opens_nothing(world, tenant, phone, bent):
    letter, other = await world.letter(tenant), await world.tenant("b")
    own_number = Phone(world, dialled=other, call=phone.call)
    login = await own_number.login(letter.access_id)
    found = await world.docs.get(LOGINS, login)
    body = dict(found.body) | bent
    await world.docs.replace(LOGINS, Document(found.id, found.tenant, body, found.version))
    assert (await phone.key_pin(login, letter.pin)).status_code == 401


# --- throttles ------------------------------------------------------------------------------


async def test_one_number_is_told_when_to_come_again_whatever_it_keys(world, tenant):
    letters = [await world.letter(tenant) for _ in range(11)]
    for number, ids in (
        ("+49 30 1111111", [letter.access_id for letter in letters]),
        ("+49 30 2222222", [new_access_id() for _ in letters]),
    ):
        phone = Phone(world, number=number)
        answers = [await phone.key_pin(await phone.login(each), WRONG) for each in ids]
        assert [each.status_code for each in answers] == [401] * 10 + [429]
        assert 3_590 < int(answers[-1].headers["retry-after"]) <= 3_600
    # However it is written, it is one number; and another one is another budget.
    same = Phone(world, number="0049 (0)30 / 1111111")
    assert (await same.sign_in(letters[0])).status_code == 429
    assert (await Phone(world, number="+49 30 3333333").sign_in(letters[0])).status_code == 201
    world.clock.s += 3_600
    assert (await same.sign_in(letters[1])).status_code == 201


async def test_an_id_takes_fifteen_strangers_a_day_from_wherever_they_call(world, tenant):
    letter = await world.letter(tenant)
    for number in range(47):
        phone = Phone(world, number=f"+49 40 7000{number:03}")
        await phone.sign_in(letter, pin=WRONG)
        world.clock.s += 1_800
    # What was refused unchecked is counted and no deed.
    assert len(await world.told("CUSTOMER_SIGNED_IN")) == 15


async def test_the_telephones_budget_is_not_the_webs(world, tenant):
    letter = await world.letter(tenant)
    for number in range(4):
        await Phone(world, number=f"+49 40 700000{number}").sign_in(letter, pin=WRONG)
    assert (await Phone(world, number="+49 40 8").sign_in(letter)).status_code == 401
    assert (await world.sign_in(letter)).status_code == 201


async def test_a_known_caller_gets_in_while_strangers_are_locked_out(world, tenant):
    letter = await world.letter(tenant)
    customer = Phone(world)
    await customer.session(letter)
    for hour in range(12):
        for number in range(4):
            stranger = Phone(world, number=f"+49 40 7{hour:02}{number}")
            await stranger.sign_in(letter, pin=WRONG)
        assert (await Phone(world, number="+49 40 9").sign_in(letter)).status_code == 401
        assert (await Phone(world).sign_in(letter)).status_code == 201
        world.clock.s += 7_200


async def test_a_number_is_known_by_telephone_alone_and_for_its_own_id(world, tenant):
    letter, other = await world.letter(tenant), await world.letter(tenant)
    await Phone(world).session(letter)
    await world.session(other, device=DEVICE)
    for number in range(4):
        for each in (letter, other):
            await Phone(world, number=f"+49 40 7{number}").sign_in(each, pin=WRONG)
            await world.sign_in(each, pin=WRONG, address=f"198.51.{number}.1")
    assert (await world.sign_in(letter, device=Phone(world).number * 2)).status_code == 401
    assert (await Phone(world).sign_in(other)).status_code == 401
    assert (await Phone(world).sign_in(letter)).status_code == 201


@pytest.mark.parametrize("withheld", ["", "anonymous", "Restricted", "1" * 40])
async def test_who_withholds_the_number_shares_no_budget_and_is_nobody_known(
    world, tenant, withheld
):
    letters = [await world.letter(tenant) for _ in range(12)]
    await Phone(world, number=withheld).session(letters[0])
    for letter in letters[1:]:
        answer = await Phone(world, number=withheld).sign_in(letter, pin=WRONG)
        assert answer.status_code == 401
    for number in range(4):
        await Phone(world, number=f"+49 40 7{number}").sign_in(letters[0], pin=WRONG)
    assert (await Phone(world, number=withheld).sign_in(letters[0])).status_code == 401


async def test_a_hundred_failures_in_a_row_freeze_until_a_new_letter(tmp_path):
    limits = Limits(stranger_failures_in_a_row=4, stranger_waits_s=(0,))
    async with a_world(tmp_path, limits=limits) as world:
        letter = await world.letter(await world.tenant())
        shown = await Phone(world).session(letter)
        for number in range(4):
            await Phone(world, number=f"+49 40 7{number}").sign_in(letter, pin=WRONG)
        assert (await world.access(letter)).record.state is CredentialState.FROZEN
        assert len(await world.told("CREDENTIAL_FROZEN")) == 1
        assert (await Phone(world).sign_in(letter)).status_code == 401
        assert (await world.inside("hearable", shown)).status_code == 401


async def test_failures_on_the_web_and_by_telephone_are_one_row(tmp_path):
    limits = Limits(stranger_failures_in_a_row=4, stranger_waits_s=(0,))
    async with a_world(tmp_path, limits=limits) as world:
        letter = await world.letter(await world.tenant())
        for number in range(2):
            await Phone(world, number=f"+49 40 7{number}").sign_in(letter, pin=WRONG)
            await world.sign_in(letter, pin=WRONG, address=f"198.51.{number}.1")
        assert (await world.access(letter)).record.state is CredentialState.FROZEN


async def test_under_attack_strangers_wait_and_known_callers_do_not(tmp_path):
    async with a_world(tmp_path, limits=Limits(failures_per_hour=3)) as world:
        tenant = await world.tenant()
        letter, other = await world.letter(tenant), await world.letter(tenant)
        await Phone(world).session(letter)
        for number in range(3):
            await Phone(world, number=f"+49 40 7{number}").sign_in(other, pin=WRONG)
        began = world.clock.s
        assert (await Phone(world).sign_in(letter)).status_code == 201
        assert world.clock.s == began
        stranger = Phone(world, number="+49 40 8")
        newcomer = await world.letter(tenant)
        for login in (UNKNOWN_LOGIN, await stranger.login(newcomer.access_id)):
            began = world.clock.s
            assert (await stranger.key_pin(login, WRONG)).status_code == 401
            assert world.clock.s == began + 10


async def test_a_full_queue_says_busy_and_charges_nothing(world, tenant, phone):
    letter = await world.letter(tenant)
    login = await phone.login(letter.access_id)
    places, world.pool._places = world.pool._places, dict.fromkeys(world.pool._places, 0)
    for _ in range(5):
        busy = await phone.key_pin(login, letter.pin)
        assert busy.status_code == 503
        assert "retry-after" in busy.headers
    assert await world.docs.scan(THROTTLES) == []
    world.pool._places = places
    # Not even of the login's three tries one is gone.
    assert (await world.docs.get(LOGINS, login)).body["tries"] == 0
    assert (await phone.key_pin(login, letter.pin)).status_code == 201


# --- what is kept ---------------------------------------------------------------------------


async def everything_kept(world):
    """The raw values of all that a telephone sign-in leaves behind, deeds included."""
    kept = [
        repr(found).encode()
        for collection in COLLECTIONS
        for found in await world.docs.scan(collection, limit=1_000)
    ]
    for _, document in await world.docs.pending(limit=1_000):
        kept += [event.payload for event in document.pending]
    return b"\n".join(kept)


async def test_nothing_that_was_keyed_and_no_number_is_kept_or_logged(tmp_path, capfd):
    async with a_world(tmp_path) as world:
        letter = await world.letter(await world.tenant(), question=True)
        phone = Phone(world, number="+49 30 90217771234")
        login = await phone.login(letter.access_id)
        guessed = "73519462"
        await phone.key_pin(login, guessed)
        await phone.key_pin(login, letter.pin)
        wrong = await phone.key_answer(login, "88441177")
        answered = await phone.key_answer(login, letter.answer)
        odd = await phone.key_pin(login, letter.pin, call_id=letter.pin + "\n")
        await phone.hang_up(phone.shown(answered.json()["session_id"]))
        digits = "493090217771234"
        secrets = [letter.access_id, letter.pin, guessed, "88441177", digits, digits[2:]]
        secrets += [phone.number, phone.call]
        kept = await everything_kept(world)
        files = b"".join(path.read_bytes() for path in tmp_path.glob("auth.db*"))
        told = capfd.readouterr()
        said = (told.out + told.err + wrong.text + answered.text + odd.text).encode()
        for place in (kept, files, said):
            assert [each for each in secrets if each.encode() in place] == []
        # The control: what is planted is found, so the search can see.
        body = {"said": json.dumps(secrets)}
        await world.docs.insert(LOGINS, Document(new_id(), letter.tenant, body))
        kept = await everything_kept(world)
        files = b"".join(path.read_bytes() for path in tmp_path.glob("auth.db*"))
        for place in (kept, files):
            assert [each for each in secrets if each.encode() in place] == secrets


async def test_a_malformed_body_is_refused_and_repeats_nothing(world, tenant, phone):
    letter = await world.letter(tenant)
    login = await phone.login(letter.access_id)
    for odd in (
        {"pin": int(letter.pin)},
        {"pin": letter.pin * 9},
        {"pin": letter.pin, "call_id": f"{letter.pin} "},
        {"pin": letter.pin, "call_id": ""},
        {"pin": letter.pin, "caller": letter.pin * 9},
        {"pin": letter.pin, "request_id": letter.pin},
    ):
        more = dict(odd)
        answer = await phone.key_pin(login, more.pop("pin"), **more)
        assert answer.status_code == 422
        assert letter.pin not in answer.text
    assert (await phone.key_pin(letter.pin, letter.pin)).status_code == 422
    assert (await phone.key_pin(login, letter.pin)).status_code == 201
