"""Metadata says what it may say, in the words it may use, and nothing is guessed."""

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.ingest.stand import METADATA, NOW_S

from voicefile.ingest.errors import ConsentMissing, IngestRefused, MetadataInvalid, QuestionMissing
from voicefile.ingest.schemas import parse_metadata


def parsed(**changes):
    said = {name: value for name, value in {**METADATA, **changes}.items() if value != "absent"}
    return parse_metadata(json.dumps(said).encode(), now_s=NOW_S)


def faults(**changes):
    with pytest.raises(MetadataInvalid) as refused:
        parsed(**changes)
    return {(error["field"], error["code"]) for error in refused.value.errors}


def customer(**changes):
    return {"customer": {"name": "Erika Musterfrau", **changes}}


@pytest.mark.parametrize("field", ["contract_reference", "recorded_at", "customer"])
def test_what_is_required_is_required(field):
    assert faults(**{field: "absent"}) == {(field, "missing")}


def test_a_name_is_required():
    assert faults(customer={}) == {("customer.name", "missing")}


@pytest.mark.parametrize("part", ["obtained_at", "method", "wording_sha256"])
def test_half_a_consent_is_none(part):
    consent = {name: value for name, value in METADATA["consent"].items() if name != part}
    with pytest.raises(ConsentMissing):
        parsed(consent=consent)


def test_everything_that_may_be_said_may_be_said():
    whole = parsed(
        contract_kind="power",
        contract_parts=["tariff", "device"],
        language="de-AT",
        sensitive=True,
        question={"kind": "digits", "answer": "4711", "prompt": "Ihre Kundennummer?"},
        retention_class="contract",
        scope={"department": "sales", "project": "spring"},
        agent="A-17",
        campaign="spring-2027",
        pin_delivery={"mode": "sealed"},
        join_access_id="1234 5678 9012",
        **customer(
            phone="+49 (30) 998877-66",
            email="erika@example.org",
            customer_number="K-1",
            birth_date="1980-02-29",
            address={"street": "Hauptstraße", "house_number": "1a", "postcode": "10115",
                     "city": "Berlin", "country": "DE"},
        ),
    )  # fmt: skip
    assert whole.join_access_id == "123456789012"


@pytest.mark.parametrize(
    "moment",
    ["2027-01-15T08:00:00", "2027-01-15", 1_800_000_000, "1800000000", "yesterday", None, "",
     "2027-13-01T00:00:00Z", "2027-01-15T08:00:00+25:00", "２027-01-15T08:00:00Z"],
)  # fmt: skip
def test_a_time_without_an_offset_is_no_time(moment):
    assert {field for field, _ in faults(recorded_at=moment)} == {"recorded_at"}


@pytest.mark.parametrize("ahead_s", [0, 299])
def test_a_clock_may_run_a_little_ahead(ahead_s):
    parsed(recorded_at=dt.datetime.fromtimestamp(NOW_S + ahead_s, dt.UTC).isoformat())


def test_what_has_not_happened_yet_is_no_recording():
    assert faults(recorded_at="2027-01-15T08:05:01.000001Z") == {("recorded_at", "in_the_future")}
    consent = {**METADATA["consent"], "obtained_at": "2099-01-01T00:00:00Z"}
    assert faults(consent=consent) == {("consent.obtained_at", "in_the_future")}


@pytest.mark.parametrize(
    "changes",
    [
        {"sensitive": "true"},
        {"sensitive": 1},
        {"contract_reference": 4711},
        {"contract_reference": " "},
        {"contract_reference": "x" * 129},
        {"contract_reference": "a\x00b"},
        {"contract_parts": ["x"] * 51},
        {"contract_parts": [1]},
        {"language": "german"},
        {"question": {"kind": "mother", "answer": "4711"}},
        {"question": {"kind": "postcode", "answer": "D-10115"}},
        {"question": {"kind": "postcode", "answer": "1" * 17}},
        {"question": {"kind": "postcode", "answer": "٣٤٥٦"}},
        {"question": {"kind": "postcode", "answer": 10115}},
        {"pin_delivery": {"mode": "telegram"}},
        {"join_access_id": "12345"},
        {"join_access_id": 123456789012},
        {"scope": {}},
        {"agent": ""},
        customer(name="Erika\u202eMusterfrau"),
        customer(name="Erika\ud800"),
        customer(birth_date="29.02.1980"),
        customer(birth_date="1981-02-29"),
        customer(email="erika"),
        customer(phone="call me"),
        customer(address={"country": "Germany"}),
    ],
)
def test_what_does_not_fit_is_refused(changes):
    assert faults(**changes)


def test_an_unknown_field_is_refused_and_not_repeated():
    found = faults(pin="1234", customer={"name": "Erika", "iban": "DE00"})
    assert found == {
        ("unknown-field", "extra_forbidden"),
        ("customer.unknown-field", "extra_forbidden"),
    }


def test_sensitive_needs_a_question_or_somebody_who_has_one():
    with pytest.raises(QuestionMissing):
        parsed(sensitive=True)
    parsed(sensitive=True, question={"kind": "postcode", "answer": "10115"})
    parsed(sensitive=True, join_access_id="123456789012")


def test_nothing_shows_in_a_repr():
    assert "Erika" not in repr(parsed())
    assert "Erika" not in str(parsed())
    assert "Erika" not in repr(parsed().customer)


def test_the_digest_knows_statements_and_not_their_spelling():
    one = parsed(sensitive=False, pin_delivery={"mode": "answer"})
    assert one.canonical() == parsed().canonical()
    digest = one.request_digest(b"a" * 32)
    assert digest == parsed().request_digest(b"a" * 32)
    assert digest != parsed().request_digest(b"b" * 32)
    assert digest != parsed(agent="A-17").request_digest(b"a" * 32)


@given(st.binary(max_size=200) | st.text().map(str.encode))
@settings(max_examples=300, deadline=None)
def test_no_bytes_upset_it_but_by_name(junk):
    with pytest.raises(IngestRefused):
        parse_metadata(junk, now_s=NOW_S)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused(opening):
    with pytest.raises(IngestRefused):
        parse_metadata(opening * (65_536 // len(opening)), now_s=NOW_S)
