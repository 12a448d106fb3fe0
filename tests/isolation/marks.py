"""Marks: what gives somebody away, and to whom it must never be shown."""

from tests.isolation.who import Who
from tests.isolation.world import Home

PERSONAL = ("name", "reference", "access_id")


def hidden_from(who: Who, home: Home, others: list[Home]) -> set[str]:
    """What must stand in no answer to this asker, whatever was asked."""
    hidden = set[str]().union(*(other.marks for other in others))
    if who in {Who.OTHER_PARTNER, Who.CUSTOMER, Who.CALLER, Who.OTHER_CUSTOMER}:
        theirs = {
            Who.CUSTOMER: home.main,
            Who.CALLER: home.main,
            Who.OTHER_CUSTOMER: home.neighbour,
        }.get(who)
        for filed in home.filed:
            hidden |= filed.marks if filed is not theirs else set()
    if who in {Who.NOBODY, Who.FORGER, Who.ADMIN, Who.AUDITOR, Who.OPERATOR}:
        hidden |= {getattr(filed, name) for filed in home.filed for name in PERSONAL}
    return hidden
