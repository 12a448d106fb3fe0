"""Dates, numbers and choices are said as people say them, by fragments that exist."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.playback.telephone.catalogue import LANGUAGES, catalogue
from voicefile.playback.telephone.phrases import (
    Count,
    Date,
    Digits,
    Fragment,
    Kind,
    Silence,
    Text,
    choice,
    fragments,
    keys_help,
    kind_of,
    now_playing,
    several_recordings,
)

FIRST, LAST = dt.date(1900, 1, 1), dt.date(2099, 12, 31)
PIECES_MAX = 4


def words(phrase, language):
    """What is heard, as text; a bar for silence."""
    return " ".join(
        "|" if isinstance(each, Silence) else catalogue(each.language).fragments[each.key]
        for each in fragments(phrase, language)
    )


def sentence(phrases, language):
    return " ".join(words(phrase, language) for phrase in phrases)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_date_is_said_by_few_fragments_that_exist(language):
    known = {Fragment(language, key) for key in catalogue(language).fragments}
    said = set()
    for number in range((LAST - FIRST).days + 1):
        pieces = fragments(Date(FIRST + dt.timedelta(days=number)), language)
        assert known.issuperset(pieces)
        assert len(pieces) <= PIECES_MAX
        said.add(tuple(pieces))
    # No two days are said alike.
    assert len(said) == (LAST - FIRST).days + 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_count_is_one_fragment_that_exists(language):
    for number in range(101):
        (piece,) = fragments(Count(number), language)
        assert piece.key in catalogue(language).fragments


@pytest.mark.parametrize(
    ("day", "german", "english"),
    [
        ("2026-03-12", "zwölften März zweitausend sechsundzwanzig",
         "the twelfth of March twenty twenty-six"),
        ("2000-01-01", "ersten Januar zweitausend", "the first of January two thousand"),
        ("2007-05-03", "dritten Mai zweitausend sieben",
         "the third of May two thousand and seven"),
        ("2010-08-31", "einunddreißigsten August zweitausend zehn",
         "the thirty-first of August twenty ten"),
        ("1985-10-20", "zwanzigsten Oktober neunzehnhundert fünfundachtzig",
         "the twentieth of October nineteen eighty-five"),
        ("1901-12-07", "siebten Dezember neunzehnhundert eins",
         "the seventh of December nineteen oh one"),
        ("1900-02-28", "achtundzwanzigsten Februar neunzehnhundert",
         "the twenty-eighth of February nineteen hundred"),
        ("2099-07-30", "dreißigsten Juli zweitausend neunundneunzig",
         "the thirtieth of July twenty ninety-nine"),
    ],
)  # fmt: skip
def test_dates_are_said_as_people_say_them(day, german, english):
    date = Date(dt.date.fromisoformat(day))
    assert words(date, "de") == german
    assert words(date, "en") == english


def test_a_choice_names_the_contract_first_and_the_key_last():
    phrases = choice(3, "Ökostrom Plus", dt.date(2026, 3, 12))
    assert sentence(phrases, "de") == (
        "Für die Aufnahme zum Stromvertrag vom zwölften März zweitausend sechsundzwanzig "
        "drücken Sie die drei"
    )
    assert sentence(phrases, "en") == (
        "For the recording of the electricity contract from the twelfth of March twenty "
        "twenty-six press three"
    )


def test_what_plays_and_how_many_there_are_is_said_in_whole_sentences():
    phrases = now_playing("Sonstiges", dt.date(2024, 11, 1))
    assert sentence(phrases, "de").startswith("Sie hören jetzt die Aufnahme zum Vertrag vom ersten")
    assert sentence(several_recordings(12), "de") == "Wir haben zwölf Aufnahmen für Sie."
    assert sentence(several_recordings(100), "en") == "We have one hundred recordings for you."


def test_help_names_no_key_that_does_nothing():
    for language, star, following in (("de", "Sterntaste", "nächste"), ("en", "star", "next")):
        everything = sentence(keys_help(next_one=True, operator=True), language)
        little = sentence(keys_help(next_one=False, operator=False), language)
        assert star in everything
        assert following in everything
        assert star not in little
        assert following not in little


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("123456", "eins | zwei | drei | vier | fünf | sechs"),
        ("07", "null | sieben"),
    ],
)
def test_digits_are_said_one_by_one(digits, said):
    assert words(Digits(digits), "de") == said


@pytest.mark.parametrize(
    ("digits", "groups"), [("123456", [3, 3]), ("123456789012", [4, 4, 4]), ("12345", [3, 2])]
)
def test_digits_come_in_groups(digits, groups):
    pauses = [each.ms for each in fragments(Digits(digits), "en") if isinstance(each, Silence)]
    found, length = [], 1
    for pause in pauses:
        if pause == max(pauses):
            found.append(length)
            length = 0
        length += 1
    assert [*found, length] == groups


@given(st.text(alphabet="0123456789", min_size=1, max_size=32), st.sampled_from(LANGUAGES))
def test_all_digits_are_said_and_nothing_else(digits, language):
    numbers = {catalogue(language).fragments[f"number_{n}"]: str(n) for n in range(10)}
    said = [word for word in words(Digits(digits), language).split() if word != "|"]
    assert "".join(numbers[word] for word in said) == digits


@pytest.mark.parametrize(
    ("called", "kind"),
    [
        ("Mobilfunkvertrag", "mobile"), ("Mobiltelefon", "mobile"), ("Handyvertrag", "mobile"),
        ("mobile telephone", "mobile"), ("STROM", "electricity"), ("Erdgas", "gas"),
        ("Festnetz", "telephone"), ("Telefonanschluss", "telephone"), ("DSL 50", "internet"),
        ("Hausratversicherung", "insurance"), ("Electricity", "electricity"),
        ("Strom und Gas", "other"), ("Internet und Telefon", "other"), ("", "other"),
        ("Zeitschrift", "other"), ("Erika Mustermann, 4711", "other"),
    ],
)  # fmt: skip
def test_a_contract_is_called_by_our_words(called, kind):
    assert kind_of(called) == kind


@given(st.text(max_size=64), st.sampled_from(LANGUAGES))
def test_nothing_that_a_partner_wrote_is_said(called, language):
    (piece,) = fragments(Kind(called), language)
    assert piece.key in {key for key in catalogue(language).fragments if key.startswith("kind_")}


@pytest.mark.parametrize("digits", ["", "12a", "１２", "-1", "1 2", "1" * 33])
def test_what_are_no_digits_is_not_said(digits):
    with pytest.raises(ValueError):
        Digits(digits)


@pytest.mark.parametrize("number", [-1, 101])
def test_what_is_no_count_is_not_said(number):
    with pytest.raises(ValueError):
        Count(number)


@pytest.mark.parametrize("day", [dt.date(1899, 12, 31), dt.date(2100, 1, 1)])
def test_a_day_out_of_our_centuries_is_not_said(day):
    with pytest.raises(ValueError):
        Date(day)


@pytest.mark.parametrize("ms", [0, -1, 10_001])
def test_silence_has_an_end(ms):
    with pytest.raises(ValueError):
        Silence(ms)


@pytest.mark.parametrize("key", ["", "no_such_text", "../greeting"])
def test_a_text_that_is_not_in_the_catalogue_is_an_error(key):
    with pytest.raises(LookupError):
        fragments(Text(key), "de")


def test_a_text_may_be_in_the_language_it_offers():
    other = fragments(Text("switch_language", language="en"), "de")
    assert other == [Fragment("en", "switch_language")]


def test_what_is_passed_stands_in_no_repr():
    """Phrases end up in tracebacks; what they say of somebody must not."""
    phrases = (Digits("987654"), Kind("Erika"), Date(dt.date(1931, 5, 6)))
    shown = repr(phrases)
    assert not any(word in shown for word in ("987654", "Erika", "1931"))
