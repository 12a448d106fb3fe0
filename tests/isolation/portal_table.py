"""The portal's pages: who sees which, and what everybody else sees instead."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.isolation.rows import Ask, Cell, Position
from tests.isolation.who import (
    ADMINS,
    AGENTS,
    AUDITORS,
    CALLERS,
    CUSTOMERS,
    EVERYBODY,
    HOLDERS,
    Who,
)
from tests.isolation.world import ANSWER, Thing

from voicefile.portal.forms import csrf_of

SIGN_IN_AGAIN = 303
NOT_FOUND = 404
Asker = Callable[[Cell], Awaitable[Ask]]


async def nothing(_: Cell) -> Ask:
    return Ask()


@dataclass(frozen=True)
class Page:
    """One page or form of the portal."""

    route: str
    may: frozenset[Who]
    ok: int = 200
    thing: Thing | None = None
    ask: Asker = nothing
    absent: int = NOT_FOUND
    refused: int = NOT_FOUND
    """What a token gets that is somebody's, but not of whom the page is for."""
    unknown: frozenset[Who] = frozenset()
    """Whose token is none where the page asks: they are sent to sign in."""
    held: int | None = None
    """Open pages: what whoever brings a cookie gets, if not the same."""
    spends: bool = False
    tried_by: frozenset[Who] = EVERYBODY

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def care(self) -> bool:
        """Whether the page reads the agents' cookie."""
        return "/care" in self.route

    def found_by(self, who: Who, position: Position) -> bool:
        """Whether this asker may see this thing."""
        if who not in self.may:
            return False
        own = position is Position.OWN and who is not Who.OTHER_CUSTOMER
        return self.thing is None or own

    def expected(self, who: Who, position: Position) -> int:
        """The status this cell must answer."""
        if self.may == EVERYBODY and self.thing is None:
            return self.held if self.held is not None and who in HOLDERS else self.ok
        if self.found_by(who, position):
            return self.ok
        if who in self.may:
            return self.absent
        if who in self.unknown | CALLERS or who not in HOLDERS:
            return SIGN_IN_AGAIN
        return self.refused


def form(**fields: str) -> Ask:
    # As a browser sends it from one of our own pages.
    return Ask(data=fields, headers={"Origin": "https://vault.internal"})


def signed_form(cell: Cell, **fields: str) -> Ask:
    return form(**fields, csrf=csrf_of(cell.home.bearers.get(cell.who, "")))


async def a_sign_in(cell: Cell) -> Ask:
    tried = cell.home.main.access_id if cell.position is Position.OWN else cell.value
    return form(access_id=tried, pin=cell.home.main.pin)


async def an_answer(cell: Cell) -> Ask:
    return form(challenge=cell.value, answer=ANSWER)


async def a_language(_: Cell) -> Ask:
    return form(language="en", area="care")


async def no_staff(_: Cell) -> Ask:
    return form(username="nobody@nowhere.test", password="x", totp="000000")


async def a_search(cell: Cell) -> Ask:
    return signed_form(cell, field="contract_reference", value=cell.value, purpose="complaint")


async def a_sign_out(cell: Cell) -> Ask:
    return signed_form(cell)


async def a_style(_: Cell) -> Ask:
    return Ask(path={"name": "portal.css"})


async def audio(_: Cell) -> Ask:
    return Ask(path={"part": "audio"}, params={"purpose": "complaint"})


async def peaks(_: Cell) -> Ask:
    return Ask(path={"part": "peaks"}, params={"purpose": "complaint"})


async def own_credential(cell: Cell) -> Ask:
    """A recording of whoever, opened with a customer that the agent did find."""
    found = cell.home.main.credential
    return Ask(params={"purpose": "complaint", "credential": found})


async def its_credential(cell: Cell) -> Ask:
    owner = cell.owner.main.credential
    return Ask(params={"purpose": "complaint", "credential": owner})


async def a_purpose(_: Cell) -> Ask:
    return Ask(params={"purpose": "complaint"})


async def a_settling(cell: Cell) -> Ask:
    return signed_form(cell, reason="dispute", sure="yes")


async def an_approval(cell: Cell) -> Ask:
    return signed_form(cell, typed=cell.owner.asked_to_erase.get(cell.value, "")[:8])


async def other_rules(cell: Cell) -> Ask:
    return signed_form(cell, **{"scope": "", "days.contract": "30"})


def a_listing(listing: str) -> Asker:
    async def asked(_: Cell) -> Ask:
        return Ask(path={"listing": listing})

    return asked


OPEN_SOME = frozenset({Who.NOBODY, Who.CUSTOMER, Who.CARE, Who.PORTAL})
DECIDE_SOME = frozenset({Who.NOBODY, Who.CUSTOMER, Who.CARE, Who.ADMIN})
ONE = "/portal/recordings/{recording_id}"
CARES_ONE = "/portal/care/recordings/{recording_id}"
ASKED = "/portal/care/erasures/asked/{erasure_id}"
LISTENERS = CUSTOMERS | AGENTS
PAGES = (
    Page("GET /portal/", EVERYBODY, held=303),
    Page("GET /portal/care", EVERYBODY),
    Page("GET /portal/static/{name}", EVERYBODY, ask=a_style),
    Page("POST /portal/language", EVERYBODY, ok=303, ask=a_language),
    Page(
        "POST /portal/sign-in",
        EVERYBODY,
        ok=303,
        thing=Thing.LETTER,
        ask=a_sign_in,
        absent=401,
        tried_by=OPEN_SOME,
    ),
    Page(
        "POST /portal/answer",
        EVERYBODY,
        ok=303,
        thing=Thing.CHALLENGE,
        ask=an_answer,
        absent=401,
        spends=True,
        tried_by=OPEN_SOME,
    ),
    Page("POST /portal/care/sign-in", EVERYBODY, ok=401, ask=no_staff, tried_by=OPEN_SOME),
    Page("POST /portal/care/sign-out", EVERYBODY, ok=303, ask=a_sign_out),
    Page("GET /portal/recordings", CUSTOMERS),
    Page("GET /portal/recordings/{recording_id}", CUSTOMERS, thing=Thing.RECORDING),
    Page(
        "GET /portal/recordings/{recording_id}/heard",
        CUSTOMERS,
        thing=Thing.RECORDING,
    ),
    Page(
        "GET /portal/recordings/{recording_id}/{part}", CUSTOMERS, thing=Thing.RECORDING, ask=audio
    ),
    Page(
        "GET /portal/recordings/{recording_id}/{part}", CUSTOMERS, thing=Thing.RECORDING, ask=peaks
    ),
    Page(f"GET {ONE}/evidence", CUSTOMERS, thing=Thing.RECORDING),
    Page(
        "POST /portal/care/search",
        AGENTS,
        thing=Thing.CONTRACT,
        ask=a_search,
        absent=200,  # nobody found
        unknown=CUSTOMERS,
    ),
    # A customer's own session opens the customer's own recording behind that address, too: no
    # more than it may anyway.
    Page(f"GET {CARES_ONE}", LISTENERS, thing=Thing.RECORDING, ask=own_credential),
    Page(f"GET {CARES_ONE}", LISTENERS, thing=Thing.RECORDING, ask=its_credential),
    Page(f"GET {CARES_ONE}/{{part}}", LISTENERS, thing=Thing.RECORDING, ask=audio),
    Page(f"GET {CARES_ONE}/{{part}}", LISTENERS, thing=Thing.RECORDING, ask=peaks),
    Page(f"GET {CARES_ONE}/evidence", LISTENERS, thing=Thing.RECORDING, ask=a_purpose),
    Page(
        f"GET {CARES_ONE}/objection",
        AGENTS | ADMINS,
        thing=Thing.RECORDING,
        ask=a_purpose,
        unknown=CUSTOMERS,
    ),
    Page(
        f"POST {CARES_ONE}/objection",
        AGENTS | ADMINS,
        ok=303,
        thing=Thing.RECORDING,
        ask=a_settling,
        unknown=CUSTOMERS,
    ),
    Page("GET /portal/care/erasures", ADMINS, unknown=CUSTOMERS),
    Page(
        f"GET {ASKED}",
        ADMINS,
        thing=Thing.ERASURE,
        unknown=CUSTOMERS,
        spends=True,  # nothing; but what stands may have been used up by others
        tried_by=DECIDE_SOME,
    ),
    Page(
        f"POST {ASKED}/approval",
        ADMINS,
        thing=Thing.ERASURE,
        ask=an_approval,
        unknown=CUSTOMERS,
        spends=True,
        tried_by=DECIDE_SOME,
    ),
    Page(
        f"POST {ASKED}/rejection",
        ADMINS,
        thing=Thing.ERASURE,
        ask=a_sign_out,
        unknown=CUSTOMERS,
        spends=True,
        tried_by=DECIDE_SOME,
    ),
    *(
        Page(
            "GET /portal/care/erasures/{listing}",
            ADMINS | AUDITORS,
            ask=a_listing(listing),
            unknown=CUSTOMERS,
        )
        for listing in ("planned", "held", "erased")
    ),
    Page("GET /portal/care/erasures/rules", ADMINS, unknown=CUSTOMERS),
    Page("POST /portal/care/erasures/rules", ADMINS, ask=other_rules, unknown=CUSTOMERS),
    Page(
        "GET /portal/care/certificates/{recording_id}",
        ADMINS | AUDITORS,
        thing=Thing.ERASED_RECORDING,
        unknown=CUSTOMERS,
    ),
    # The last one: whoever signed out sees nothing any more.
    Page("POST /portal/sign-out", CUSTOMERS, ok=303, ask=a_sign_out, spends=True),
)
