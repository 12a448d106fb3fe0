"""Writes docs/deeds.md from the catalogue: `python -m tests.deeds.page`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.deeds.catalogue import (
    ALSO,
    COMMANDS,
    HANDLERS,
    LOOPS,
    NOT_WRITTEN_YET,
    OBJECTS,
    ROUTES,
    Writes,
)

PAGE = Path(__file__).parents[2] / "docs" / "deeds.md"
INTRODUCTION = """# Deeds: what the log knows

Whatever acts for somebody writes a deed before it answers: who (a random id and a role), what, on
which object, for which purpose, with what outcome, when, in which request. A deed holds ids, enums,
numbers and times; nothing in it ever has to be erased. This page is made from the catalogue in
`tests/deeds/catalogue.py`. Tests hold it against every route, command, loop and handler there is,
and ask every route to see that the log gets exactly what stands here.

A refusal is a deed where somebody is known: outcome `refused`, object what was asked for. A role
that has no business at a door is `door-refused`, at every route with a role. What is refused to
nobody in particular (no token, nobody's token, an address that is too quick) is counted by route
and status: a log must not grow at the will of strangers. What the interface does not know (a
malformed request) asks nothing of anybody and is counted, too. While deeds can't be recorded no key
is released, and that refusal is counted.
"""


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        _actions(),
        _table("Routes", "route", ROUTES),
        _table("Commands", "command", COMMANDS),
        _table("What services do by themselves", "loop or handler", LOOPS | HANDLERS),
    ]
    return "\n".join(parts)


def _actions() -> str:
    rows = [
        f"| `{action}` | {what} | {_writers(action)} |" for action, what in sorted(OBJECTS.items())
    ]
    return "\n".join(
        ("## Actions", "| action | its object is | written by |", "|---|---|---|", *rows, "")
    )


def _writers(action: str) -> str:
    if action in ALSO:
        return ALSO[action]
    if action in NOT_WRITTEN_YET:
        return f"nothing yet: {NOT_WRITTEN_YET[action]}"
    named = [
        name
        for name, writes in (ROUTES | COMMANDS | LOOPS | HANDLERS).items()
        if action in (*writes.done, *writes.refused)
        or any(each.endswith(action) for each in _quoted(writes.note))
        or (action.startswith("credential-") and f"`-{action[11:]}`" in writes.note)
    ]
    return "<br>".join(f"`{name}`" for name in named if "/portal/" not in name)


def _quoted(note: str) -> list[str]:
    return note.split("`")[1::2]


def _table(heading: str, first: str, entries: Mapping[str, Writes]) -> str:
    rows = [f"| `{name}` | {_said(writes)} |" for name, writes in entries.items()]
    return "\n".join((f"## {heading}", f"| {first} | deeds |", "|---|---|", *rows, ""))


def _said(writes: Writes) -> str:
    if writes.exempt:
        return f"none: {writes.exempt}"
    said = [_named(writes.done)] if writes.done else []
    if writes.refused:
        said.append(f"refused: {_named(writes.refused)}")
    if writes.note:
        said.append(writes.note)
    return "; ".join(said)


def _named(actions: Iterable[str]) -> str:
    return ", ".join(f"`{action}`" for action in actions)


if __name__ == "__main__":
    PAGE.write_text(page())
