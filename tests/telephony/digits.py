"""FreeSWITCH's digit parser: what a row of keys means to the binds of one prompt.

Written from what its source does (`switch_ivr_dmachine`), oddities included: a regex is searched
for, not matched whole; one regex alone counts at once, but beside other binds only after the
digit timeout; whatever can't become a match any more is thrown away without a word.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

DIGITS_MAX: Final = 511
"""What a parser holds that has a regex among its binds; one more key, and the prompt fails."""


class Outcome(Enum):
    """What a key, or time going by, has done to a prompt."""

    GOING = auto()
    FOUND = auto()
    BREAK = auto()
    OVERFLOW = auto()


class _Match(Enum):
    NONE = auto()
    EXACT = auto()
    PARTIAL = auto()
    BOTH = auto()
    NEVER = auto()


@dataclass(frozen=True)
class Bind:
    """`<bind strip="#">~^\\d{4}#$</bind>`; a leading `=` means at once, `~` that it is a regex."""

    text: str
    strip: str = ""
    action: str = ""

    @property
    def at_once(self) -> bool:
        return self.text.startswith("=")

    @property
    def pattern(self) -> str:
        """The regex, or nothing."""
        bare = self.text.removeprefix("=")
        return bare[1:] if bare.startswith("~") else ""

    @property
    def keys(self) -> str:
        """The very keys, if it is no regex."""
        return self.text.removeprefix("=")

    def stripped(self, digits: str) -> str:
        """Cut off at the first of the characters to strip: not taken out, as its name says."""
        for each in self.strip:
            digits = digits.partition(each)[0]
        return digits


class DigitParser:
    """Collects keys for one prompt, also over its repetitions. Times are milliseconds."""

    def __init__(self, binds: Sequence[Bind], *, digit_timeout_ms: int) -> None:
        # Said twice, the later one counts, in the place of the former.
        self._binds = list({bind.text: bind for bind in binds}.values())
        self._digit_timeout_ms = digit_timeout_ms
        regexes = any(bind.pattern for bind in self._binds)
        self._digits_max = DIGITS_MAX if regexes else max(len(bind.text) for bind in binds)
        self._last_ms = 0
        self.typed = ""
        self.found: tuple[Bind, str] | None = None
        """What was matched last, with the keys as they were typed."""

    def feed(self, key: str, now_ms: int) -> Outcome:
        """One key more."""
        if len(self.typed) >= self._digits_max:
            return Outcome.OVERFLOW
        self.typed += key
        self._last_ms = now_ms
        return self.ping(now_ms)

    def ping(self, now_ms: int) -> Outcome:
        """Looks again, as happens with each packet: time may have run out between two keys."""
        if not self.typed:
            return Outcome.GOING
        late = now_ms - self._last_ms > self._digit_timeout_ms
        match, bind = self._best(late=late)
        if bind is not None:
            self.found = bind, self.typed
            self.typed = ""
            return Outcome.FOUND
        full = match is _Match.NONE and len(self.typed) == self._digits_max
        if late or match is _Match.NEVER or full:
            self.typed = ""
            return Outcome.BREAK
        return Outcome.GOING

    def _best(self, *, late: bool) -> tuple[_Match, Bind | None]:
        """How well the keys fit so far, and which bind they are if that is settled."""
        best, exact = _Match.NONE, None
        regexes = [bind for bind in self._binds if bind.pattern]
        for bind in self._binds:
            if bind.pattern:
                if re.search(bind.pattern, self.typed, re.ASCII):
                    if bind.at_once or late or len(self._binds) == 1:
                        return _Match.EXACT, bind
                    best = _Match.PARTIAL
            elif bind.keys == self.typed:
                if exact is None and (bind.at_once or late or not regexes):
                    best, exact = _Match.EXACT, bind
                    if bind.at_once or len(self.typed) == self._digits_max:
                        break
            elif bind.keys.startswith(self.typed):
                best = _Match.BOTH if exact else _Match.PARTIAL
        if not regexes and not any(bind.keys.startswith(self.typed) for bind in self._binds):
            return _Match.NEVER, None
        settled = best is _Match.EXACT or (best is _Match.BOTH and late)
        return best, exact if settled else None
