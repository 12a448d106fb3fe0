"""Contexts, wrapped keys and fields."""

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voicefile.crypto.envelope import (
    CHUNK,
    Context,
    Kind,
    object_id,
    open_field,
    seal_field,
    unwrap,
    wrap,
)
from voicefile.crypto.errors import Malformed, Tampered
from voicefile.crypto.secret import DataKey, SecretKey
from voicefile.crypto.stream import open_whole

KEY, OTHER_KEY = DataKey.random(), SecretKey.random()
TENANT = "a1" * 16
FIELD = Context(b"house", TENANT, object_id("b2" * 16, "name"), Kind.FIELD)
SLIP = Context(b"house", TENANT, object_id("b2" * 16, "slip"), Kind.WRAPPED_KEY, b"epoch")


@st.composite
def contexts(draw):
    kind = draw(st.sampled_from(Kind))
    short = st.binary(max_size=6)
    return Context(
        deployment=draw(short),
        tenant=draw(st.sampled_from(["", TENANT, "00000000050000000161" + "00" * 6])),
        object_id=draw(short),
        kind=kind,
        wrapping_key=draw(short) if kind is Kind.WRAPPED_KEY else None,
    )


@given(contexts(), contexts())
def test_no_two_contexts_have_one_encoding(one, other):
    assume(one != other)
    assert not one.encode().startswith(other.encode())


def test_a_context_is_encoded_as_the_format_says():
    encoded = SLIP.encode().hex()
    assert encoded == (
        "0100000005" + b"house".hex()
        + "0200000010" + TENANT
        + "0300000014" + "b2" * 16 + b"slip".hex()
        + "0400000001" + "02"
        + "0500000005" + b"epoch".hex()
    )  # fmt: skip


@pytest.mark.parametrize(
    "tenant", ["a1", TENANT.upper(), TENANT + "a1", "g" * 32, TENANT[:-1] + "\n"]
)
def test_an_id_has_one_spelling(tenant):
    with pytest.raises(Malformed):
        dataclasses.replace(FIELD, tenant=tenant)
    with pytest.raises(Malformed):
        object_id(tenant, "name")


def test_a_role_is_ascii():
    with pytest.raises(Malformed):
        object_id("b2" * 16, "Straße")


def test_a_wrapping_key_is_named_by_wrapped_keys_and_nothing_else():
    with pytest.raises(Malformed):
        dataclasses.replace(SLIP, wrapping_key=None)
    with pytest.raises(Malformed):
        dataclasses.replace(FIELD, wrapping_key=b"epoch")


def test_a_key_comes_back_from_its_wrapping():
    sealed = wrap(KEY, under=OTHER_KEY, context=SLIP)
    assert len(sealed) == 124
    assert unwrap(sealed, under=OTHER_KEY, context=SLIP) == KEY


def test_a_wrapped_key_opens_under_no_other_key():
    sealed = wrap(KEY, under=OTHER_KEY, context=SLIP)
    with pytest.raises(Tampered):
        unwrap(sealed, under=KEY, context=SLIP)


@given(st.binary(max_size=500))
def test_a_field_comes_back(plain):
    sealed = seal_field(KEY, FIELD, plain)
    assert len(sealed) == 92 + len(plain)
    assert open_field(KEY, FIELD, sealed) == open_whole(KEY, FIELD, sealed) == plain


def test_a_field_is_less_than_a_chunk():
    longest = bytes(CHUNK - 1)
    assert open_field(KEY, FIELD, seal_field(KEY, FIELD, longest)) == longest
    with pytest.raises(Malformed):
        seal_field(KEY, FIELD, bytes(CHUNK))


def test_a_deed_detail_is_sealed_like_a_field():
    detail = dataclasses.replace(FIELD, kind=Kind.DEED_DETAIL)
    sealed = seal_field(KEY, detail, b"detail")
    assert open_field(KEY, detail, sealed) == b"detail"
    with pytest.raises(Tampered):
        open_field(KEY, FIELD, sealed)


def test_each_door_takes_its_own_kind_only():
    audio = dataclasses.replace(FIELD, kind=Kind.AUDIO)
    for mistake in (
        lambda: wrap(KEY, under=OTHER_KEY, context=FIELD),
        lambda: unwrap(bytes(124), under=OTHER_KEY, context=FIELD),
        lambda: seal_field(KEY, SLIP, b""),
        lambda: open_field(KEY, SLIP, bytes(124)),
        lambda: seal_field(KEY, audio, b""),
        lambda: open_field(KEY, audio, bytes(92)),
    ):
        with pytest.raises(Malformed):
            mistake()
