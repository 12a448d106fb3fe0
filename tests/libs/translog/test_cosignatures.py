import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import SecretKey
from voicefile.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from voicefile.translog.cosignature import WitnessKey, cosign, cosignature_in, cosigned_at
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import SignatureLine, VerifierKey, split_note
from voicefile.translog.witnessing import HASHES_MAX, AddCheckpoint

ORIGIN = "vault.example/logs/platform"
LOG_KEY = SigningKey.from_seed(SecretKey(b"k" * 32))
WITNESS = SigningKey.from_seed(SecretKey(b"w" * 32))
OTHER = SigningKey.from_seed(SecretKey(b"x" * 32))
NAME = "dpo.example/w1"
KEY = WitnessKey(NAME, WITNESS.public)
AT_S = 1_679_315_147
SIGNED = sign_checkpoint(Checkpoint(ORIGIN, 7, b"r" * 32), LOG_KEY)
TEXT = split_note(SIGNED)[0]
LINE = str(cosign(TEXT, name=NAME, key=WITNESS, at_s=AT_S))
COSIGNED = SIGNED + LINE
SOMEBODY_ELSES = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
"""A witness of the public network, as other tools write its key."""


def test_a_cosignature_is_what_its_standard_says_by_another_library() -> None:
    raw = base64.b64decode(LINE.split(" ")[2])
    assert LINE.startswith(f"— {NAME} ")
    assert raw[:4].hex() == str(KEY).split("+")[1]
    assert int.from_bytes(raw[4:12], "big") == AT_S
    message = f"cosignature/v1\ntime {AT_S}\n{TEXT}".encode()
    Ed25519PublicKey.from_public_bytes(WITNESS.public).verify(raw[12:], message)


def test_a_key_of_the_public_network_is_read_and_written_alike() -> None:
    key = WitnessKey.parse(SOMEBODY_ELSES)
    assert (key.name, str(key)) == ("remora.n621.de", SOMEBODY_ELSES)


def test_a_witness_tells_when_and_the_log_s_own_signature_still_opens() -> None:
    assert cosigned_at(COSIGNED, KEY) == AT_S
    assert open_checkpoint(COSIGNED, VerifierKey(ORIGIN, LOG_KEY.public)).size == 7


def test_the_latest_of_several_counts() -> None:
    later = str(cosign(TEXT, name=NAME, key=WITNESS, at_s=AT_S + 5))
    assert cosigned_at(SIGNED + later + LINE, KEY) == AT_S + 5


def test_what_another_witness_signed_is_not_this_one_s() -> None:
    assert cosigned_at(COSIGNED, WitnessKey(NAME, OTHER.public)) is None
    assert cosigned_at(COSIGNED, WitnessKey("dpo.example/w2", WITNESS.public)) is None
    with pytest.raises(NoteInvalid):
        cosignature_in(TEXT, LINE, WitnessKey(NAME, OTHER.public))


def test_a_key_that_signs_logs_is_no_witness_s_and_the_other_way_round() -> None:
    with pytest.raises(NoteInvalid):
        WitnessKey.parse(str(VerifierKey(NAME, WITNESS.public)))
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(str(KEY))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(COSIGNED) - 1), to=st.characters(codec="utf-8"))
def test_a_cosigned_checkpoint_with_one_changed_character_is_never_believed(at, to) -> None:
    changed = COSIGNED[:at] + to + COSIGNED[at + 1 :]
    if changed == COSIGNED or at in range(len(TEXT) + 1, len(SIGNED)):
        return  # the log's own line is the log key's to check
    try:
        believed = cosigned_at(changed, KEY)
    except NoteInvalid:
        return
    assert believed is None


@pytest.mark.parametrize("at_s", [0, 2**63])
def test_a_time_that_is_none_is_refused(at_s: int) -> None:
    raw = base64.b64decode(LINE.split(" ")[2])
    line = SignatureLine(NAME, raw[:4], at_s.to_bytes(8, "big") + raw[12:])
    with pytest.raises(NoteInvalid):
        cosigned_at(f"{SIGNED}{line}", KEY)


@given(old=st.integers(0, 2**62), proof=st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_is_read_as_it_was_written(old: int, proof: list[bytes]) -> None:
    asked = AddCheckpoint(old, tuple(proof), SIGNED)
    assert AddCheckpoint.parse(str(asked)) == asked
    assert asked.origin == ORIGIN


HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        SIGNED,
        f"old 1\n{HASH}\n{SIGNED}",
        f"old 01\n\n{SIGNED}",
        f"old -1\n\n{SIGNED}",
        f"old  1\n\n{SIGNED}",
        f"Old 1\n\n{SIGNED}",
        f"old 1\r\n\n{SIGNED}",
        f"old {'9' * 20}\n\n{SIGNED}",
        f"old 1\n{HASH[:-4]}\n\n{SIGNED}",
        f"old 1\n{HASH[:-2]}B=\n\n{SIGNED}",
        "old 1\n" + f"{HASH}\n" * (HASHES_MAX + 1) + f"\n{SIGNED}",
        f"old 1\n\n{TEXT}",
        f"old 1\n\n{SIGNED}" + "— a b\n",
        f"old 1\n\n{SIGNED}" + LINE * 32,
        f"old 1\n\n{SIGNED}" + "x" * 300_000,
    ],
)
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        AddCheckpoint.parse(text)
