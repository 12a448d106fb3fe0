"""The verifier's page in a real browser without any network: the same answers as the command's."""

import base64
import hashlib
import random
import re

import pytest
from tests.libs.verify.log_world import bundle, filed, opened
from tests.libs.verify.manipulations import ON_BUNDLES, Forger

from voicefile.verify.bundle import read_bundle
from voicefile.verify.evidence import Trusted
from voicefile.verify.judge import judge
from voicefile.verify.page import page_html
from voicefile.verify.refuted import Refuted

pytestmark = pytest.mark.timeout(300)
SEED = "the page and the command agree"
FORGED_EACH = 3

ASK = """async ([encoded, key, witness]) => {
  const raw = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  const found = await verifyBundle(raw, key, witness);
  return {proven: found.proven, digits: found.digits ?? '', deeds: found.deeds?.length ?? 0,
    cosigned: found.cosigned?.map((each) => each.name) ?? [], strangers: found.strangers ?? [],
    wrong: found.wrong.map((each) => [each.file, each.place, each.what])};
}"""


@pytest.fixture
def verifier(page, tmp_path):
    """The page, opened from disk; whatever it asks of a network is refused and noticed."""
    path = tmp_path / "verify.html"
    path.write_text(page_html())
    asked = []
    page.context.set_offline(offline=True)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert asked == [path.as_uri()]


def asked(verifier, raw, log, *, key=None):
    line = str(log.key) if key is None else key
    return verifier.evaluate(ASK, [base64.b64encode(raw).decode(), line, [str(log.witness)]])


def commanded(raw, log):
    """The files that the command would name."""
    try:
        evidence = read_bundle(opened(raw))
    except Refuted as refuted:
        return {refuted.file}
    return {each.file for each in judge(evidence, Trusted(log.key, (log.witness,))).wrong}


def chosen(verifier, raw, key=""):
    """A person chooses a file, pastes a key, and reads the answer."""
    file = {"name": "evidence.zip", "mimeType": "application/zip", "buffer": raw}
    verifier.set_input_files("#bundle", file)
    verifier.fill("#key", key)
    verifier.click("#say-check")
    verifier.wait_for_selector("#result.proven, #result.wrong, #result.unconfirmed")
    return verifier.get_attribute("#result", "class"), verifier.inner_text("#result")


def test_a_person_sees_that_a_bundle_is_proven(verifier, tmp_path):
    filing = filed()
    kind, said = chosen(verifier, bundle(filing.papers()), str(filing.log.key))
    verifier.screenshot(path=tmp_path / "proven.png", full_page=True)
    assert kind == "proven"
    assert said.startswith("Bewiesen")
    assert filing.recording in said


def test_a_person_sees_which_file_is_wrong(verifier, tmp_path):
    filing = filed()
    raw = bytearray(bundle(filing.papers()))
    raw[-1000] ^= 1
    kind, said = chosen(verifier, bytes(raw), str(filing.log.key))
    verifier.screenshot(path=tmp_path / "wrong.png", full_page=True)
    assert kind == "wrong"
    assert "audio.wav: im Ganzen: beschädigt" in said


def test_without_a_key_a_person_is_told_that_nothing_is_proven(verifier):
    filing = filed()
    kind, said = chosen(verifier, bundle(filing.papers()))
    assert kind == "unconfirmed"
    assert said.startswith("In sich stimmig, nicht bewiesen")


def test_the_page_says_what_the_command_says(verifier):
    filing = filed()
    log, raw = filing.log, bundle(filing.papers())
    evidence = judge(read_bundle(opened(raw)), Trusted(log.key, (log.witness,)))
    assert asked(verifier, raw, log) == {
        "proven": True,
        "digits": evidence.digits,
        "deeds": 3,
        "cosigned": [log.witness.name],
        "strangers": [],
        "wrong": [],
    }
    assert not asked(verifier, raw, log, key="")["proven"]
    assert asked(verifier, raw, log, key="x")["wrong"][0][0] == "log key"


@pytest.mark.parametrize("what", ON_BUNDLES)
def test_no_manipulation_gets_past_the_page(verifier, what):
    chance = random.Random(f"{SEED} {what}")
    forger = Forger(chance)
    for _ in range(FORGED_EACH):
        forged, named = getattr(forger, what)()
        if forged == forger.raw:
            continue
        answer = asked(verifier, forged, forger.filing.log)
        assert not answer["proven"]
        files = {each[0] for each in answer["wrong"]}
        assert named & files, answer["wrong"]
        assert files & commanded(forged, forger.filing.log)


OLD = """() => {
  const verify = crypto.subtle.verify.bind(crypto.subtle);
  const importKey = crypto.subtle.importKey.bind(crypto.subtle);
  Object.defineProperty(crypto.subtle, 'importKey', {value: async (...asked) => {
    if (asked[2].name === 'Ed25519') throw new DOMException('unrecognised', 'NotSupportedError');
    return importKey(...asked);
  }});
}"""


def test_a_browser_without_these_signatures_says_so_and_never_yes(verifier):
    verifier.evaluate(OLD)
    filing = filed()
    kind, said = chosen(verifier, bundle(filing.papers()), str(filing.log.key))
    assert kind == "wrong"
    assert said.startswith("Dieser Browser kann nicht prüfen")


def test_a_browser_that_says_yes_to_any_signature_is_not_believed(verifier):
    verifier.evaluate(
        "() => Object.defineProperty(crypto.subtle, 'verify', {value: async () => true})"
    )
    filing = filed()
    _, said = chosen(verifier, bundle(filing.papers()), str(filing.log.key))
    assert said.startswith("Dieser Browser kann nicht prüfen")


def test_the_pages_policy_allows_exactly_its_own_script_and_style():
    page = page_html()
    policy = re.search(r'Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "http:" not in page
    assert "https:" not in page
