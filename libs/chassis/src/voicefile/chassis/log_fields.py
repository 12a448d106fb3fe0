"""What a log line may hold: a list of names, each with the shape its values must have.

A name alone is no promise (`recording="the customer's number"`), so a value that does not look
like what its name promises is dropped and counted, too. Adding a name here is a decision about
what the readers of logs may learn; ids are random, so they lead to nobody without the stores.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from voicefile.chassis.stack import Place

_ID: Final = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?", re.ASCII)
# A letter first and no long run of digits: neither an access ID nor a PIN nor a phone number.
_CODE: Final = re.compile(r"[A-Z]{2,8}|(?!.*\d{4})[a-z][a-z0-9]*(?:[_.:/-][a-z0-9]+)*", re.ASCII)
_CODE_CHARS_MAX: Final = 64
# A path that was taken for a template would bring its ids and numbers along.
_ROUTE: Final = re.compile(
    r"none|(?!.*(?:\d{4}|[0-9A-Fa-f]{12}))/[A-Za-z0-9_{}/.:-]{0,119}", re.ASCII
)
# As modules are called; mixed case only without digits, so that it is no token.
_LOGGER: Final = re.compile(
    r"(?!.*\d{4})_*(?:[a-z][a-z0-9_]*|[A-Za-z_]+)(?:\._*(?:[a-z][a-z0-9_]*|[A-Za-z_]+))*", re.ASCII
)
_LOGGER_CHARS_MAX: Final = 96
_EVENT: Final = re.compile(r"[a-z]+(?:_[a-z]+)*", re.ASCII)
EVENT_CHARS_MAX: Final = 64
NUMBER_MAX: Final = 2**63

Shape = Callable[[object], bool]


def is_id(value: object) -> bool:
    """128 or 256 random bits in hexadecimal."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_code(value: object) -> bool:
    """One of few: a state, a reason, a name from our own code. Lower case, or all capitals."""
    fits = isinstance(value, str) and len(value) <= _CODE_CHARS_MAX
    return fits and _CODE.fullmatch(str(value)) is not None


def is_number(value: object) -> bool:
    """Counts, sizes, times: numbers. A number under a number's name is no phone number."""
    return isinstance(value, int | float) and abs(value) < NUMBER_MAX


def is_route(value: object) -> bool:
    """The template of a route."""
    return isinstance(value, str) and _ROUTE.fullmatch(value) is not None


def is_logger(value: object) -> bool:
    """The name of a library's logger: a dotted path of modules."""
    fits = isinstance(value, str) and len(value) <= _LOGGER_CHARS_MAX
    return fits and _LOGGER.fullmatch(str(value)) is not None


def is_place(value: object) -> bool:
    """What `where_it_broke` found out; nobody else can make one by accident."""
    return isinstance(value, Place)


_NAMES: Final[Mapping[Shape, str]] = {
    is_id: """
        backup blob boot call credential deed epoch error event_id instance key_version listening
        principal recording release request root_version session subject tenant wrapping_version
        """,
    is_code: """
        action code end finding finding_kind group kind level log loop method
        outcome part peer problem purpose reason rendition role setting state step store suite topic
        """,
    is_number: """
        attempt attempts blobs blobs_bytes bytes bytes_sent chunk chunks count deeds documents
        duration_ms entries events index keys lag lag_s lease_s limit n offset partition
        pending port recordings removed retry_after_s signal size slips status tree_size version
        """,
    is_route: "route",
    is_logger: "logger",
    is_place: "error_type frames",
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
