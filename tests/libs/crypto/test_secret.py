"""Secrets don't travel by accident."""

import copy
import dataclasses
import json
import logging
import pickle

import pytest

from voicefile.crypto.envelope import Context, Envelope, Kind
from voicefile.crypto.errors import Malformed
from voicefile.crypto.keyring import EpochKey, IdentityKey
from voicefile.crypto.primitives import AesGcm, SealingKeyPair, SigningKey, XChaCha
from voicefile.crypto.secret import DataKey, SecretKey, SecretText
from voicefile.crypto.stream import Opener, Sealer, seal

BYTES = bytes(range(32))
CONTEXT = Context(b"house", "", b"object", Kind.AUDIO)
KEY = SecretKey(BYTES)
PAIR = SealingKeyPair.from_secret(KEY)
SEALED = seal(KEY, CONTEXT, b"")

HOLDERS = [
    KEY,
    DataKey(BYTES),
    SecretText("48151623"),
    PAIR,
    SigningKey.from_seed(KEY),
    XChaCha(BYTES),
    AesGcm(BYTES),
    IdentityKey("v", KEY),
    EpochKey("e", key=KEY, pair=PAIR, deployment=b"", tenant=""),
    Envelope.create(KEY, CONTEXT),
    Sealer(KEY, CONTEXT),
    Opener(KEY, CONTEXT, SEALED[:76], len(SEALED)),
]
each_holder = pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)


@dataclasses.dataclass
class Box:
    holder: object


@each_holder
def test_its_text_shows_its_type_alone(holder, caplog):
    name = type(holder).__name__
    logging.getLogger("t").warning("%s %r", holder, Box(holder))
    shown = [repr(holder), str(holder), f"{holder}", f"{[holder]}", caplog.text]
    assert repr(holder) == f"<{name}>"
    for text in shown:
        assert "48151623" not in text
        assert BYTES.hex() not in text
        assert repr(BYTES)[2:20] not in text


@each_holder
@pytest.mark.parametrize(
    "take",
    [copy.copy, copy.deepcopy, json.dumps, *(lambda h, p=p: pickle.dumps(h, p) for p in range(6))],
)
def test_it_is_neither_copied_nor_serialised(holder, take):
    for carrier in (holder, [holder], {"a": holder}):
        if take is copy.copy and carrier is not holder:
            continue
        with pytest.raises(TypeError):
            take(carrier)


def test_a_dataclass_that_holds_one_is_not_deeply_copied():
    with pytest.raises(TypeError):
        dataclasses.asdict(Box(KEY))


@each_holder
def test_it_has_no_attributes_to_dump(holder):
    with pytest.raises(TypeError):
        vars(holder)


@pytest.mark.parametrize("secret", [KEY, DataKey(BYTES), SecretText("1")])
def test_it_has_no_hash(secret):
    with pytest.raises(TypeError):
        hash(secret)


def test_equal_keys_are_equal_and_others_are_not():
    assert SecretKey(BYTES) == DataKey(BYTES)
    assert SecretKey.random() != SecretKey.random()
    assert SecretKey(BYTES) != BYTES
    assert SecretText("1") == SecretText("1")
    assert SecretText("1") != SecretText("2")
    assert SecretText("ä") != "ä"


def test_random_keys_keep_their_type():
    assert type(DataKey.random()) is DataKey
    assert len(DataKey.random().expose()) == 32


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33), bytearray(32), "x" * 32, None])
def test_a_key_is_32_bytes_and_nothing_else(wrong):
    with pytest.raises(Malformed) as raised:
        SecretKey(wrong)
    assert str(raised.value) == "a key is 32 bytes"


def test_a_text_gives_itself_only_when_asked():
    assert SecretText("48151623").expose() == "48151623"
    with pytest.raises(Malformed):
        SecretText(b"48151623")
