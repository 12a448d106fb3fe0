"""Shred certificates: true ones are told apart from whatever somebody made of them."""

import json

import pytest

from voicefile.auth.erasing.certificate import Shredded, What, Why, shred_certificate
from voicefile.auth.keys.compact_jws import base64url, public_jwk, signed
from voicefile.auth.keys.custody import Signer
from voicefile.crypto.primitives import SigningKey
from voicefile.verify.certificate import check_certificate, parse_certificate
from voicefile.verify.command import PROVEN, UNREADABLE, WRONG, run_verify
from voicefile.verify.receipt import ReceiptKey
from voicefile.verify.refuted import Refuted

TENANT, RECORDING, DEED = "aa" * 16, "bb" * 16, "dd" * 16
SIGNER = Signer("k1", SigningKey.generate())
KEYS = [ReceiptKey("k1", SIGNER.key.public)]


def certificate(**changes):
    words = {
        "what": What.RECORDING,
        "tenant": TENANT,
        "recording": RECORDING,
        "erased_at_ms": 1_800_000_000_000,
        "why": Why.EXPIRED,
        "deed": DEED,
        "keys_end_by_s": 1_800_600_000,
        **changes,
    }
    return shred_certificate(
        Shredded(**words), issuer="test", log=f"voicefile/test/{TENANT}", signer=SIGNER
    )


@pytest.mark.parametrize("what", list(What))
def test_a_true_one_is_believed(what):
    text = certificate(what=what, recording="" if what is What.TENANT else RECORDING)
    found = parse_certificate(text)
    check_certificate(found, KEYS)
    assert found.claims["what"] == what.value
    assert found.recording == ("" if what is What.TENANT else RECORDING)


def test_no_bit_of_it_can_be_changed():
    text = certificate()
    for place in range(len(text)):
        for sign in "A", "b", ".", "é":
            changed = text[:place] + sign + text[place + 1 :]
            if changed == text:
                continue
            with pytest.raises(Refuted):
                check_certificate(parse_certificate(changed), KEYS)


def test_another_key_and_another_kind_of_paper_are_refused():
    stranger = Signer("k1", SigningKey.generate())
    with pytest.raises(Refuted):
        check_certificate(parse_certificate(certificate()), [ReceiptKey("k1", stranger.key.public)])
    with pytest.raises(Refuted):
        check_certificate(parse_certificate(certificate()), [])
    claims = {"v": 1, "iss": "test", "tenant": TENANT, "recording_id": RECORDING}
    receipt = signed(claims, typ="voicefile-receipt+jwt", signer=SIGNER)
    with pytest.raises(Refuted):
        parse_certificate(receipt)


def test_the_command_says_what_was_erased(tmp_path, capsys):
    (tmp_path / "c").write_text(certificate() + "\n")
    keys = {"keys": [public_jwk("k1", SIGNER.key.public)]}
    (tmp_path / "keys").write_text(json.dumps(keys))
    words = ["--certificate", str(tmp_path / "c"), "--receipt-keys", str(tmp_path / "keys")]
    assert run_verify(words) == PROVEN
    said = capsys.readouterr().out
    assert said.startswith("SIGNED\n")
    assert RECORDING in said
    assert "2027-01-15T08:00:00.000Z" in said
    keys = {"keys": [{**keys["keys"][0], "x": base64url(bytes(32))}]}
    (tmp_path / "keys").write_text(json.dumps(keys))
    assert run_verify(words) == WRONG
    assert run_verify(words[:2]) == UNREADABLE
    (tmp_path / "keys").write_text("[]")
    assert run_verify(words) == UNREADABLE
