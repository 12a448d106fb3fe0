"""Blind indexes: the same value is found however it is typed, and relates to nothing elsewhere."""

import pytest

from voicefile.auth.keys import blind_index
from voicefile.crypto.keyring import IdentityKey
from voicefile.crypto.secret import SecretKey


@pytest.fixture
def identity():
    return IdentityKey("1", SecretKey.random())


@pytest.mark.parametrize(
    "typed", ["0170 1234567", "+49 170 1234567", "0049-170-1234567", "+49 (0)170/1234567"]
)
def test_a_phone_number_is_one_however_it_is_typed(identity, typed):
    assert blind_index.normal_phone(typed) == "491701234567"


def test_case_and_space_make_no_other_address():
    assert blind_index.normal_email(" Erika@Example.ORG ") == "erika@example.org"


@pytest.mark.parametrize("typed", ["v-2027/0815", "V 2027 0815", "V–2027–0815"])
def test_dashes_make_no_other_reference(typed):
    assert blind_index.normal_reference(typed) == "v20270815"


def test_fields_and_tenants_have_unrelated_tokens(identity):
    other = IdentityKey("1", SecretKey.random())
    tokens = {
        blind_index.token(key, field, "12345")
        for key in (identity, other)
        for field in blind_index.FIELDS
    }
    assert len(tokens) == 2 * len(blind_index.FIELDS)


def test_tokens_are_128_bit_and_sorted(identity):
    values = {"phone": "0170 1", "email": "a@b", "customer_number": "7", "name": "Erika"}
    tokens = blind_index.tokens(identity, values)
    assert [len(token) for token in tokens] == [16, 16, 16]
    assert list(tokens) == sorted(tokens)


def test_a_value_of_nothing_searchable_has_no_token(identity):
    assert blind_index.token(identity, "contract_reference", "--- /") is None
