"""Looks for what calls leave behind: everything that an edge wrote, and what was cut into pieces.

A digit of each line of a log is a PIN as well as a PIN in one piece is.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.journeys.canaries import Canary
from tests.journeys.leak_scan import Leak, Patterns, leaks_in_folder
from tests.journeys.noise import windows
from tests.telephony.real.timecode import Recording, in_forms

_ALONE = re.compile(rb"(?<![0-9A-Za-z.:])([0-9])(?![0-9A-Za-z])")


def patterns(
    keyed: Iterable[str], recordings: Iterable[Recording], tokens: Iterable[str]
) -> Patterns:
    """What has to be nowhere: what was keyed, what was heard, and the addresses it came from."""
    return Patterns(_labelled(keyed, recordings, tokens))


def _labelled(
    keyed: Iterable[str], recordings: Iterable[Recording], tokens: Iterable[str]
) -> Iterator[tuple[tuple[str, str], bytes]]:
    for what, values in (("digits", keyed), ("token", tokens)):
        for value in values:
            for encoding, pattern in Canary(what, value).patterns():
                yield (what, encoding), pattern
    for recording in recordings:
        for form, sound in in_forms(recording):
            for window in windows(sound):
                yield ("sound", form), window


def leaks(folder: Path, looked_for: Patterns, keyed: Iterable[str]) -> set[Leak]:
    """In all files below, whole or a digit at a time."""
    return leaks_in_folder(folder, looked_for) | set(_digit_by_digit(folder, list(keyed)))


def _digit_by_digit(folder: Path, keyed: list[str]) -> Iterator[Leak]:
    for path in folder.rglob("*"):
        if path.is_file():
            alone = b"".join(_ALONE.findall(path.read_bytes()))
            for digits in keyed:
                if digits.encode() in alone:
                    yield Leak("digits", "one by one", str(path.relative_to(folder)))
