"""What can be said, as data, and the rules by which it becomes fragments of the catalogue.

A phrase holds no words: a key, digits, a number, a date. Whatever is spoken is in the catalogue,
so a text of somebody else's, such as a contract's name, can choose among our words at most.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicefile.playback.telephone.catalogue import catalogue

COUNT_MAX: Final = 100
DIGITS_MAX: Final = 32
YEARS: Final = range(1900, 2100)
SILENCE_MS_MAX: Final = 10_000
_DIGITS: Final = re.compile(rf"[0-9]{{1,{DIGITS_MAX}}}", re.ASCII)
_BETWEEN_DIGITS: Final = 180
_BETWEEN_GROUPS: Final = 550
"""Milliseconds; slow enough to write along."""
_WORDS_OF_KINDS: Final[Mapping[str, Sequence[str]]] = {
    "electricity": ("strom", "electric", "power"),
    "gas": ("gas",),
    "mobile": ("mobil", "handy", "cell phone"),
    "telephone": ("festnetz", "telefon", "telephone", "landline"),
    "internet": ("internet", "dsl", "breitband", "broadband"),
    "insurance": ("versicherung", "insurance"),
}
"""By what partners call their contracts. `mobil` before `telefon`: a mobile telephone is mobile."""


@dataclass(frozen=True)
class Text:
    """A text of the catalogue; in a language of its own only where another one is offered."""

    key: str
    language: str = ""


@dataclass(frozen=True)
class Kind:
    """A contract's kind, as its partner calls it: said in our words, or as any contract."""

    called: str = field(repr=False)


@dataclass(frozen=True)
class Digits:
    """Each digit by itself, in groups that one can write down."""

    digits: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _DIGITS.fullmatch(self.digits):
            raise ValueError(f"1 to {DIGITS_MAX} digits can be said")


@dataclass(frozen=True)
class Count:
    """A number of things, or a key to press."""

    number: int

    def __post_init__(self) -> None:
        if not 0 <= self.number <= COUNT_MAX:
            raise ValueError(f"0 to {COUNT_MAX} can be said")


@dataclass(frozen=True)
class Date:
    """A day, said as after "vom" or "from"."""

    day: dt.date = field(repr=False)

    def __post_init__(self) -> None:
        if self.day.year not in YEARS:
            raise ValueError(f"years {YEARS.start} to {YEARS.stop - 1} can be said")


@dataclass(frozen=True)
class Silence:
    """Nothing, for a while."""

    ms: int

    def __post_init__(self) -> None:
        if not 0 < self.ms <= SILENCE_MS_MAX:
            raise ValueError(f"1 to {SILENCE_MS_MAX} ms of silence can be kept")


Phrase = Text | Kind | Digits | Count | Date | Silence


class Fragment(NamedTuple):
    """One entry of one language's catalogue: one piece of audio."""

    language: str
    key: str


def fragments(phrase: Phrase, language: str) -> list[Fragment | Silence]:
    """What is spoken for a phrase. Raises LookupError for a text or a language there is not."""
    match phrase:
        case Text(key, own):
            return [_known(own or language, key)]
        case Kind(called):
            return [_known(language, f"kind_{kind_of(called)}")]
        case Count(number):
            return [_known(language, f"number_{number}")]
        case Digits(digits):
            return list(_digits(digits, language))
        case Date(day):
            return list(_date(day, language))
        case Silence():
            return [phrase]


def kind_of(called: str) -> str:
    """Which kind of contract is meant; `other` unless it is one kind and no second one."""
    words = called.casefold()
    found = [kind for kind, signs in _WORDS_OF_KINDS.items() if any(s in words for s in signs)]
    if found == ["mobile", "telephone"]:
        return "mobile"
    return found[0] if len(found) == 1 else "other"


def choice(key: int, called: str, day: dt.date) -> tuple[Phrase, ...]:
    """For the recording of the gas contract from the first of May …, press three."""
    return (Text("choice_for"), *_contract(called, day), Text("choice_press"), Count(key))


def now_playing(called: str, day: dt.date) -> tuple[Phrase, ...]:
    """You will now hear the recording of the gas contract from the first of May."""
    return (Text("now_playing"), *_contract(called, day), Silence(_BETWEEN_GROUPS))


def several_recordings(number: int) -> tuple[Phrase, ...]:
    """We have three recordings for you."""
    before, after = "several_recordings_before_count", "several_recordings_after_count"
    return (Text(before), Count(number), Text(after))


def keys_help(*, next_one: bool, operator: bool) -> tuple[Phrase, ...]:
    """What each key does while a recording plays; nothing of keys that would do nothing."""
    told = (
        *("pause", "seconds", "minute", "start_over"),
        *(("next",) if next_one else ()),
        *("fingerprint", "not_my_contract"),
        *(("operator",) if operator else ()),
        *("end", "again"),
    )
    return tuple(Text(f"keys_help_{key}") for key in told)


def _contract(called: str, day: dt.date) -> tuple[Phrase, ...]:
    return (Kind(called), Text("dated"), Date(day))


def _known(language: str, key: str) -> Fragment:
    if key not in catalogue(language).fragments:
        raise LookupError(f"{key} is not in the catalogue")
    return Fragment(language, key)


def _digits(digits: str, language: str) -> Iterator[Fragment | Silence]:
    # Six digits are said as three and three, twelve as they are printed: in fours.
    group = 3 if len(digits) % 4 else 4
    for place, digit in enumerate(digits):
        if place:
            yield Silence(_BETWEEN_DIGITS if place % group else _BETWEEN_GROUPS)
        yield _known(language, f"number_{digit}")


def _date(day: dt.date, language: str) -> Iterator[Fragment]:
    yield _known(language, f"ordinal_{day.day}")
    yield _known(language, f"month_{day.month}")
    years = catalogue(language).year(day.year)
    yield _known(language, years.key)
    if day.year % 100:
        yield _known(language, f"number_{day.year % 100}")
