"""Deeds as they travel: the one place in audit that knows the wire form."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from voicefile.audit.errors import Unreadable
from voicefile.audit.store import COMMITMENT_BYTES
from voicefile.contracts.deed.v1 import Action, Deed, Event, Outcome, Purpose, Role
from voicefile.eventbus.port import Event as BusEvent

TOPIC: Final = "voicefile.audit.v1"
ENTRY_BYTES_MAX: Final = 16 * 1024
"""A deed has about 250 bytes; the rest is room for what later versions may add."""
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_VOUCHING: Final = frozenset(
    {
        Action.ACTION_ACCESS_ISSUED,
        Action.ACTION_RECORDING_JOINED,
        Action.ACTION_TENANT_OPENED,
        Action.ACTION_SIGNING_KEY_ADDED,
    }
)


@dataclass(frozen=True, slots=True)
class Received:
    """A deed as it came, ready to become an entry."""

    event_id: str
    tenant: str
    boot: str
    n: int
    """0 if it carries no usable number: then only its event id can tell a second delivery."""
    recording: str
    """The recording whose receipt it vouches for, the tenant whose first receipt key, a later key,
    or nothing."""
    entry: bytes
    at_ms: int = 0
    """When it was done, by the clock of whoever did it."""
    stored_through: int = 0
    """All deeds of its instance up to this number were stored before it."""


def received(event: BusEvent) -> Received | None:
    """The deed an event carries, or None if it carries none. Raises Unreadable.

    Fields this version does not know stay in the entry: protobuf keeps them.
    """
    try:
        message = Event.FromString(event.payload)
    except DecodeError:
        raise Unreadable from None
    if not message.HasField("deed"):
        return None
    deed = message.deed
    entry = deed.SerializeToString(deterministic=True)
    if (deed.tenant and not _ID.fullmatch(deed.tenant)) or len(entry) > ENTRY_BYTES_MAX:
        raise Unreadable
    numbered = deed.n > 0 and _ID.fullmatch(deed.boot_id)
    vouches = deed.action in _VOUCHING and len(deed.commitment) == COMMITMENT_BYTES
    return Received(
        event_id=event.id,
        tenant=deed.tenant,
        boot=deed.boot_id if numbered else "",
        n=deed.n if numbered else 0,
        recording=deed.object_id if vouches else "",
        entry=entry,
        at_ms=deed.at_ms,
        # An instance can say so of earlier numbers only.
        stored_through=min(deed.stored_through, deed.n - 1) if numbered else 0,
    )


def wrap(event_id: str, deed: Deed, _fact: None) -> bytes:
    """One event of audit's own topic: it has no facts but deeds."""
    return Event(event_id=event_id, deed=deed).SerializeToString()


def actor_of(entry: bytes) -> str:
    """The id that the entry names its doer by."""
    return Deed.FromString(entry).actor


def later_key_of(entry: bytes) -> str:
    """The id of the key that signed the receipt, if not the one the tenant was opened with."""
    return Deed.FromString(entry).related_id


def names_receipt_key(entry: bytes) -> bool:
    """Whether this deed commits to the key that signs its tenant's receipts."""
    deed = Deed.FromString(entry)
    return deed.action == Action.ACTION_TENANT_OPENED and len(deed.commitment) == COMMITMENT_BYTES


def deed_of(entry: bytes) -> Deed:
    """An entry as it is read; it is never written again."""
    return Deed.FromString(entry)


def shown(entry: bytes) -> Mapping[str, str | int]:
    """An entry in words, for people; what counts is its bytes."""
    deed = Deed.FromString(entry)
    return {
        "deed_id": deed.deed_id,
        "actor": deed.actor,
        "role": word(Role.Name, deed.role, "ROLE_"),
        "action": word(Action.Name, deed.action, "ACTION_"),
        "object_id": deed.object_id,
        "purpose": word(Purpose.Name, deed.purpose, "PURPOSE_"),
        "outcome": word(Outcome.Name, deed.outcome, "OUTCOME_"),
        "at_ms": deed.at_ms,
        "request_id": deed.request_id,
        "boot_id": deed.boot_id,
        "n": deed.n,
        "stored_through": deed.stored_through,
        "commitment": deed.commitment.hex(),
        "related_id": deed.related_id,
        "bytes_sent": deed.bytes_sent,
    }


def word(name: Callable[[int], str], value: int, prefix: str) -> str:
    """An enum's value as people read it."""
    try:
        return name(value).removeprefix(prefix).lower().replace("_", "-")
    except ValueError:  # from a later version of the contract
        return f"code-{value}"
