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


@pytest.fixture
def asked() -> list[httpx.Request]:
    return []


@pytest.fixture
async def browser(asked):
    def vault(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/auth/v1/staff-sessions":
            return httpx.Response(200, json={"access_token": "ey.j.x", "expires_in": 900})
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
