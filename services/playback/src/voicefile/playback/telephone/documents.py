"""Documents: what the edge is answered, in the XML of FreeSWITCH's mod_httapi.

All twelve keys are bound wherever one of them counts: an unbound key stops what is played and
tells nobody. Patterns are anchored, because unanchored they take the end of a longer entry for
the whole. A time-out of an entry counts from the end of the prompt for all of it, and eats a digit
when it runs out, so it is long; who has keyed enough and waits is understood sooner, and who closes
it at once: of several patterns only those with "=" before them count before that wait is over.
Nothing says `loops`: it counts repetitions, and each would fetch anew what is there once.
"""

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from voicefile.playback.telephone.call_state import Step

CONTENT_TYPE: Final = "text/xml"
KEY: Final = "key"
"""What one key is called in the next post."""
OFFSET: Final = "playback_last_offset_pos"
"""How far the edge played the last file, in samples."""
KEYS: Final = "0123456789*#"
ENTRY_MS: Final = 30_000
BETWEEN_DIGITS_MS: Final = 5_000
KEY_MS: Final = 200
OFFER_MS: Final = 8_000
WAIT_MS: Final = 60_000
BYTES_MAX: Final = 4_096
"""Of one document. An edge takes a megabyte, of all of a call; see `call_state.WRITTEN_MAX`."""

_CLOSED: Final = r"=~^#?\d{1,24}[#*]$"
"""With the key that ends it; a key that ended the entry before may have come late."""
_STAR: Final = r"=~^\*$"
"""As a pattern, too: a plain key beside patterns waits for more digits."""
_PATTERNS: Final = {
    Step.ACCESS_ID: (r"~^\d{12}$", _CLOSED, _STAR),
    Step.PIN: (r"~^#?\d{6,10}$", _CLOSED, _STAR),
    Step.QUESTION: (r"~^#?\d{4,24}$", _CLOSED, _STAR),
}
FIELDS: Final = {Step.ACCESS_ID: "id", Step.PIN: "pin", Step.QUESTION: "answer"}
"""What the next post calls an entry; the edge lets no other names through."""


class DocumentTooLong(Exception):
    """Nothing of what was asked for explains so long a document."""


@dataclass(frozen=True)
class Sound:
    """Where the edge fetches what it plays, once."""

    url: str


def asked(entry: Step, said: Sound) -> str:
    """Says something and takes an entry of digits."""
    work = _work()
    playback = _playback(work, said, name=FIELDS[entry])
    playback.set("digit-timeout", str(BETWEEN_DIGITS_MS))
    playback.set("input-timeout", str(ENTRY_MS))
    for pattern in _PATTERNS[entry]:
        ET.SubElement(playback, "bind").text = pattern
    return _text(work)


def offered(said: Sound) -> str:
    """Says something and takes one key."""
    work = _work()
    _takes_a_key(_playback(work, said, name=KEY), wait_ms=OFFER_MS)
    return _text(work)


def played(chunk: Sound, said: Sound | None, *, after_ms: int = 0) -> str:
    """Plays on, after having said something; one key stops it, and its place is told.

    `after_ms`: nothing is heard for so long first; a key that comes meanwhile is the chunk's.
    """
    work = _work()
    if after_ms:
        ET.SubElement(work, "pause", milliseconds=str(after_ms))
    if said is not None:
        _playback(work, said)
    _takes_a_key(_playback(work, chunk, name=KEY), wait_ms=1)
    ET.SubElement(work, "getVariable", name=OFFSET)
    return _text(work)


def waited(said: Sound) -> str:
    """Says something, and then a minute of nothing; one key ends it."""
    work = _work()
    _playback(work, said)
    pause = ET.SubElement(work, "pause", name=KEY, milliseconds=str(WAIT_MS))
    _takes_a_key(pause)
    return _text(work)


def ended(said: Sound | None) -> str:
    """Says something and hangs up."""
    work = _work()
    if said is not None:
        _playback(work, said)
    ET.SubElement(work, "hangup", cause="NORMAL_CLEARING")
    return _text(work)


def transferred(said: Sound, number: str) -> str:
    """Says something and hands the call over, by the edge's own rules for that number."""
    work = _work()
    _playback(work, said)
    # Not by an application of the edge's: one that transfers could be told to run any other.
    ET.SubElement(work, "dial").text = number
    return _text(work)


def _work() -> ET.Element:
    return ET.Element("work")


def _playback(work: ET.Element, sound: Sound, *, name: str = "") -> ET.Element:
    named = {"name": name} if name else {}
    return ET.SubElement(work, "playback", {**named, "file": sound.url})


def _takes_a_key(element: ET.Element, *, wait_ms: int | None = None) -> None:
    element.set("digit-timeout", str(KEY_MS))
    if wait_ms is not None:
        element.set("input-timeout", str(wait_ms))
    for key in KEYS:
        ET.SubElement(element, "bind").text = key


def _text(work: ET.Element) -> str:
    document = ET.Element("document", type="xml/freeswitch-httapi")
    document.append(work)
    text = ET.tostring(document, encoding="unicode")
    if len(text) > BYTES_MAX:
        raise DocumentTooLong
    return text
