"""Deeds, read from their protobuf bytes without a protobuf library.

The fields are those of proto/voicefile/contracts/deed/v1/deed.proto; a test holds numbers and
words against the generated contracts. Unknown fields are passed over: later versions add some.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
VARINT_BYTES_MAX: Final = 10
FIELDS: Final = {
    1: "deed_id",
    2: "tenant",
    3: "actor",
    4: "role",
    5: "action",
    6: "object_id",
    7: "purpose",
    8: "outcome",
    9: "at_ms",
    10: "request_id",
    11: "boot_id",
    12: "n",
    13: "commitment",
    14: "stored_through",
    15: "related_id",
    16: "bytes_sent",
}
ACCESS_ISSUED: Final = 4
TENANT_OPENED: Final = 22
RECORDING_JOINED: Final = 37
SIGNING_KEY_ADDED: Final = 50
DONE: Final = 1


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ROLES: Final = _words(
    "unspecified partner customer care tenant-admin auditor operator service unknown"
)
OUTCOMES: Final = _words("unspecified done refused failed")
PURPOSES: Final = _words("unspecified customer-request complaint dispute quality legal authority")
ACTIONS: Final = _words(
    "unspecified void recording-stored upload-refused access-issued token-issued staff-signed-in "
    "customer-signed-in customer-signed-out question-answered recordings-listed release-granted "
    "release-joined listening-ended recording-downloaded customers-searched credential-reissued "
    "credential-frozen credential-revoked credential-undelivered credential-restored "
    "letter-changed tenant-opened tenant-changed tenant-closed scope-added principal-added "
    "principal-removed epoch-opened epoch-destroyed recording-read changes-read log-read "
    "proof-read recording-held recording-erased integrity-failed recording-joined question-asked "
    "administration-read event-replayed log-exported hearings-read door-refused manifest-read "
    "release-returned manifest-signed call-answered call-ended call-transferred "
    "signing-key-added root-changed keys-rewrapped root-destroyed objection-settled hold-lifted "
    "erasure-asked erasure-withdrawn customer-erased tenant-erased retention-applied "
    "certificate-read documents-dumped backup-taken backup-drilled backup-restored"
)


@dataclass(frozen=True)
class Deed:
    """What somebody did. Enums are their numbers; as text, it has the words."""

    deed_id: str = ""
    tenant: str = ""
    actor: str = ""
    role: int = 0
    action: int = 0
    object_id: str = ""
    purpose: int = 0
    outcome: int = 0
    at_ms: int = 0
    request_id: str = ""
    boot_id: str = ""
    n: int = 0
    commitment: bytes = b""
    stored_through: int = 0
    related_id: str = ""
    bytes_sent: int = 0

    def __str__(self) -> str:
        at = dt.datetime.fromtimestamp(self.at_ms / 1000, dt.UTC).isoformat(timespec="seconds")
        return f"{at} {word(ACTIONS, self.action)}, {word(ROLES, self.role)}, {self._how()}"

    def _how(self) -> str:
        how = word(OUTCOMES, self.outcome)
        return f"{how}, {word(PURPOSES, self.purpose)}" if self.purpose else how


def word(words: tuple[str, ...], code: int) -> str:
    """An enum's word; what a later version added is `code-<number>`."""
    return words[code] if 0 <= code < len(words) else f"code-{code}"


def read_deed(entry: bytes) -> Deed:
    """The deed an entry holds. Raises ValueError."""
    found: dict[str, str | int | bytes] = {}
    for number, value in _records(entry):
        name = FIELDS.get(number)
        if name is None:
            continue
        kind = type(getattr(Deed, name))
        if name in found or isinstance(value, int) != (kind is int):
            raise ValueError(f"field {name} stands twice, or in a foreign form")
        found[name] = value.decode("utf-8") if kind is str and isinstance(value, bytes) else value
    return Deed(**found)  # type: ignore[arg-type]  # each value was held against its field's type


def _records(entry: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(entry):
        tag, at = _varint(entry, at)
        number, form = tag >> 3, tag & 7
        if form == VARINT:
            value, at = _varint(entry, at)
            yield number, value
            continue
        if form == LENGTH:
            length, at = _varint(entry, at)
        elif form in {FIXED64, FIXED32}:
            length = 8 if form == FIXED64 else 4
        else:
            raise ValueError("not a protobuf message")
        if number == 0 or at + length > len(entry):
            raise ValueError("not a protobuf message")
        yield number, entry[at : at + length]
        at += length


def _varint(entry: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(VARINT_BYTES_MAX):
        if at + place >= len(entry):
            break
        byte = entry[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says another follows
            return value, at + place + 1
    raise ValueError("not a protobuf number")
