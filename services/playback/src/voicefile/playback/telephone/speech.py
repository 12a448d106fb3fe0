"""Speech: what the dialogue wants said, as phrases; what is personal in them is looked up now.

Phrases travel from the post that decided on them to the request that fetches their sound sealed
under that request's token, as JSON.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from voicefile.playback.telephone import moves, phrases
from voicefile.playback.telephone.phrases import Phrase, Text

_KINDS: Final[dict[str, type[Phrase]]] = {
    "text": phrases.Text,
    "kind": phrases.Kind,
    "digits": phrases.Digits,
    "count": phrases.Count,
    "date": phrases.Date,
    "silence": phrases.Silence,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True)
class About:
    """What can be said of a recording."""

    kind: str = field(repr=False)
    day: dt.date = field(repr=False)
    fingerprint: str = field(repr=False)
    """Six digits of its receipt."""


def needs_looking_up(said: Sequence[moves.Said]) -> bool:
    """Whether something in it is about a recording."""
    return any(
        isinstance(each, moves.Choice | moves.NowPlaying | moves.Fingerprint) for each in said
    )


def spoken(said: Sequence[moves.Said], about: Sequence[About]) -> list[Phrase]:
    """The phrases, of recordings in the dialogue's order."""
    return [phrase for each in said for phrase in _phrases(each, about)]


def _phrases(said: moves.Said, about: Sequence[About]) -> Sequence[Phrase]:
    match said:
        case moves.Words(key, language):
            return (Text(key, language),)
        case moves.Several(count):
            return phrases.several_recordings(count)
        case moves.Choice(key, place):
            return phrases.choice(key, about[place].kind, about[place].day)
        case moves.NowPlaying(place):
            return phrases.now_playing(about[place].kind, about[place].day)
        case moves.Fingerprint(place):
            digits = phrases.Digits(about[place].fingerprint)
            return (digits, phrases.Silence(600), Text("fingerprint_again"), digits)
        case moves.Help(next_one, operator):
            return phrases.keys_help(next_one=next_one, operator=operator)


def packed(several: Sequence[Phrase], language: str) -> bytes:
    """For one sound to be fetched."""
    told = [[_NAMES[type(each)], asdict(each)] for each in several]
    return json.dumps([language, told], default=dt.date.isoformat).encode()


def unpacked(said: bytes) -> tuple[str, list[Phrase]]:
    """Language and phrases."""
    language, told = json.loads(said)
    return language, [_phrase(name, fields) for name, fields in told]


def _phrase(name: str, fields: dict[str, Any]) -> Phrase:
    if name == "date":
        return phrases.Date(dt.date.fromisoformat(fields["day"]))
    return _KINDS[name](**fields)
