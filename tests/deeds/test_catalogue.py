"""The catalogue knows everything that acts, and nothing that does not exist any more."""

import ast

import pytest
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
from tests.deeds.found import ROOT, cli, handlers, loops, loops_in, routes
from tests.deeds.page import PAGE, page

from voicefile.contracts.deed.v1 import Action

ALL = ROUTES | COMMANDS | LOOPS | HANDLERS
ACTIONS = {
    name.removeprefix("ACTION_").lower().replace("_", "-")
    for name, value in Action.items()
    if value
}


@pytest.mark.asyncio(loop_scope="session")
async def test_every_route_is_in_the_catalogue_and_every_entry_is_a_route(vault) -> None:
    assert routes(vault.stand.vault.services) ^ ROUTES.keys() == set()


def test_every_command_is_in_the_catalogue_and_every_entry_is_a_command() -> None:
    assert cli() ^ COMMANDS.keys() == set()


def test_every_loop_is_in_the_catalogue_and_every_entry_is_a_loop() -> None:
    assert loops() ^ LOOPS.keys() == set()


def test_every_handler_of_events_is_in_the_catalogue() -> None:
    assert handlers() ^ HANDLERS.keys() == set()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("async def a():\n    await keep_doing(work, every_s=1, name='a')", "a"),
        ("async def b():\n    loops.create_task(partial(keep_doing, work))", "b"),
        (
            "class C:\n    async def d(self):\n        while True:\n            await sleep(1)",
            "C.d",
        ),
        (
            "class C:\n    async def e(self):\n        while x:\n            await self._sleep(1)",
            "C.e",
        ),
        ("class C:\n    async def run(self):\n        pass", "C.run"),
    ],
)
def test_a_planted_loop_is_found(text: str, name: str) -> None:
    assert loops_in(ast.parse(text)) == {name}


def test_an_entry_says_what_it_writes_or_why_nothing() -> None:
    for planted in ({}, {"done": ("void",), "exempt": "nothing"}):
        with pytest.raises(AssertionError):
            Writes(**planted)


def test_every_action_has_somebody_who_writes_it_and_says_what_its_object_is() -> None:
    assert OBJECTS.keys() == ACTIONS
    named = {action for writes in ALL.values() for action in (*writes.done, *writes.refused)}
    assert named <= ACTIONS
    text = page()
    unwritten = {action for action in ACTIONS if f"| `{action}` | {OBJECTS[action]} |  |" in text}
    assert unwritten == set()


def test_what_code_writes_is_no_action_that_is_said_to_be_unwritten() -> None:
    sources = [
        path.read_text()
        for place in ("services", "libs/deeds", "libs/dumps", "cli")
        for path in (ROOT / place).rglob("src/**/*.py")
    ]
    written = {
        action
        for action in ACTIONS
        if any(f"ACTION_{action.upper().replace('-', '_')}" in source for source in sources)
    }
    assert written.isdisjoint(NOT_WRITTEN_YET)
    assert written | NOT_WRITTEN_YET.keys() >= ACTIONS - ALSO.keys()


def test_the_page_says_what_the_catalogue_says() -> None:
    assert PAGE.read_text() == page(), "python -m tests.deeds.page"
