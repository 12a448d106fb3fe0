"""Sensitive recordings: one more question, and nobody hears them who has not answered it."""

import pytest
from tests.stand import stand

from voicefile.cli.partner import sample

ANSWERED = "/auth/v1/customer-sessions/answers"
QUESTION = {"kind": "iban_last4", "answer": "4711"}
SENSITIVE = {"sensitive": True, "question": QUESTION}


@pytest.fixture
async def vault(tmp_path):
    async with stand(tmp_path) as running:
        yield running


@pytest.fixture
def company(vault):
    return vault.companies[0]


async def answered(company, filed, answer="4711"):
    asked = (await company.sign_in(filed["access_id"], filed["pin"])).raise_for_status().json()
    said = {"challenge": asked["challenge"], "answer": answer}
    return await company.client.post(ANSWERED, json=said)


async def opened(company, filed, answer="4711"):
    session = (await answered(company, filed, answer)).raise_for_status().json()
    return {"Authorization": f"Bearer {session['session_token']}"}


async def heard(company, filed, session):
    return await company.client.get(
        f"/playback/v1/recordings/{filed['recording_id']}/audio", headers=session
    )


async def test_a_sensitive_recording_is_heard_after_pin_and_answer(company):
    filed = (await company.upload(**SENSITIVE)).json()
    assert filed["question_kind"] == "iban_last4"
    session = await opened(company, filed)
    assert (await heard(company, filed, session)).content == sample()


async def test_the_pin_alone_opens_no_session(company):
    filed = (await company.upload(**SENSITIVE)).json()
    asked = (await company.sign_in(filed["access_id"], filed["pin"])).json()
    assert set(asked) == {"question", "challenge"}
    assert asked["question"] == {"kind": "iban_last4", "prompt": ""}
    guess = {"Authorization": f"Bearer {asked['challenge']}"}
    assert (await heard(company, filed, guess)).status_code == 401


async def test_a_wrong_answer_opens_nothing_and_looks_like_an_unknown_challenge(company):
    filed = (await company.upload(**SENSITIVE)).json()
    wrong = await answered(company, filed, "4712")
    made_up = await company.client.post(ANSWERED, json={"challenge": "x" * 43, "answer": "4711"})
    assert (wrong.status_code, wrong.content) == (401, made_up.content)
    assert (await answered(company, filed)).status_code == 201


async def test_a_challenge_is_good_for_one_session(company):
    filed = (await company.upload(**SENSITIVE)).json()
    asked = (await company.sign_in(filed["access_id"], filed["pin"])).json()
    said = {"challenge": asked["challenge"], "answer": "4711"}
    assert (await company.client.post(ANSWERED, json=said)).status_code == 201
    assert (await company.client.post(ANSWERED, json=said)).status_code == 401


@pytest.mark.parametrize(
    ("kind", "answer", "typed"),
    [
        ("iban_last4", "4711", "47 11"),
        ("birth_date", "13081961", "13.08.1961"),
        ("postcode", "10115", "10115"),
        ("digits", "0042", "0042"),
    ],
)
async def test_every_kind_of_question_is_asked_in_its_words(company, kind, answer, typed):
    question = {"kind": kind, "answer": answer, "prompt": "Die vereinbarte Zahl?"}
    filed = (await company.upload(sensitive=True, question=question)).json()
    asked = (await company.sign_in(filed["access_id"], filed["pin"])).json()
    assert asked["question"] == {"kind": kind, "prompt": "Die vereinbarte Zahl?"}
    assert await opened(company, filed, typed)


async def test_a_question_to_a_recording_that_is_not_sensitive_is_not_asked(company):
    filed = (await company.upload(question=QUESTION)).json()
    assert filed["question_kind"] is None
    assert await company.session(filed["access_id"], filed["pin"])


async def test_a_second_recording_joins_the_id_and_tells_no_pin(company):
    first = (await company.upload(contract_reference="V-1")).json()
    session = await company.session(first["access_id"], first["pin"])
    spaced = " ".join(first["access_id"][at : at + 4] for at in (0, 4, 8))
    second = (await company.upload(contract_reference="V-2", join_access_id=spaced)).json()
    assert second["access_id"] == first["access_id"]
    assert "pin" not in second
    for filed in (first, second):
        assert (await heard(company, filed, session)).content == sample()


async def test_a_session_opened_before_a_sensitive_join_never_hears_it(company):
    first = (await company.upload()).json()
    before = await company.session(first["access_id"], first["pin"])
    joined = (await company.upload(**SENSITIVE, join_access_id=first["access_id"])).json()
    assert joined["question_kind"] == "iban_last4"
    shown = (await company.client.get("/playback/v1/recordings", headers=before)).json()
    assert {each["recording_id"]: each["heard"] for each in shown["recordings"]} == {
        first["recording_id"]: True,
        joined["recording_id"]: False,
    }
    assert (await heard(company, joined, before)).status_code == 404
    after = await opened(company, first)
    assert (await heard(company, joined, after)).content == sample()


async def test_a_join_can_not_replace_the_question_that_is_there(company):
    first = (await company.upload(**SENSITIVE)).json()
    other = {"kind": "postcode", "answer": "10115", "prompt": "Wo?"}
    joined = (
        await company.upload(sensitive=True, question=other, join_access_id=first["access_id"])
    ).json()
    assert joined["question_kind"] == "iban_last4"
    asked = (await company.sign_in(first["access_id"], first["pin"])).json()
    assert asked["question"] == {"kind": "iban_last4", "prompt": ""}
    session = await opened(company, first)
    assert (await heard(company, joined, session)).content == sample()


async def test_care_sees_which_recordings_are_sensitive_and_hears_them_with_a_purpose(company):
    filed = (await company.upload(**SENSITIVE, contract_reference="V-9")).json()
    token = await company.staff_token("care")
    agent = {"Authorization": f"Bearer {token}", "Purpose": "dispute"}
    found = await company.client.post(
        "/auth/v1/customer-searches", headers=agent, json={"contract_reference": "V-9"}
    )
    [customer] = found.json()["customers"]
    assert customer["recordings"][0]["sensitive"] is True
    assert (await heard(company, filed, agent)).content == sample()
    without = {"Authorization": f"Bearer {token}"}
    assert (await heard(company, filed, without)).status_code == 422
