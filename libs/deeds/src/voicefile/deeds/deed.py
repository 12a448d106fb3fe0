"""A deed: who did what to which object, in ids, enums and times only.

A deed stands in an append-only log for ever, so nothing may enter it that a person could ask to
have erased. What looks like a number somebody dials, types or was given is refused here.
"""

import re
from dataclasses import dataclass
from typing import cast

from voicefile.contracts.deed.v1 import Action, Outcome, Purpose, Role
from voicefile.identity.ids import PLATFORM
from voicefile.identity.principal import Principal

__all__ = ["Action", "Actor", "Deed", "Outcome", "Purpose", "Role", "UnfitForTheLog"]

_ID = re.compile(r"[0-9a-f]{32}")
_CODE = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""A code begins with a letter: access IDs, PINs and telephone numbers do not."""
_REQUEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COMMITMENT_BYTES = 32
_BYTES_END = 2**63


class UnfitForTheLog(ValueError):
    """A deed was given something that is no id, enum or time. The text names the field only."""


@dataclass(frozen=True)
class Actor:
    """Somebody who acts: a random id that stands for the person or service, and a role."""

    pseudonym: str
    role: Role

    def __post_init__(self) -> None:
        _check("actor", not self.pseudonym or _ID.fullmatch(self.pseudonym))
        _check("role", self.role in Role.values() and self.role != Role.ROLE_UNSPECIFIED)

    @classmethod
    def of(cls, principal: Principal) -> "Actor":
        return cls(principal.id, cast("Role", Role.Value(f"ROLE_{principal.role.name}")))

    @classmethod
    def service(cls) -> "Actor":
        """A service acting on a schedule or on an event."""
        return cls("", Role.ROLE_SERVICE)

    @classmethod
    def unknown(cls) -> "Actor":
        """Somebody whose identity was not established."""
        return cls("", Role.ROLE_UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One action of somebody. The series that records it adds its number and the time."""

    actor: Actor
    action: Action
    tenant: str = PLATFORM
    object_id: str = ""
    purpose: Purpose = Purpose.PURPOSE_UNSPECIFIED
    outcome: Outcome = Outcome.OUTCOME_DONE
    request_id: str = ""
    commitment: bytes = b""
    """SHA-256 of what the deed vouches for, over salted bytes."""
    at_ms: int = 0
    """Unix time; 0: when it is numbered."""
    related_id: str = ""
    """The other id the deed ties its object to: of a recording released, the release's."""
    bytes_sent: int = 0
    """How many bytes of audio left the vault."""
    deed_id: str = ""
    """Random, drawn before where something signed names the deed; empty: when it is numbered."""

    def __post_init__(self) -> None:
        known = self.action in Action.values() and self.action != Action.ACTION_UNSPECIFIED
        _check("action", known)
        _check("tenant", not self.tenant or _ID.fullmatch(self.tenant))
        named = _ID.fullmatch(self.object_id) or _CODE.fullmatch(self.object_id)
        _check("object_id", not self.object_id or named)
        _check("purpose", self.purpose in Purpose.values())
        ended = self.outcome in Outcome.values() and self.outcome != Outcome.OUTCOME_UNSPECIFIED
        _check("outcome", ended)
        _check("request_id", not self.request_id or _REQUEST.fullmatch(self.request_id))
        _check("commitment", len(self.commitment) in {0, _COMMITMENT_BYTES})
        _check("at_ms", self.at_ms >= 0)
        _check("related_id", not self.related_id or _ID.fullmatch(self.related_id))
        _check("bytes_sent", 0 <= self.bytes_sent < _BYTES_END)
        _check("deed_id", not self.deed_id or _ID.fullmatch(self.deed_id))


def _check(field: str, fit: object) -> None:
    if not fit:
        raise UnfitForTheLog(field)
