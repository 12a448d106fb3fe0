"""Evidence: who may hear a recording takes it away with its proof, and a stranger believes it."""

import io
import shutil
import subprocess
import sys
import zipfile
from collections import Counter

import pytest
from tests.stand import stand

from voicefile.cli.partner import sample
from voicefile.translog.note import VerifierKey
from voicefile.verify.bundle import read_bundle
from voicefile.verify.deed_wire import ACTIONS, word
from voicefile.verify.evidence import Trusted
from voicefile.verify.judge import judge
from voicefile.verify.refuted import Refuted

QUESTION = {"kind": "postcode", "answer": "10115"}


@pytest.fixture
async def vault(tmp_path):
    async with stand(tmp_path) as running:
        yield running


@pytest.fixture
def company(vault):
    return vault.companies[0]


def path_of(filed):
    return f"/playback/v1/recordings/{filed['recording_id']}/evidence"


async def log_key(company):
    answer = await company.client.get(f"/audit/v1/logs/{company.id}/key")
    return VerifierKey.parse(answer.raise_for_status().text.strip())


async def care(company):
    token = await company.staff_token("care")
    return {"Authorization": f"Bearer {token}", "Purpose": "dispute"}


async def judged(company, raw):
    return judge(read_bundle(io.BytesIO(raw)), Trusted(await log_key(company)))


async def test_a_customers_bundle_proves_what_was_filed(vault, company):
    filed = (await company.upload()).json()
    session = await company.session(filed["access_id"], filed["pin"])
    await vault.settled()
    answer = await company.client.get(path_of(filed), headers=session)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="evidence.zip"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    judgement = await judged(company, answer.content)
    assert judgement.proven
    assert judgement.case.receipt.text == filed["receipt"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        assert bundle.testzip() is None
        assert bundle.read("audio.wav") == sample()


async def test_the_next_bundle_tells_of_the_one_before(vault, company):
    filed = (await company.upload()).json()
    session = await company.session(filed["access_id"], filed["pin"])
    await vault.settled()
    await company.client.get(path_of(filed), headers=session)
    neighbour = (await company.upload()).json()
    other = await company.session(neighbour["access_id"], neighbour["pin"])
    for stranger in (other, await care(vault.companies[1])):
        answer = await company.client.get(path_of(filed), headers=stranger)
        assert answer.status_code == 404
    await vault.settled()
    answer = await company.client.get(path_of(filed), headers=await care(company))
    judgement = await judged(company, answer.content)
    assert judgement.proven
    # Two services tell of it, and either may be the first to reach the log. What was refused to
    # somebody else is nobody's evidence.
    assert Counter(word(ACTIONS, each.entry.deed.action) for each in judgement.case.deeds) == {
        "access-issued": 1,
        "recording-stored": 1,
        "proof-read": 1,
        "release-granted": 1,
        "recording-downloaded": 1,
    }


async def test_a_changed_bundle_is_found_out_by_the_command(vault, company, tmp_path):
    filed = (await company.upload()).json()
    session = await company.session(filed["access_id"], filed["pin"])
    await vault.settled()
    raw = (await company.client.get(path_of(filed), headers=session)).content
    middle = raw.index(sample()[-400:])
    (tmp_path / "good.zip").write_bytes(raw)
    (tmp_path / "bad.zip").write_bytes(raw[:middle] + b"\x00\x01" + raw[middle + 2 :])
    command = shutil.which("voicefile-verify", path=f"{sys.prefix}/bin")
    key = str(await log_key(company))

    def say(name):
        words = [command, str(tmp_path / name), "--log-key", key]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    good, bad = say("good.zip"), say("bad.zip")
    assert (good.returncode, bad.returncode) == (0, 1)
    assert "audio.wav" in bad.stdout
    with pytest.raises(Refuted):
        read_bundle(io.BytesIO((tmp_path / "bad.zip").read_bytes()))


async def test_a_sensitive_recordings_evidence_needs_the_answer(vault, company):
    plain = (await company.upload()).json()
    session = await company.session(plain["access_id"], plain["pin"])
    joined = await company.upload(
        join_access_id=plain["access_id"], sensitive=True, question=QUESTION
    )
    assert joined.status_code == 201, joined.text
    await vault.settled()
    assert (await company.client.get(path_of(plain), headers=session)).status_code == 200
    refused = await company.client.get(path_of(joined.json()), headers=session)
    assert (refused.status_code, refused.json()["type"]) == (404, "urn:voicefile:problem:not-found")


async def test_until_the_log_proves_it_the_answer_is_later(company):
    filed = (await company.upload()).json()
    session = await company.session(filed["access_id"], filed["pin"])
    seen = set()
    for _ in range(400):
        answer = await company.client.get(path_of(filed), headers=session)
        seen.add(answer.status_code)
        if answer.status_code == 200:
            break
        assert answer.json()["type"] == "urn:voicefile:problem:proof-pending"
        assert answer.headers["retry-after"] == "2"
    assert 200 in seen


async def test_care_must_say_why(vault, company):
    filed = (await company.upload()).json()
    await vault.settled()
    token = {"Authorization": f"Bearer {await company.staff_token('care')}"}
    answer = await company.client.get(path_of(filed), headers=token)
    assert (answer.status_code, answer.json()["type"]) == (
        422,
        "urn:voicefile:problem:purpose-missing",
    )


async def test_the_portal_hands_it_on(vault, company):
    filed = (await company.upload()).json()
    session = await company.session(filed["access_id"], filed["pin"])
    cookie = {"Cookie": f"__Host-vf_session={session['Authorization'].removeprefix('Bearer ')}"}
    await vault.settled()
    page = await company.client.get(f"/portal/recordings/{filed['recording_id']}", headers=cookie)
    link = f"/portal/recordings/{filed['recording_id']}/evidence"
    assert f'href="{link}' in page.text
    answer = await company.client.get(link, headers=cookie)
    assert answer.headers["content-disposition"] == 'attachment; filename="evidence.zip"'
    assert (await judged(company, answer.content)).proven
