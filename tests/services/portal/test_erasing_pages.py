"""Settling and erasing in the portal, in front of a vault that says what the test wants."""

import base64
import json
from urllib.parse import urlencode

import httpx
import pytest

from voicefile.auth.erasing.certificate import What
from voicefile.auth.problems_table import PROBLEMS
from voicefile.auth.schemas import PurposeCode
from voicefile.auth.store import RecordingState
from voicefile.chassis.inprocess import in_process_client
from voicefile.portal import app, cookies
from voicefile.portal.care_routes import PURPOSES
from voicefile.portal.forms import csrf_of
from voicefile.portal.languages import LANGUAGES, catalogues
from voicefile.portal.settings import PortalSettings
from voicefile.portal.vault import STANDS_AGAINST

RECORDING, ERASURE, READER = "ab" * 16, "cd" * 16, "ef" * 16
OBJECTION = f"/portal/care/recordings/{RECORDING}/objection"
ASKED = f"/portal/care/erasures/asked/{ERASURE}"
KEPT_BY = ("law", "hold", "objection")


def token_of(role, holder=READER):
    claims = base64.urlsafe_b64encode(json.dumps({"sub": holder, "role": role}).encode())
    return f"e30.{claims.decode().rstrip('=')}.c2ln"


class Said:
    """What auth answers, and what it was asked."""

    def __init__(self):
        self.asked = []
        self.problem = None
        self.objection = {
            "recording_id": RECORDING,
            "state": "held",
            "objected": True,
            "objected_on": "2026-11-28",
            "objected_by": "telephone",
            "delete_on": "2036-11-28",
            "kept_by": ["objection"],
        }
        self.erasure = {
            "erasure_id": ERASURE,
            "what": "recording",
            "object_id": RECORDING,
            "asked_by": "12" * 16,
            "asked_by_name": "Anna Beispiel",
            "purpose": "customer-request",
            "asked_at": "2026-11-28T09:00:00Z",
            "expires_at": "2026-12-05T09:00:00Z",
        }
        rules = {"retention_days": {"contract": 3650}, "retention_days_min": {"contract": 700}}
        self.policies = [
            rules | {"department": "", "project": ""},
            rules | {"department": "sales", "project": "spring"},
        ]
        self.kept = []

    def __call__(self, request):
        self.asked.append(request)
        if self.problem and request.method != "GET":
            body = {"type": f"urn:voicefile:problem:{self.problem[0]}"}
            return httpx.Response(self.problem[1], json=body)
        path = request.url.path.removeprefix("/auth/v1/")
        answers = {
            f"recordings/{RECORDING}/objection": self.objection,
            f"recordings/{RECORDING}/shred-certificate": {"certificate": "a.b.c"},
            "erasures": {"erasures": [self.erasure]},
            f"erasures/{ERASURE}/confirmation": {
                "what": self.erasure["what"],
                "erased": [RECORDING],
                "held": ["34" * 16],
                "customer_erased": True,
                "delete_on": None,
            },
            "tenant": {"policy": self.policies[0], "scopes": self.policies[1:]},
            "retention-previews": {"recordings": 40, "due_at_once": 1, "days": self.days()},
        }
        if path.startswith("retention/"):
            return httpx.Response(200, json={"recordings": self.kept, "cursor": "9.ab"})
        if request.method == "DELETE" and path.startswith("erasures/"):
            return httpx.Response(204)
        return httpx.Response(200, json=answers[path])

    def days(self):
        days = [f"2027-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 21)]
        return [{"delete_on": day, "recordings": 1, "held": 0} for day in days]

    @property
    def changes(self):
        return [each for each in self.asked if each.method != "GET"]


@pytest.fixture
def said():
    return Said()


@pytest.fixture
async def browser(said):
    transport = httpx.MockTransport(said)
    async with httpx.AsyncClient(transport=transport, base_url="https://vault") as inner:
        portal = app.build(PortalSettings(), client=inner)
        async with in_process_client({"/portal": portal}) as client:
            yield client


def cookie(role, language="de"):
    return {"Cookie": f"{cookies.CARE}={token_of(role)}; {cookies.LANGUAGE}={language}"}


async def sent(browser, path, role, **fields):
    headers = cookie(role) | {
        "Content-Type": "application/x-www-form-urlencoded",
        "Sec-Fetch-Site": "same-origin",
    }
    body = urlencode({"csrf": csrf_of(token_of(role)), **fields})
    return await browser.post(path, content=body, headers=headers)


@pytest.mark.parametrize("role", ["care", "tenant_admin"])
async def test_who_settles_is_shown_who_said_it_when_and_gives_a_reason(browser, said, role):
    page = await browser.get(f"{OBJECTION}?purpose=complaint", headers=cookie(role))
    assert said.asked[-1].headers["Purpose"] == "complaint"
    for shown in ("28.11.2026", "der Kunde, am Telefon", "hörbar, vor Löschung geschützt"):
        assert shown in page.text
    done = await sent(browser, OBJECTION, role, reason="legal", sure="yes")
    assert done.is_redirect
    (change,) = said.changes
    assert (change.method, change.headers["Purpose"]) == ("DELETE", "legal")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sure": "yes"},
        {"reason": "dispute"},
        {"reason": "because", "sure": "yes"},
        {"reason": "dispute", "sure": "yes", "csrf": csrf_of(token_of("care", "another"))},
    ],
)
async def test_without_a_reason_a_tick_and_a_page_of_ones_own_nothing_is_settled(
    browser, said, fields
):
    answer = await sent(browser, OBJECTION, "care", **fields)
    assert answer.status_code in (400, 422)
    assert said.changes == []


async def test_what_was_settled_is_not_offered_again(browser, said):
    said.objection |= {"objected": False, "objected_on": "", "objected_by": "", "kept_by": []}
    page = await browser.get(f"{OBJECTION}?settled=yes", headers=cookie("care"))
    assert "als erledigt vermerkt" in page.text
    assert "<select" not in page.text


async def test_nothing_is_called_settled_that_still_stands(browser, said):
    page = await browser.get(f"{OBJECTION}?settled=yes", headers=cookie("care"))
    assert "Der Widerspruch ist als erledigt vermerkt" not in page.text


async def test_an_older_objection_says_that_its_day_is_not_known(browser, said):
    said.objection |= {"objected_on": "", "objected_by": ""}
    page = await browser.get(OBJECTION, headers=cookie("care"))
    assert "nicht bekannt" in page.text


async def test_the_second_person_sees_who_asked_and_may_say_yes_or_no(browser, said):
    page = await browser.get(ASKED, headers=cookie("tenant_admin"))
    assert "Anna Beispiel" in page.text
    done = await sent(browser, f"{ASKED}/approval", "tenant_admin", typed=" ABABABAB ")
    assert json.loads(said.changes[-1].content) == {"typed": "abababab"}
    assert f'href="/portal/care/certificates/{RECORDING}"' in done.text
    assert "34" * 16 in done.text
    await sent(browser, f"{ASKED}/rejection", "tenant_admin")
    assert said.changes[-1].method == "DELETE"


async def test_who_asked_sees_no_way_to_say_yes(browser, said):
    said.erasure["asked_by"] = READER
    page = await browser.get(ASKED, headers=cookie("tenant_admin"))
    assert "Sie selbst" in page.text
    assert "/approval" not in page.text
    assert "/rejection" in page.text


@pytest.mark.parametrize("slug", sorted(STANDS_AGAINST))
async def test_what_stands_against_it_is_said_in_words(browser, said, slug):
    (status,) = {each.status for each in PROBLEMS.values() if each.type_slug == slug}
    said.problem = slug, status
    for path, role, fields in (
        (f"{ASKED}/approval", "tenant_admin", {"typed": "abababab"}),
        (OBJECTION, "care", {"reason": "dispute", "sure": "yes"}),
    ):
        page = await sent(browser, path, role, **fields)
        assert page.status_code >= 400
        assert catalogues()["de"].texts[f"against_{slug}"] in page.text


def kept(**said):
    hold = {"placed_on": "2026-11-01", "placed_by": "12" * 16, "reference": "AZ-17"}
    return {
        "recording_id": RECORDING,
        "credential_id": "56" * 16,
        "state": "held",
        "stored_on": "2026-10-01",
        "delete_on": "2036-10-01",
        "retention_class": "contract",
        "kept_by": [],
        "hold": hold | {"placed_by_name": "Anna Beispiel", "purpose": said.pop("purpose", "legal")},
        "objection": {"on": "2026-11-28", "by": "telephone"},
        "erased_on": "2026-11-28",
    } | said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("listing", ["planned", "held", "erased"])
async def test_every_code_has_its_words_and_none_is_shown_bare(browser, said, listing, language):
    said.kept = [
        *(kept(state=state.value) for state in RecordingState),
        *(kept(purpose=purpose) for purpose in PURPOSES),
        *(kept(hold=None, objection=None, kept_by=[code]) for code in KEPT_BY),
    ]
    page = await browser.get(
        f"/portal/care/erasures/{listing}", headers=cookie("tenant_admin", language)
    )
    assert page.status_code == 200
    assert "–" not in page.text
    if language == "de":
        codes = {*map(str, RecordingState), "customer-request", "objection:", "telephone", "law"}
        assert not [code for code in codes if f">{code}" in page.text or f" {code}" in page.text]
    assert 'href="?after=9.ab"' in page.text


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_request_has_its_words(browser, said, language):
    for what in What:
        for purpose in PURPOSES:
            said.erasure |= {"what": what.value, "purpose": purpose}
            page = await browser.get(
                "/portal/care/erasures", headers=cookie("tenant_admin", language)
            )
            assert "–" not in page.text


def test_the_pages_know_every_purpose_there_is():
    assert set(PURPOSES) == set(PurposeCode.__args__)


async def test_a_preview_keeps_what_the_law_wants_and_shows_many_days_by_months(browser, said):
    fields = {"scope": "", "days.contract": "30"}
    page = await sent(browser, "/portal/care/erasures/rules", "tenant_admin", **fields)
    rules = {"retention_days": {"contract": 30}, "retention_days_min": {"contract": 700}}
    assert json.loads(said.changes[-1].content) == {"rules": rules}
    for shown in ("01.2027", "02.2027", 'value="30"', "sofort zu löschen: 1."):
        assert shown in page.text
    fields = {"scope": "sales/spring", "days.contract": "30"}
    await sent(browser, "/portal/care/erasures/rules", "tenant_admin", **fields)
    assert json.loads(said.changes[-1].content) == {
        "rules": {"retention_days": {"contract": 30}},
        "department": "sales",
        "project": "spring",
    }


async def test_days_that_are_none_change_nothing(browser, said):
    fields = {"scope": "", "days.contract": "soon"}
    page = await sent(browser, "/portal/care/erasures/rules", "tenant_admin", **fields)
    assert page.status_code == 422
    assert said.changes == []


async def test_a_certificate_leaves_as_it_was_signed(browser):
    path = f"/portal/care/certificates/{RECORDING}"
    answer = await browser.get(path, headers=cookie("auditor"))
    assert answer.text == "a.b.c"
    assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("role", "pages"),
    [
        ("care", ["erasures", "erasures/planned", "erasures/rules", f"certificates/{RECORDING}"]),
        ("auditor", ["erasures", "erasures/rules", f"erasures/asked/{ERASURE}"]),
        ("partner", ["erasures/planned", f"recordings/{RECORDING}/objection"]),
    ],
)
async def test_who_a_page_is_not_for_finds_none_and_the_vault_is_not_asked(
    browser, said, role, pages
):
    for page in pages:
        answer = await browser.get(f"/portal/care/{page}", headers=cookie(role))
        assert answer.status_code == 404
    assert said.asked == []


async def test_administrators_and_auditors_begin_with_what_is_theirs(browser):
    shown = {}
    for role in ("tenant_admin", "auditor", "care"):
        shown[role] = (await browser.get("/portal/care", headers=cookie(role))).text
    assert "/portal/care/erasures/rules" in shown["tenant_admin"]
    assert "/portal/care/erasures/rules" not in shown["auditor"]
    assert "/portal/care/erasures/erased" in shown["auditor"]
    assert "/portal/care/search" in shown["care"]
