"""Policy: what a scope may do. A child can only narrow what its parent allows.

One thing lengthens: what the law wants kept at least, which a reseller or a tenant states for its
classes. Whatever a scope says, a recording is kept for that long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from voicefile.auth.errors import (
    QuestionKindNotAllowed,
    RecordingNotAllowed,
    RetentionRequired,
    UnknownRetentionClass,
)
from voicefile.auth.store import PolicyRules

PIN_DIGITS_MIN = 6
PIN_DIGITS_MAX = 10
PIN_DIGITS = 8
RETENTION_DAYS_MAX = 36_525
QUESTION_KINDS = ("iban_last4", "birth_date", "postcode", "digits")
"""What can be asked once more after the PIN; every answer is digits."""


@dataclass(frozen=True)
class Policy:
    """What holds in a scope, everything above it taken into account."""

    recording_allowed: bool
    retention_days: Mapping[str, int] | None
    """By retention class; None: no scope has named classes yet."""
    default_retention_class: str | None
    pin_digits: int
    question_kinds: frozenset[str]
    sealed_pin_only: bool
    retention_days_min: Mapping[str, int] = field(default_factory=dict)
    """By retention class: what the law wants, stated by the reseller or the tenant."""


WIDEST = Policy(
    recording_allowed=True,
    retention_days=None,
    default_retention_class=None,
    pin_digits=PIN_DIGITS_MIN,
    question_kinds=frozenset(QUESTION_KINDS),
    sealed_pin_only=False,
)
"""Above all resellers."""


def narrowed(parent: Policy, rules: PolicyRules) -> Policy:
    """The parent's policy under a child's rules: whatever they say, it is never wider."""
    retention_days = _narrowed_retention(parent.retention_days, rules.retention_days)
    default = rules.default_retention_class
    if retention_days is None or default not in retention_days:
        default = parent.default_retention_class
    if retention_days is not None and default not in retention_days:
        default = None
    kinds = parent.question_kinds
    if rules.question_kinds is not None:
        kinds &= frozenset(rules.question_kinds)
    return Policy(
        recording_allowed=parent.recording_allowed and rules.recording_allowed,
        retention_days=retention_days,
        default_retention_class=default,
        pin_digits=max(parent.pin_digits, min(rules.pin_digits or 0, PIN_DIGITS_MAX)),
        question_kinds=kinds,
        sealed_pin_only=parent.sealed_pin_only or rules.sealed_pin_only,
        # Not the child's own: a department that could lengthen would not narrow.
        retention_days_min=parent.retention_days_min,
    )


def of_tenant(reseller: PolicyRules, tenant: PolicyRules) -> Policy:
    """A tenant's own policy. Who says nothing about PINs gets eight digits, not the fewest."""
    policy = replace(
        narrowed(narrowed(WIDEST, reseller), tenant),
        retention_days_min=_longest(reseller.retention_days_min, tenant.retention_days_min),
    )
    if reseller.pin_digits is None and tenant.pin_digits is None:
        return replace(policy, pin_digits=PIN_DIGITS)
    return policy


def is_within(child: Policy, parent: Policy) -> bool:
    """Whether the child allows nothing that the parent does not."""
    if parent.retention_days is not None:
        if child.retention_days is None:
            return False
        for name, days in child.retention_days.items():
            if days > parent.retention_days.get(name, 0):
                return False
    if any(child.retention_days_min.get(n, 0) < d for n, d in parent.retention_days_min.items()):
        return False
    return (
        child.recording_allowed <= parent.recording_allowed
        and child.pin_digits >= parent.pin_digits
        and child.question_kinds <= parent.question_kinds
        and child.sealed_pin_only >= parent.sealed_pin_only
    )


def _narrowed_retention(
    parent: Mapping[str, int] | None, child: Mapping[str, int] | None
) -> Mapping[str, int] | None:
    if child is None:
        return parent
    if parent is None:
        return {name: min(days, RETENTION_DAYS_MAX) for name, days in child.items()}
    return {name: min(days, parent[name]) for name, days in child.items() if name in parent}


def _longest(*several: Mapping[str, int] | None) -> Mapping[str, int]:
    longest: dict[str, int] = {}
    for stated in several:
        for name, days in (stated or {}).items():
            longest[name] = max(longest.get(name, 0), min(days, RETENTION_DAYS_MAX))
    return longest


def kept_days(policy: Policy, retention_class: str) -> int | None:
    """How long a recording of this class is kept, all in all; None: the policy doesn't say."""
    days = (policy.retention_days or {}).get(retention_class)
    if days is None:
        return None
    return max(days, policy.retention_days_min.get(retention_class, 0))


def check_recording(policy: Policy) -> None:
    """Raises RecordingNotAllowed where the scope takes no recordings."""
    if not policy.recording_allowed:
        raise RecordingNotAllowed


def retention(policy: Policy, wanted: str | None) -> tuple[str, int]:
    """Class and days. Raises RetentionRequired, UnknownRetentionClass."""
    name = wanted or policy.default_retention_class
    if name is None:
        raise RetentionRequired
    days = (policy.retention_days or {}).get(name)
    if days is None:
        raise UnknownRetentionClass
    return name, days


def check_question_kind(policy: Policy, kind: str) -> None:
    """Raises QuestionKindNotAllowed."""
    if kind not in policy.question_kinds:
        raise QuestionKindNotAllowed
