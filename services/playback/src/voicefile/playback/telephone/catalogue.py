"""Everything the telephone can say, by language: each fragment's key and the words to be spoken.

A language is one file in `texts/`: sentences, kinds of contracts, numbers, days, months and the
ways its years are said. A further language is a further file; nothing here knows grammar.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

LANGUAGES: Final = ("de", "en")


@dataclass(frozen=True)
class YearRange:
    """Years that begin with the same words: `key` is said, then the last two digits."""

    first: int
    last: int
    key: str


@dataclass(frozen=True)
class Catalogue:
    """One language: fragments by key, and which years begin how."""

    language: str
    fragments: Mapping[str, str]
    years: Sequence[YearRange]

    def year(self, year: int) -> YearRange:
        """The range that the year is in. Raises LookupError."""
        for each in self.years:
            if each.first <= year <= each.last:
                return each
        raise LookupError(f"no way to say {year}")


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of one language. Raises LookupError for one that is not spoken."""
    if language not in LANGUAGES:
        raise LookupError(f"{language} is not spoken")
    page = files("voicefile.playback.telephone") / "texts" / f"{language}.toml"
    told = tomllib.loads(page.read_text("utf-8"))
    ranges = [YearRange(each["first"], each["last"], year_key(each)) for each in told["years"]]
    return Catalogue(language, _fragments(told), ranges)


def year_key(told: Mapping[str, Any]) -> str:
    """The key of a range's words."""
    return f"year_{told['first']}"


def _fragments(told: Mapping[str, Any]) -> dict[str, str]:
    return {
        **told["texts"],
        **{f"kind_{kind}": words for kind, words in told["kinds"].items()},
        **{f"number_{number}": words for number, words in enumerate(told["numbers"])},
        **{f"ordinal_{day}": words for day, words in enumerate(told["ordinals"], start=1)},
        **{f"month_{month}": words for month, words in enumerate(told["months"], start=1)},
        **{year_key(each): each["words"] for each in told["years"]},
    }
