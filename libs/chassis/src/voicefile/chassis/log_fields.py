"""What a log line may hold: a list of names, each with the shape its values must have.

A name alone is no promise (`recording="the customer's number"`), so a value that does not look
like what its name promises is dropped and counted, too. Adding a name here is a decision about
what the readers of logs may learn; ids are random, so they lead to nobody without the stores.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

_ID: Final = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?", re.ASCII)
# A letter first and no long run of digits: neither an access ID nor a PIN nor a phone number.
_CODE: Final = re.compile(r"(?!.*\d{4})[A-Za-z][A-Za-z0-9_.:/-]{0,79}", re.ASCII)
_ROUTE: Final = re.compile(r"none|/[A-Za-z0-9_{}/.:-]{0,119}", re.ASCII)
_STACK: Final = re.compile(r"[A-Za-z0-9_./<>():, -]{1,400}", re.ASCII)
_EVENT: Final = re.compile(r"[a-z]+(?:_[a-z]+)*", re.ASCII)
EVENT_CHARS_MAX: Final = 64
NUMBER_MAX: Final = 2**63

Shape = Callable[[object], bool]


def _matches(pattern: re.Pattern[str]) -> Shape:
    def fits(value: object) -> bool:
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    return fits


def is_number(value: object) -> bool:
    """Counts, sizes, times: numbers. A number under a number's name is no phone number."""
    return isinstance(value, int | float) and abs(value) < NUMBER_MAX


is_id = _matches(_ID)
is_code = _matches(_CODE)
is_route = _matches(_ROUTE)
is_stack = _matches(_STACK)

_NAMES: Final[Mapping[Shape, str]] = {
    is_id: """
        backup blob boot call credential deed epoch error event_id instance key_version listening
        principal recording release request root_version session subject tenant wrapping_version
        """,
    is_code: """
        action code end finding finding_kind kind level log logger method outcome part peer
        problem purpose reason rendition role service setting state step store suite topic
        """,
    is_number: """
        attempt attempts blobs blobs_bytes bytes bytes_sent chunk chunks count deeds documents
        dropped duration_ms entries events index keys lag lag_s lease_s limit n offset partition
        pending port recordings removed retry_after_s signal size slips status tree_size version
        """,
    is_route: "route",
    is_stack: "error_type frames",
}


def allowed_fields() -> dict[str, Shape]:
    """Each permitted name with its shape."""
    return {name: shape for shape, names in _NAMES.items() for name in names.split()}


def is_event(value: object) -> bool:
    """An event's name: words joined by underscores, nothing formatted into it."""
    return (
        isinstance(value, str)
        and len(value) <= EVENT_CHARS_MAX
        and _EVENT.fullmatch(value) is not None
    )


def plain(value: object) -> object:
    """An enum's value; anything else as it is."""
    return value.value if isinstance(value, Enum) else value
