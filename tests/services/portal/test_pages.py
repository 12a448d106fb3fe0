"""The portal in front of a vault that says what the test wants: what it keeps and passes on."""

import httpx
import pytest

from voicefile.chassis.inprocess import in_process_client
from voicefile.portal import app, cookies
from voicefile.portal.forms import csrf_of
from voicefile.portal.settings import PortalSettings

RECORDING = "ab" * 16
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


async def sound():
    yield b"sound"


LISTED = {
    "recording_id": RECORDING,
    "state": "held",
    "sensitive": False,
    "heard": True,
    "contract_kind": "Strom",
}
OBJECTED = {"de": "Das ist nicht mein Vertrag", "en": "This is not my contract"}


@pytest.fixture
def asked() -> list[httpx.Request]:
    return []


@pytest.fixture
def listed() -> dict[str, object]:
    """The one recording that the vault shows."""
    return dict(LISTED)


@pytest.fixture
async def browser(asked, listed):
    def vault(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/auth/v1/staff-sessions":
            return httpx.Response(200, json={"access_token": "ey.j.x", "expires_in": 900})
        if request.url.path == "/auth/v1/customer-searches":
            one = {"credential_id": "cd" * 16, "customer": {"name": "E"}, "recordings": [listed]}
            return httpx.Response(200, json={"customers": [one]})
        if request.url.path == "/playback/v1/recordings":
            return httpx.Response(200, json={"recordings": [listed]})
        return httpx.Response(200, content=sound(), headers={"Content-Type": "audio/wav"})

    inner = httpx.AsyncClient(transport=httpx.MockTransport(vault), base_url="https://vault")
    async with inner:
        portal = app.build(PortalSettings(), client=inner)
        async with in_process_client({"/portal": portal}) as client:
            yield client


async def test_an_agents_browser_is_known_from_its_first_sign_in_on(browser, asked):
    body = "username=care%40a.test&password=secret&totp=123456"
    first = await browser.post("/portal/care/sign-in", content=body, headers=FORM)
    device = first.cookies[cookies.DEVICE]
    await browser.post("/portal/care/sign-in", content=body, headers=FORM)
    assert [each.headers.get("Voicefile-Device") for each in asked] == [None, device]


async def test_a_range_no_header_can_carry_asks_for_everything(browser, asked):
    session = f"{cookies.CUSTOMER}=vs_x".encode()
    answer = await browser.get(
        f"/portal/recordings/{RECORDING}/audio",
        headers={b"Range": "bytes=0-é".encode("latin-1"), b"Cookie": session},
    )
    assert answer.status_code == 200
    assert "Range" not in asked[-1].headers


@pytest.mark.parametrize("page", ["recordings", f"recordings/{RECORDING}", "care/search"])
async def test_who_never_signed_in_is_shown_where_to_and_the_vault_is_not_asked(
    browser, asked, page
):
    if page.startswith("care"):
        body = "field=phone&value=1&purpose=complaint&csrf=" + csrf_of("")
        answer = await browser.post(f"/portal/{page}", content=body, headers=FORM)
    else:
        answer = await browser.get(f"/portal/{page}")
    assert answer.is_redirect
    assert asked == []


async def care_pages(browser, language):
    """What an agent who found the recording is shown, and who plays it."""
    token = "ey.j.x"
    cookie = f"{cookies.CARE}={token}; {cookies.LANGUAGE}={language}"
    body = f"field=phone&value=1&purpose=complaint&csrf={csrf_of(token)}"
    found = await browser.post(
        "/portal/care/search", content=body, headers={**FORM, "Cookie": cookie}
    )
    query = f"credential={'cd' * 16}&purpose=complaint"
    path = f"/portal/care/recordings/{RECORDING}?{query}"
    return found, await browser.get(path, headers={"Cookie": cookie})


@pytest.mark.parametrize("language", OBJECTED)
async def test_care_reads_that_a_customer_objected(browser, listed, language):
    for objected in (False, True):
        listed["objected"] = objected
        for page in await care_pages(browser, language):
            assert page.status_code == 200
            assert (OBJECTED[language] in page.text) is objected


async def test_care_reads_on_where_the_vault_does_not_know_of_objections_yet(browser, listed):
    for page in await care_pages(browser, "de"):
        assert page.status_code == 200
        assert OBJECTED["de"] not in page.text
