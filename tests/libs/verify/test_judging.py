"""What a judge says of evidence: proven, consistent in itself, or wrong and where."""

import dataclasses
import hashlib
import zipfile

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.libs.verify.log_world import (
    AUDIO,
    WITNESS_NAME,
    Keys,
    bundle,
    claims_of,
    edited_claims,
    filed,
    opened,
    signed_receipt,
)

from voicefile.contracts.deed.v1 import Action, Deed, Outcome, Purpose, Role
from voicefile.verify.bundle import AudioDiffers, BundleWriter, read_bundle
from voicefile.verify.deed_list import deeds_text
from voicefile.verify.deed_wire import ACTIONS, OUTCOMES, PURPOSES, ROLES, read_deed, word
from voicefile.verify.digits import spoken_digits
from voicefile.verify.evidence import Trusted
from voicefile.verify.judge import judge
from voicefile.verify.receipt import parse_receipt
from voicefile.verify.refuted import Refuted


@pytest.fixture
def filing():
    return filed()


def judged(filing, raw=None, *, known=True, witnesses=True):
    log = filing.log
    trusted = Trusted(log.key if known else None, (log.witness,) if witnesses else ())
    return judge(read_bundle(opened(raw or bundle(filing.papers()))), trusted)


def wrong(judgement):
    return [(each.file, each.place) for each in judgement.wrong]


def test_a_bundle_proves_its_recording(filing):
    judgement = judged(filing)
    assert judgement.proven
    case = judgement.case
    assert case.receipt.recording == filing.recording
    assert case.checkpoint.size == len(filing.log.entries)
    assert [each.entry.index for each in case.deeds] == list(filing.about)
    assert [each.name for each in judgement.cosigned] == [WITNESS_NAME]
    assert judgement.strangers == ()
    assert judgement.digits == spoken_digits(filing.receipt)


def test_without_a_key_from_elsewhere_nothing_is_proven(filing):
    judgement = judged(filing, known=False)
    assert judgement.wrong == ()
    assert not judgement.proven


def test_a_witness_nobody_asked_for_is_a_stranger(filing):
    judgement = judged(filing, witnesses=False)
    assert judgement.proven
    assert (judgement.cosigned, judgement.strangers) == ((), (WITNESS_NAME,))


def test_a_bundle_may_list_no_deeds(filing):
    papers = filing.papers(deeds=deeds_text([]))
    assert judged(filing, bundle(papers)).proven


def test_the_same_evidence_is_the_same_bytes_however_it_streams(filing):
    assert bundle(filing.papers(), piece=7) == bundle(filing.papers(), piece=100_000)


def test_the_size_is_known_before_the_audio_has_streamed(filing):
    writer = BundleWriter(filing.papers(), "audio.wav")
    writer.begin()
    assert writer.size(len(AUDIO)) == len(bundle(filing.papers()))


def test_any_zip_reader_opens_a_bundle(filing):
    with zipfile.ZipFile(opened(bundle(filing.papers()))) as packed:
        assert packed.testzip() is None
        assert packed.namelist()[0] == "VERIFY.txt"
        assert packed.read("audio.wav") == AUDIO
        assert packed.read("receipt.jws").decode() == filing.receipt
        assert "Deutsch" in packed.read("VERIFY.txt").decode()


def test_other_audio_makes_no_bundle(filing):
    with pytest.raises(AudioDiffers):
        bundle(filing.papers(), audio=AUDIO[:-1])


def test_other_audio_in_a_finished_bundle_is_named(filing):
    evidence = read_bundle(opened(bundle(filing.papers())))
    other = dataclasses.replace(evidence, audio_sha256=hashlib.sha256(b"").hexdigest())
    assert wrong(judge(other, Trusted(filing.log.key))) == [("audio.wav", "whole")]


def test_another_logs_key_is_not_taken(filing):
    filing.log.keys = Keys(log=b"another " * 4)
    other = filing.log.key
    filing.log.keys = Keys()
    judgement = judge(read_bundle(opened(bundle(filing.papers()))), Trusted(other))
    assert wrong(judgement) == [("receipt.tlog-proof", "checkpoint")]


def test_a_receipt_signed_again_with_another_time_is_not_the_logs(filing):
    claims = claims_of(filing.log, filing.recording, stored_at="2026-01-15T08:00:00.000Z")
    backdated = signed_receipt(filing.log.keys, **claims)
    judgement = judged(filing, bundle(filing.papers(receipt=backdated)))
    assert wrong(judgement) == [("receipt.jws", "whole"), ("receipt.jws", "claim stored_at")]


def test_an_edited_receipt_fails_by_log_and_by_signature(filing):
    papers = filing.papers(receipt=edited_claims(filing.receipt, sensitive=True))
    found = wrong(judged(filing, bundle(papers)))
    assert found == [("receipt.jws", "whole"), ("receipt.jws", "signature")]


def test_a_key_the_log_never_named_is_refused(filing):
    thief = Keys(receipts=b"a thief " * 4)
    papers = filing.papers(receipt_key=str(thief.receipt_key))
    found = wrong(judged(filing, bundle(papers)))
    assert found == [("receipt.jws", "signature"), ("receipt-key.json", "x")]


def named_later(filing, kid, commitment):
    """The same filing, its key named by a deed of its own and not by the tenant's opening."""
    at = filing.log.add(Action.ACTION_SIGNING_KEY_ADDED, kid, commitment=commitment)
    return dataclasses.replace(filing, opened_at=at)


def test_a_key_that_was_added_later_is_named_by_a_deed_of_its_own(filing):
    kid = filing.log.keys.receipt_key.kid
    later = named_later(filing, kid, filing.log.named_key())
    assert judged(later, bundle(later.papers())).proven


@pytest.mark.parametrize(
    ("kid", "commitment", "place"),
    [
        ("cc" * 16, None, ("receipt-key.tlog-proof", "deed object_id")),
        (None, bytes(32), ("receipt-key.json", "x")),
    ],
)
def test_a_deed_about_another_key_names_none(filing, kid, commitment, place):
    own = filing.log.keys.receipt_key.kid
    other = named_later(filing, kid or own, commitment or filing.log.named_key())
    assert place in wrong(judged(other, bundle(other.papers())))


def test_a_receipts_signature_is_the_one_pyjwt_checks(filing):
    public = Ed25519PublicKey.from_public_bytes(filing.log.keys.receipt_key.public)
    claims = jwt.decode(filing.receipt, public, algorithms=["EdDSA"])
    receipt = parse_receipt(filing.receipt)
    assert receipt.recording == claims["recording_id"]
    assert receipt.stored_at_ms == 1_800_000_000_000


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("v", 2),
        ("tenant", "AA" * 16),
        ("stored_at", "2027-02-30T08:00:00.000Z"),
        ("audio_sha256", None),
        ("sensitive", 0),
        ("log", "elsewhere"),
    ],
)
def test_a_claim_out_of_its_form_is_named(filing, claim, value):
    claims = claims_of(filing.log, filing.recording) | {claim: value}
    receipt = signed_receipt(filing.log.keys, **claims)
    with pytest.raises(Refuted) as refuted:
        parse_receipt(receipt)
    assert refuted.value.place == f"claim {claim}"


def test_the_digits_are_what_the_documentation_derives():
    text = "eyJh.eyJi.c2ln"
    digest = hashlib.sha256(b"voicefile/receipt-digits\x00" + text.encode()).digest()
    assert spoken_digits(text) == f"{int(digest.hex()[:16], 16) % 1_000_000:06d}" == "149075"


def test_deeds_are_read_like_protobuf_reads_them(filing):
    names = {field.name for field in Deed.DESCRIPTOR.fields}
    for _, entry in filing.log.entries:
        deed, ours = Deed.FromString(entry), read_deed(entry)
        assert set(ours.__dataclass_fields__) == names
        for name in names:
            assert getattr(ours, name) == getattr(deed, name)


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_half_a_deed_is_none(filing, cut):
    with pytest.raises(ValueError, match="protobuf"):
        read_deed(filing.log.entries[0][1][:cut])


def test_what_later_versions_add_to_a_deed_is_passed_over(filing):
    entry = filing.log.entries[0][1]
    added = entry + bytes([0xFA, 0x3F, 3]) + b"new" + bytes([0x80, 0x40, 7])  # fields 1023, 1024
    assert read_deed(added) == read_deed(entry)


@pytest.mark.parametrize(
    ("words", "enum", "prefix"),
    [
        (ROLES, Role, "ROLE_"),
        (ACTIONS, Action, "ACTION_"),
        (OUTCOMES, Outcome, "OUTCOME_"),
        (PURPOSES, Purpose, "PURPOSE_"),
    ],
)
def test_the_verifier_knows_the_contracts_words(words, enum, prefix):
    told = {number: name.removeprefix(prefix) for name, number in enum.items()}
    contract = {number: name.lower().replace("_", "-") for number, name in told.items()}
    assert contract.items() <= dict(enumerate(words)).items()


def test_a_deed_is_told_in_words(filing):
    (filed_at, *_) = filing.about
    told = str(read_deed(filing.log.entries[filed_at][1]))
    assert told == "2027-01-15T08:00:00+00:00 access-issued, partner, done"
    assert word(ACTIONS, 4_000) == "code-4000"
