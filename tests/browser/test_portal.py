"""The portal in a real browser: what a customer and a care agent see, hear and can do."""

import hashlib

import pyotp
import pytest

from voicefile.cli.partner import sample

pytestmark = pytest.mark.timeout(180)

PLAY_AND_JUMP = """async () => {
  const audio = document.getElementById('audio');
  await audio.play();
  await new Promise((resolve) => setTimeout(resolve, 700));
  const played = audio.currentTime;
  audio.currentTime = 9;
  await new Promise((resolve) => audio.addEventListener('seeked', resolve, {once: true}));
  return [played, audio.currentTime, audio.duration];
}"""

UNTIL_PLAYING_LATE = """async () => {
  const audio = document.getElementById('audio');
  while (audio.currentTime <= 9) await new Promise((resolve) => setTimeout(resolve, 50));
  return audio.currentTime;
}"""


def sign_in(page, demo, *, pin=None):
    page.goto(f"{demo['url']}/portal/")
    page.fill("#access_id", demo["recording"]["access_id"])
    page.fill("#pin", pin or demo["recording"]["pin"])
    page.click("main button")
    page.wait_for_load_state()


def test_a_customer_signs_in_hears_jumps_and_signs_out(page, demo, tmp_path):
    sign_in(page, demo)
    page.screenshot(path=tmp_path / "list.png")
    page.click("main a.button")
    page.wait_for_selector("#waveform:not([hidden])")
    played, jumped, duration = page.evaluate(PLAY_AND_JUMP)
    assert played > 0
    assert jumped >= 9
    assert 13 < duration < 16
    page.screenshot(path=tmp_path / "player.png")
    page.click("header button:has-text('Abmelden')")
    assert "Sie sind abgemeldet" in page.inner_text("main")
    page.goto(f"{demo['url']}/portal/recordings")
    assert page.is_visible("#access_id")


def test_the_customer_takes_away_the_very_file_that_was_stored(page, demo):
    sign_in(page, demo)
    page.click("main a.button")
    with page.expect_download() as taken:
        page.click("main .actions a.button")
    content = taken.value.path().read_bytes()
    assert hashlib.sha256(content).digest() == hashlib.sha256(sample()).digest()


def test_a_click_into_the_waveform_jumps_there(page, demo):
    sign_in(page, demo)
    page.click("main a.button")
    waveform = page.wait_for_selector("#waveform:not([hidden])")
    box = waveform.bounding_box()
    waveform.click(position={"x": box["width"] * 0.75, "y": box["height"] / 2})
    assert page.evaluate(UNTIL_PLAYING_LATE) > 9


def test_a_wrong_pin_says_so_and_keeps_nothing_in_the_page(page, demo):
    sign_in(page, demo, pin="00000000")
    assert "stimmen nicht" in page.inner_text("[role=alert]")
    assert demo["recording"]["access_id"] not in page.content()
    assert "00000000" not in page.content()
    assert demo["recording"]["access_id"] not in page.url


def test_the_page_can_be_read_in_english(page, demo):
    page.goto(f"{demo['url']}/portal/")
    page.click("header button:has-text('English')")
    assert page.inner_text("h1") == "Listen to your recording"
    assert page.get_attribute("html", "lang") == "en"


def test_nothing_is_wider_than_the_screen(page, demo):
    sign_in(page, demo)
    page.click("main a.button")
    page.wait_for_selector("#waveform:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_without_javascript_everything_but_the_waveform_works(browser, demo):
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, demo)
    page.click("main a.button")
    assert page.is_visible("audio[controls]")
    assert not page.is_visible("#waveform")
    address = f"{demo['url']}{page.get_attribute('audio', 'src')}"
    part = context.request.get(address, headers={"Range": "bytes=100-199"})
    assert (part.status, part.body()) == (206, sample()[100:200])
    page.click("header button:has-text('out'), header button:has-text('Abmelden')")
    assert page.is_visible("#access_id")
    context.close()


def test_care_searches_plays_with_a_purpose_and_leaves_no_name_in_addresses(browser, demo):
    context = browser.new_context(ignore_https_errors=True, locale="en-GB")
    page = context.new_page()
    addresses = []
    page.on("request", lambda request: addresses.append(request.url))
    care = demo["tenants"][0]["care"]
    page.goto(f"{demo['url']}/portal/care")
    page.fill("#username", care["username"])
    page.fill("#password", care["password"])
    page.fill("#totp", pyotp.TOTP(care["totp_secret"]).now())
    page.click("main button")
    page.select_option("#field", "phone")
    page.fill("#value", "+49 30 1234567")
    page.select_option("#purpose", "complaint")
    page.click("main button")
    assert "Erika Mustermann" in page.inner_text("main")
    page.click("main .recordings a.button >> nth=0")
    assert "Complaint" in page.inner_text("main")
    page.wait_for_selector("#waveform:not([hidden])")
    assert page.evaluate(PLAY_AND_JUMP)[1] >= 9
    told = " ".join(addresses)
    assert not [
        word for word in ("Erika", "Mustermann", "1234567", care["password"]) if word in told
    ]
    context.close()
