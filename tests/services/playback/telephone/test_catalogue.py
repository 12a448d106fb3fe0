"""Every language says everything, in words that a program and an old ear understand."""

import re

import pytest

from voicefile.playback.telephone.catalogue import LANGUAGES, catalogue
from voicefile.playback.telephone.phrases import kind_of

EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)
SENTENCE_WORDS_MAX = 16
PARTS = re.compile(r"(kind|number|ordinal|month|year)_\w+")


def texts(language):
    """Whole sentences and their parts; not the small pieces that dates are made of."""
    everything = catalogue(language).fragments
    return {key: text for key, text in everything.items() if not PARTS.fullmatch(key)}


def keys_without_years(language):
    return {key for key in catalogue(language).fragments if not key.startswith("year_")}


def test_all_languages_say_the_same_things():
    said = [keys_without_years(language) for language in LANGUAGES]
    assert len(said) == 2
    assert all(each == said[0] for each in said)


@EVERY_LANGUAGE
def test_every_number_day_month_and_year_has_words(language):
    spoken = catalogue(language)
    wanted = [f"number_{n}" for n in range(101)] + [f"ordinal_{n}" for n in range(1, 32)]
    assert set(wanted + [f"month_{n}" for n in range(1, 13)]) <= set(spoken.fragments)
    assert all(spoken.year(year).key in spoken.fragments for year in range(1900, 2100))


@EVERY_LANGUAGE
def test_no_two_numbers_or_days_or_months_are_said_alike(language):
    for name in ("number", "ordinal", "month"):
        words = [t for k, t in catalogue(language).fragments.items() if k.startswith(f"{name}_")]
        assert len(words) == len(set(words))


@pytest.mark.parametrize("year", [1899, 2100])
def test_a_year_nobody_will_say_has_no_words(year):
    with pytest.raises(LookupError):
        catalogue("de").year(year)


def misread(text: str) -> list[str]:
    """What a speech program reads in its own way: digits, signs, capitals, abbreviations."""
    signs = re.findall(r"[^\w\s.,?!:-]", text) + re.findall(r"[0-9_]", text)
    capitals = re.findall(r"\b[A-ZÄÖÜ]{2,}\b|\b\w+[A-ZÄÖÜ]\w*", text)
    dotted = re.findall(r"\b\w{1,3}\.(?=\s+[a-zäöü])|\w\.\w", text)
    return signs + capitals + dotted + re.findall(r"\s{2,}|^\s|\s$", text)


@EVERY_LANGUAGE
def test_nothing_is_written_so_that_a_program_misreads_it(language):
    found = {key: misread(text) for key, text in catalogue(language).fragments.items()}
    assert {key: what for key, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text", ["Drücken Sie 9.", "Ihre PIN", "z.B. heute", "bzw. morgen", "A & B", "eMail", "5 €"]
)
def test_planted_writing_of_that_kind_is_found(text):
    assert misread(text)


@EVERY_LANGUAGE
def test_sentences_are_short(language):
    long = {
        key: sentence
        for key, text in texts(language).items()
        for sentence in re.split(r"[.?!:]", text)
        if len(sentence.split()) > SENTENCE_WORDS_MAX
    }
    assert long == {}


@EVERY_LANGUAGE
def test_a_text_is_a_whole_sentence_or_a_part_that_something_follows(language):
    parts = {key for key, text in texts(language).items() if text[-1] not in ".?!:"}
    assert parts == {
        *("choice_for", "choice_press", "dated", "now_playing"),
        *("several_recordings_before_count",),
    }


def test_customers_are_addressed_formally():
    german = " ".join(texts("de").values())
    assert not re.search(r"\b([Dd]u|[Dd]ein\w*|[Dd]ir|[Dd]ich|[Ee]uch)\b", german)


def test_every_kind_there_are_signs_for_has_a_name():
    for called in ("Strom", "Gas", "Handy", "Festnetz", "DSL", "Versicherung", "?"):
        for language in LANGUAGES:
            assert f"kind_{kind_of(called)}" in catalogue(language).fragments


@pytest.mark.parametrize("language", ["", "fr", "../de", "de.toml"])
def test_a_language_that_is_not_spoken_has_no_catalogue(language):
    with pytest.raises(LookupError):
        catalogue(language)


def test_not_right_tells_nobody_what_was_wrong():
    """One text for a wrong ID, a wrong PIN and a locked one; and nobody hears of a lock."""
    for language, words in (("de", ("gesperrt", "Sperre")), ("en", ("locked", "blocked"))):
        assert not any(word in text for word in words for text in texts(language).values())
        assert " oder " in texts("de")["not_right"]
        assert " or " in texts("en")["not_right"]
