"""Care settles what a caller said, and administrators decide what goes, in a real browser.

One vault for all: a customer who telephoned, and some recordings that people want to be rid of.
"""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyotp
import pytest
from tests.journeys.test_telephone_port import Forwarder, context
from tests.telephony.call import Call
from tests.telephony.exchange import URL, keyed, reached

from voicefile.cli.partner import PartnerLogin, file_recording, https_client, sample
from voicefile.portal import cookies

pytestmark = pytest.mark.timeout(180)

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SPOKEN = {
    "de": {"reason": "Streitfall", "settled": "als erledigt vermerkt", "by": "am Telefon"},
    "en": {"reason": "Dispute", "settled": "marked as settled", "by": "by telephone"},
}


async def objects(demo):
    """The customer telephones, lets the recording begin, and says that it is not their contract."""
    told = demo["recording"]
    edges = Path(demo["edges"])
    wire = Forwarder(demo["telephone"], context(edges, edges / "edge-1.pem"))
    async with httpx.AsyncClient(transport=wire) as client, Call(client, URL) as call:
        await keyed(call, "id", told["access_id"])
        await keyed(call, "pin", told["pin"])
        await reached(call, lambda: call.asks == "key")
        await call.press("9")
        await call.wait(2)
        await call.press("1")
        await call.wait(2)


class Vault:
    """The demo vault, and its first tenant's people with a token each."""

    def __init__(self, demo):
        self.demo, self.url = demo, demo["url"]
        self.tenant = demo["tenants"][0]
        trusted = ssl.create_default_context(cafile=demo["ca"])
        self.client = httpx.Client(base_url=self.url, verify=trusted)
        self.tokens = {who: self.signed_in(who) for who in ("care", "admin", "auditor")}

    def signed_in(self, who):
        known = self.tenant[who]
        body = {
            "username": known["username"],
            "password": known["password"],
            "totp": pyotp.TOTP(known["totp_secret"]).now(),
        }
        answer = self.client.post("/auth/v1/staff-sessions", json=body).raise_for_status()
        return answer.json()["access_token"]

    def asks_for(self, who, recording):
        """Somebody wants a recording erased; the request's id."""
        answer = self.call(who, "POST", "/auth/v1/erasures", {"recording_id": recording})
        return answer["erasure_id"]

    def call(self, who, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.tokens[who]}", "Purpose": "customer-request"}
        answer = self.client.request(method, path, json=body, headers=headers)
        return answer.raise_for_status().json()

    async def filed(self, count):
        partner = self.tenant["partner"]
        login = PartnerLogin(partner["client_id"], partner["client_secret"])
        async with https_client(self.url, Path(self.demo["ca"])) as client:
            return [
                (await file_recording(client, login, sample())).recording_id for _ in range(count)
            ]


def apart(work):
    """Playwright has a loop of its own in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="module")
def vault(demo):
    made = Vault(demo)
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def recordings(vault):
    """Two to be erased; one that is held."""
    return apart(vault.filed(3))


class Reader:
    """Somebody of the tenant's at a browser without JavaScript, in one language and size."""

    def __init__(self, browser, vault, who, *, language="de", size="desktop"):
        width, height = SIZES[size]
        self.context = browser.new_context(
            ignore_https_errors=True,
            viewport={"width": width, "height": height},
            java_script_enabled=False,
        )
        said = {cookies.CARE: vault.tokens[who], cookies.LANGUAGE: language}
        self.context.add_cookies(
            [
                {"name": name, "value": value, "url": vault.url, "secure": True}
                for name, value in said.items()
            ]
        )
        self.page, self.url = self.context.new_page(), f"{vault.url}/portal/care"

    def goes_to(self, path):
        answer = self.page.goto(self.url + path)
        return answer.status

    @property
    def reads(self):
        return self.page.inner_text("main")


@pytest.fixture
def reader(browser, vault):
    opened = []

    def made(who, **how):
        opened.append(Reader(browser, vault, who, **how))
        return opened[-1]

    yield made
    for each in opened:
        each.context.close()


@pytest.mark.parametrize(("language", "size"), [("de", "phone"), ("en", "desktop")])
def test_care_settles_what_a_caller_said_with_a_reason_and_on_purpose(
    reader, demo, language, size, tmp_path
):
    apart(objects(demo))
    care, words = reader("care", language=language, size=size), SPOKEN[language]
    care.goes_to("")
    care.page.select_option("#field", "phone")
    care.page.fill("#value", "+49 30 1234567")
    care.page.select_option("#purpose", "complaint")
    care.page.click("main button")
    care.page.click("main .note a")
    assert words["by"] in care.reads
    care.page.screenshot(path=tmp_path / "objection.png", full_page=True)
    # Neither reason nor tick: the browser itself does not send it.
    care.page.click("main form button")
    assert care.page.locator("#reason").evaluate("each => !each.validity.valid")
    care.page.select_option("#reason", label=words["reason"])
    care.page.check("#sure")
    care.page.click("main form button")
    assert words["settled"] in care.page.inner_text("[role=status]")
    assert care.page.locator("#reason").count() == 0


def test_a_second_person_erases_what_another_asked_for_and_takes_the_certificate(
    reader, vault, recordings, tmp_path
):
    wanted = recordings[0]
    vault.asks_for("care", wanted)
    admin = reader("admin", size="phone")
    admin.goes_to("/erasures")
    admin.page.click(f"main li:has-text('{wanted[:8]}') a.button")
    assert "Anfrage des Kunden" in admin.reads
    admin.page.fill("#typed", "00000000")
    admin.page.click("main button.danger")
    assert "nicht die ersten 8 Zeichen" in admin.page.inner_text("[role=alert]")
    admin.page.fill("#typed", wanted[:8])
    admin.page.screenshot(path=tmp_path / "decide.png", full_page=True)
    admin.page.click("main button.danger")
    assert wanted in admin.reads
    admin.page.screenshot(path=tmp_path / "done.png", full_page=True)
    with admin.page.expect_download() as taken:
        admin.page.click("main li a.button")
    signed = taken.value.path().read_text()
    path = f"/auth/v1/recordings/{wanted}/shred-certificate"
    assert signed == vault.call("auditor", "GET", path)["certificate"]


def test_who_asked_is_offered_no_yes_and_may_take_it_back(reader, vault, recordings):
    asked = vault.asks_for("admin", recordings[1])
    admin = reader("admin", language="en")
    admin.goes_to(f"/erasures/asked/{asked}")
    assert "Another person has to agree" in admin.reads
    assert admin.page.locator("#typed").count() == 0
    admin.page.click("main form button")
    assert "Nothing was erased" in admin.page.inner_text("[role=status]")
    assert vault.call("admin", "GET", "/auth/v1/erasures") == {"erasures": []}


def test_lists_and_preview_say_what_goes_when_and_what_stands_against_it(
    reader, vault, recordings, tmp_path
):
    held = recordings[2]
    path = f"/auth/v1/recordings/{held}/hold"
    vault.call("care", "PUT", path, {"reference": "AZ-17"})
    for language, size in (("de", "phone"), ("en", "desktop")):
        admin = reader("admin", language=language, size=size)
        admin.goes_to("/erasures/held")
        assert "AZ-17" in admin.reads
        admin.page.screenshot(path=tmp_path / f"held-{language}.png", full_page=True)
        admin.goes_to("/erasures/planned")
        assert recordings[1] in admin.reads
        assert held not in admin.reads
        admin.page.screenshot(path=tmp_path / f"planned-{language}.png", full_page=True)
        admin.goes_to("/erasures/rules")
        for field in admin.page.locator("input[type=number]").all():
            field.fill("1")
        admin.page.click("main form[method=post] button")
        assert admin.page.locator("tbody tr").count() >= 1
        admin.page.screenshot(path=tmp_path / f"rules-{language}.png", full_page=True)


@pytest.mark.parametrize("path", ["", "/erasures", *map("/erasures/{}".format, ("held", "rules"))])
def test_on_a_telephone_nothing_is_wider_than_its_screen(reader, path):
    admin = reader("admin", size="phone")
    assert admin.goes_to(path) == 200
    wide = "document.documentElement.scrollWidth <= window.innerWidth"
    assert admin.page.evaluate(wide)


def test_an_auditor_sees_lists_and_certificates_and_decides_nothing(reader):
    auditor = reader("auditor")
    auditor.goes_to("")
    assert auditor.page.locator("main li").count() == 3
    assert auditor.goes_to("/erasures/erased") == 200
    assert auditor.goes_to("/erasures") == 404
    assert auditor.goes_to("/erasures/rules") == 404
