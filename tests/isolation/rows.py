"""What a row of the matrix says: who may, what it is asked for, what foreign and missing answer.

A row holds no results, only rules; what each cell must answer follows from them (`expected`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
from tests.isolation.who import CALLERS, CUSTOMERS, EVERYBODY, HOLDERS, PEERS, Who
from tests.isolation.world import Home, Thing

from voicefile.identity.guard import Rule, RuleKind

INSIDE = "/internal/"


class Position(StrEnum):
    """Whose the thing is that is asked for."""

    OWN = "own"
    FOREIGN = "foreign"
    MISSING = "missing"


@dataclass(frozen=True)
class Ask:
    """What goes into a request beside its path."""

    json: Any = None
    params: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] | None = None
    files: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    """What stands in the path beside the thing."""


@dataclass(frozen=True)
class Cell:
    """One question of the matrix."""

    home: Home
    who: Who
    position: Position
    value: str
    """The id, name or number that is asked for."""
    owner: Home


Asker = Callable[[Cell], Awaitable[Ask]]
Shown = Callable[[httpx.Response], bytes]


async def nothing(_: Cell) -> Ask:
    return Ask()


def whole(answer: httpx.Response) -> bytes:
    """Status line aside, all of it."""
    return answer.content + repr(answer.headers.multi_items()).encode()


def without_refusals(answer: httpx.Response) -> bytes:
    """A page of a log without what the log's own people asked for and were not given.

    Such an entry repeats the id that was asked for, whoever it belongs to, if to anybody.
    """
    if not answer.is_success:
        return whole(answer)
    entries = answer.json()["entries"]
    kept = [entry["deed"] for entry in entries if entry["deed"]["outcome"] != "refused"]
    return repr(kept).encode()


@dataclass(frozen=True)
class Row:
    """One route, or one way to use it."""

    route: str
    """Method and whole path template."""
    may: frozenset[Who]
    ok: int = 200
    thing: Thing | None = None
    ask: Asker = nothing
    absent: int = 404
    """What foreign and missing answer, in the same bytes."""
    shared: bool = False
    """The thing is for whoever may ask at all, whatever tenant it is of."""
    spends: bool = False
    """A success uses the thing (or, without one, the session) up."""
    indifferent: frozenset[Who] = frozenset()
    """For these the thing says nothing: they see their own."""
    on_behalf_of: Who = Who.CUSTOMER
    """Inside: whose token a peer passes on."""
    bearer_matters: bool = False
    """Inside: the token that a peer passes on decides, too."""
    open_to: frozenset[Who] = EVERYBODY
    """Open doors look at the body alone: slow ones are tried by some."""
    positions: tuple[Position, ...] = tuple(Position)
    shown: Shown = whole
    """What of an answer tells the asker something."""
    counts_by_tenant: bool = False
    """It is of all tenants and says how much is whose; nothing else of anybody stands in it."""

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def inside(self) -> bool:
        return INSIDE in self.path

    @property
    def open(self) -> bool:
        return self.may == EVERYBODY

    def reached_by(self, who: Who) -> bool:
        """Whether the home's thing is this asker's to use, who may ask for such things at all."""
        if self.thing is None or self.open or self.shared or who in self.indifferent:
            return True
        if who is Who.OPERATOR:
            return False
        # The things of the matrix are the first partner's and its first customer's.
        return who not in {Who.OTHER_PARTNER, Who.OTHER_CUSTOMER}

    def expected(self, who: Who, position: Position) -> int:
        """The status this cell must answer."""
        if who not in self.may:
            return self._turned_away(who)
        if self.thing is None or who in self.indifferent:
            return self.ok
        if position is Position.OWN and self.reached_by(who):
            return self.ok
        if position is Position.FOREIGN and self.shared:
            return self.ok
        return self.absent

    def _turned_away(self, who: Who) -> int:
        if self.inside:
            return 403 if who in PEERS else 401
        if who not in HOLDERS:
            return 401
        # A customer's session is no token: where only staff is served, nobody knows it. What
        # stands for one on the telephone nobody knows anywhere.
        return 401 if who in CUSTOMERS | CALLERS else 403

    def fits(self, rule: Rule, roles: dict[str, frozenset[Who]]) -> bool:
        """Whether the route's own rule says the same as this row."""
        if rule.kind is RuleKind.PUBLIC:
            return self.open
        if rule.kind is RuleKind.PEERS:
            return self.inside and self.may == {
                who for who, name in PEERS.items() if rule.names(name)
            }
        told = frozenset[Who]().union(*(roles[role] for role in rule.who))
        if rule.kind is RuleKind.CUSTOMER_SESSION:
            told |= CUSTOMERS
        return not self.inside and self.may == told
