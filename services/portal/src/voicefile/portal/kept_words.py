"""What the vault says of keeping and erasing, in the catalogue's words and its readers' dates.

Codes have a text each; one that the catalogue does not know yet is a dash, never shown as it is.
"""

from collections.abc import Mapping
from typing import Any

from voicefile.portal.pages import day, moment

SHORT_CHARS = 8
DAYS_SHOWN_MAX = 31
"""More than a month of days is told by months."""


def objection(found: Mapping[str, Any], texts: Mapping[str, str], language: str) -> dict[str, Any]:
    """A recording that somebody objected to, as the template shows it."""
    return {
        "id": found["recording_id"],
        "short": found["recording_id"][:SHORT_CHARS],
        "objected": found["objected"],
        "on": day(found["objected_on"], language) if found["objected_on"] else texts["unknown"],
        "by": texts.get(f"objected_by_{found['objected_by']}", texts["objected_by_unknown"]),
        "state": texts.get(f"state_{found['state']}", "–"),
        "delete_on": day(found["delete_on"], language),
        "kept_by": _kept_by(found["kept_by"], texts),
    }


def kept(found: Mapping[str, Any], texts: Mapping[str, str], language: str) -> dict[str, Any]:
    """One recording of a list."""
    return {
        "id": found["recording_id"],
        "short": found["recording_id"][:SHORT_CHARS],
        "state": texts.get(f"state_{found['state']}", "–"),
        "stored_on": day(found["stored_on"], language),
        "delete_on": day(found["delete_on"], language),
        "erased_on": day(found["erased_on"] or "", language),
        "retention_class": found["retention_class"],
        "kept_by": _kept_by(found["kept_by"], texts),
        "objected": found["objection"] is not None,
        "reasons": _reasons(found, texts, language),
    }


def asked(
    found: Mapping[str, Any], texts: Mapping[str, str], language: str, *, reader: str
) -> dict[str, Any]:
    """An early erasure that waits; `reader` is who looks at it."""
    own = found["asked_by"] == reader
    return {
        "id": found["erasure_id"],
        "what": texts.get(f"erasure_of_{found['what']}", "–"),
        "object": found["object_id"],
        "short": found["object_id"][:SHORT_CHARS],
        "own": own,
        "by": texts["yourself"] if own else found["asked_by_name"] or found["asked_by"],
        "purpose": texts.get(f"purpose_{found['purpose']}", "–"),
        "asked_at": f"{moment(found['asked_at'], language)} (UTC)",
        "expires_at": f"{moment(found['expires_at'], language)} (UTC)",
    }


def moved(found: Mapping[str, Any], language: str) -> list[dict[str, Any]]:
    """The days of a preview; many of them by months."""
    days = found["days"]
    if len(days) <= DAYS_SHOWN_MAX:
        return [each | {"when": day(each["delete_on"], language)} for each in days]
    months: dict[str, dict[str, Any]] = {}
    for each in days:
        month = months.setdefault(each["delete_on"][:7], {"recordings": 0, "held": 0})
        month["recordings"] += each["recordings"]
        month["held"] += each["held"]
    return [month | {"when": _month(name, language)} for name, month in months.items()]


def _kept_by(codes: list[str], texts: Mapping[str, str]) -> list[str]:
    return [texts.get(f"kept_by_{code}", "–") for code in codes]


def _reasons(found: Mapping[str, Any], texts: Mapping[str, str], language: str) -> list[str]:
    """Who stands against erasing it, since when, and why."""
    reasons, hold, said = [], found["hold"], found["objection"]
    if hold:
        who = hold["placed_by_name"] or hold["placed_by"][:SHORT_CHARS] or texts["unknown"]
        why = texts.get(f"purpose_{hold['purpose']}", "–")
        since = day(hold["placed_on"], language)
        reasons.append(f"{texts['kept_by_hold']}: {since}, {who}, {why}, {hold['reference']}")
    if said:
        on = day(said["on"], language) if said["on"] else texts["unknown"]
        by = texts.get(f"objected_by_{said['by']}", texts["objected_by_unknown"])
        reasons.append(f"{texts['kept_by_objection']}: {on}, {by}")
    return reasons


def _month(written: str, language: str) -> str:
    return day(f"{written}-01", language)[3:]  # without the day, in either language
