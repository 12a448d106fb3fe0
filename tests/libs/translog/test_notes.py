import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import SecretKey
from voicefile.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from voicefile.translog.errors import NoteInvalid, ProofInvalid, TranslogError
from voicefile.translog.merkle import Frontier, leaf_hash
from voicefile.translog.note import VerifierKey, open_note, sign_note
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.proofs import inclusion_proof
from voicefile.translog.tiles import grown_tiles, hash_reader

ORIGIN = "vault.example/logs/platform"
KEY = SigningKey.from_seed(SecretKey(b"k" * 32))
VKEY = VerifierKey(ORIGIN, KEY.public)
OTHER_KEY = SigningKey.from_seed(SecretKey(b"o" * 32))
LEAVES = [bytes([i]) * 32 for i in range(100)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
CHECKPOINT = Checkpoint(ORIGIN, 100, Frontier().extended(HASHES).root())
SIGNED = sign_checkpoint(CHECKPOINT, KEY)


def proof_of(index: int, *, extra: bytes = b"") -> TlogProof:
    hashes = inclusion_proof(index, 100, hash_reader(grown_tiles(0, HASHES, {})))
    return TlogProof(index, tuple(hashes), SIGNED, extra)


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    lines = SIGNED.split("\n")
    assert lines[:2] == [ORIGIN, "100"]
    assert base64.b64decode(lines[2]) == CHECKPOINT.root
    assert lines[3] == ""
    assert lines[4].startswith(f"— {ORIGIN} ")
    assert lines[5:] == [""]
    assert open_checkpoint(SIGNED, VKEY) == CHECKPOINT


def test_another_key_of_the_same_name_did_not_sign() -> None:
    with pytest.raises(NoteInvalid):
        open_checkpoint(SIGNED, VerifierKey(ORIGIN, OTHER_KEY.public))


def test_a_checkpoint_of_another_log_is_not_taken_for_this_one_s() -> None:
    note = sign_note(CHECKPOINT.text().replace("platform", "another"), name=ORIGIN, key=KEY)
    with pytest.raises(NoteInvalid):
        open_checkpoint(note, VKEY)


def test_a_witness_s_line_beside_the_log_s_is_left_alone() -> None:
    witnessed = SIGNED + "— witness.example Zm9vYmFy\n"
    assert open_checkpoint(witnessed, VKEY) == CHECKPOINT


def test_a_wrong_signature_under_the_right_name_spoils_the_note() -> None:
    line = SIGNED.split("\n")[4]
    raw = bytearray(base64.b64decode(line.split(" ")[2]))
    raw[-1] ^= 1
    spoilt = f"{SIGNED}— {ORIGIN} {base64.b64encode(raw).decode()}\n"
    with pytest.raises(NoteInvalid):
        open_note(spoilt, VKEY)


@settings(max_examples=400, deadline=None)
@given(at=st.integers(0, len(SIGNED) - 1), to=st.characters(codec="utf-8"))
def test_a_checkpoint_with_one_changed_character_never_opens(at: int, to: str) -> None:
    changed = SIGNED[:at] + to + SIGNED[at + 1 :]
    if changed != SIGNED:
        with pytest.raises(NoteInvalid):
            open_checkpoint(changed, VKEY)


@pytest.mark.parametrize(
    "body",
    [
        f"{ORIGIN}\n100\n",
        f"{ORIGIN}\n0100\n{'A' * 43}=\n",
        f"{ORIGIN}\n-1\n{'A' * 43}=\n",
        f"{ORIGIN}\n1٠\n{'A' * 43}=\n",
        f"{ORIGIN}\n{'9' * 20}\n{'A' * 43}=\n",
        f"{ORIGIN}\n100\nAAAA\n",
        f"{ORIGIN}\n100\n{'A' * 42}B=\n",
        f"{ORIGIN}\n100\n{'A' * 43}=\n\nx\n",
    ],
)
def test_what_is_signed_but_no_checkpoint_is_refused(body: str) -> None:
    with pytest.raises(NoteInvalid):
        open_checkpoint(sign_note(body, name=ORIGIN, key=KEY), VKEY)


@pytest.mark.parametrize("text", ["no newline", "tab\there\n", "nul\0\n", "\ud800\n", ""])
def test_what_is_no_text_is_not_signed(text: str) -> None:
    with pytest.raises(NoteInvalid):
        sign_note(text, name=ORIGIN, key=KEY)


@pytest.mark.parametrize("name", ["", "with space", "with+plus", "with\u00a0space"])
def test_what_is_no_name_signs_nothing(name: str) -> None:
    with pytest.raises(NoteInvalid):
        sign_note("text\n", name=name, key=KEY)


@pytest.mark.parametrize(
    "text",
    [
        *("", "name", "name+12345678", str(VKEY)[:-1], str(VKEY)[1:], f"{VKEY}A"),
        str(VKEY).replace("+", "+0", 1),
        "n+00000000+AAAA",
        "n+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_a_mangled_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(text)


@pytest.mark.parametrize("index", [0, 1, 63, 64, 99])
@pytest.mark.parametrize("extra", [b"", b"salt and entry"])
def test_a_proof_as_text_verifies_offline(index: int, extra: bytes) -> None:
    text = str(proof_of(index, extra=extra))
    assert text.startswith("c2sp.org/tlog-proof@v1\n")
    proof = TlogProof.parse(text)
    assert proof == proof_of(index, extra=extra)
    assert proof.verify(LEAVES[index], VKEY) == CHECKPOINT


def test_a_proof_of_one_leaf_is_no_proof_of_another() -> None:
    with pytest.raises(ProofInvalid):
        proof_of(5).verify(LEAVES[6], VKEY)


PROOF_TEXT = str(proof_of(37))


@settings(max_examples=600, deadline=None)
@given(at=st.integers(0, len(PROOF_TEXT) - 1), to=st.characters(codec="utf-8"))
def test_a_proof_with_one_changed_character_never_verifies(at: int, to: str) -> None:
    changed = PROOF_TEXT[:at] + to + PROOF_TEXT[at + 1 :]
    if changed != PROOF_TEXT:
        with pytest.raises(TranslogError):
            TlogProof.parse(changed).verify(LEAVES[37], VKEY)


@pytest.mark.parametrize(
    "text",
    [
        *("", "c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\nindex 1\n"),
        "c2sp.org/tlog-proof@v1\nindex x\n\n",
        "c2sp.org/tlog-proof@v1\nindex 01\n\n",
        "c2sp.org/tlog-proof@v1\nextra !!\nindex 1\n\n",
        "c2sp.org/tlog-proof@v1\nextra YQ==\n\n",
        "c2sp.org/tlog-proof@v1\nindex 1\nYQ==\n\n",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + f"{'A' * 43}=\n" * 65 + "\n",
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        TlogProof.parse(text)
