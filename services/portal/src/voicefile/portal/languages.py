"""The pages' words, in every language there is a catalogue for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

LANGUAGES = ("de", "en")


@dataclass(frozen=True)
class Catalogue:
    """All texts of one language."""

    language: str
    texts: Mapping[str, str]


def catalogues() -> dict[str, Catalogue]:
    """The shipped catalogues by language."""
    folder = files("voicefile.portal") / "texts"
    return {
        language: Catalogue(language, json.loads((folder / f"{language}.json").read_text("utf-8")))
        for language in LANGUAGES
    }


def preferred(accept_language: str, *, default: str) -> str:
    """The best of our languages by an Accept-Language header (RFC 9110 §12.5.4)."""
    ranked: list[tuple[float, int, str]] = []
    for position, item in enumerate(accept_language.split(",")[:20]):
        tag, _, quality = item.strip().partition(";q=")
        language = tag.split("-")[0].strip().lower()
        if language in LANGUAGES:
            ranked.append((-_weight(quality), position, language))
    return min(ranked)[2] if ranked else default


def _weight(quality: str) -> float:
    try:
        return float(quality) if quality else 1.0
    except ValueError:
        return 0.0
