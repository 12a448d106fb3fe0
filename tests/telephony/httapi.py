"""Documents of httapi: read as mod_httapi reads them, leniently, into what a call executes."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.telephony.digits import Bind

ENDING: Final = frozenset({"answer", "preanswer", "ringready", "break"})
"""Tags that do something and then end httapi; the dialplan goes on."""
UNMODELLED: Final = frozenset(
    {"sms", "record", "recordcall", "vmname"} | {"speak", "say", "conference", "log", "voicemail"}
)
"""Tags that FreeSWITCH knows and this client does not: a test that needs one has to say more."""
DIGIT_TIMEOUT_MS: Final = 1500
INPUT_TIMEOUT_MS: Final = 5000
PAUSE_MS: Final = 1000


class NotModelled(Exception):
    """FreeSWITCH might do it; what it would do was not looked into, so no test may rest on it."""


class LeavesHttapi(Exception):
    """The answer is none: httapi ends, and the dialplan goes on. Says why."""


@dataclass(frozen=True)
class Tag:
    """One instruction. Names of tags are told apart without regard to case, attributes with it."""

    name: str
    attributes: Mapping[str, str]
    text: str
    binds: Sequence[Bind]

    def get(self, attribute: str) -> str:
        return self.attributes.get(attribute, "")

    def milliseconds(self, attribute: str, default: int) -> int:
        """A time above 0; anything else is as if nothing had been said."""
        return said if (said := _number(self.get(attribute))) > 0 else default

    @property
    def entry(self) -> str:
        """The field that the keys are sent in."""
        return self.get("name") or "dialed_digits"

    @property
    def times(self) -> int:
        """How often it is played for keys: once, and `loops` times again."""
        return 1 + max(_number(self.get("loops")), 0)

    @property
    def file(self) -> str:
        # Without binds the text will do; with binds only the attribute.
        return self.get("file") or ("" if self.binds else self.text)


def read(document: str) -> list[Tag]:
    """The instructions of a document. Raises LeavesHttapi if it holds none."""
    try:
        root = ET.fromstring(document)
    except ET.ParseError:
        raise LeavesHttapi("bad XML") from None
    work = root.find("work")
    tags = [] if work is None else [_tag(each) for each in work]
    if not tags:
        raise LeavesHttapi("no instructions")
    return tags


def _tag(element: ET.Element) -> Tag:
    binds = [
        Bind(each.text, each.get("strip", ""), each.get("action", ""))
        for each in element.findall("bind")
        if each.text
    ]
    return Tag(element.tag.lower(), dict(element.attrib), (element.text or "").strip(), binds)


def _number(text: str) -> int:
    """As C's atoi: what stands first, or 0."""
    digits = ""
    for each in text.strip():
        if not (each.isdecimal() or (each in "+-" and not digits)):
            break
        digits += each
    return int(digits) if digits.strip("+-") else 0
