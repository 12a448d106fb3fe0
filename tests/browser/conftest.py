"""A vault over HTTPS and a real Chromium; where there is no Chromium, that is said aloud."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from tests.journeys.test_telephone_port import voices

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
START_S_MAX = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What var/demo.json says of a vault started like `make run` starts it, and its edges' port."""
    data, telephone = tmp_path_factory.mktemp("vault"), free_port()
    voices(data)
    environment = os.environ | {
        "VOICEFILE_DATA_DIR": str(data),
        "VOICEFILE_PORT": str(free_port()),
        "VOICEFILE_HEALTH_PORT": str(free_port()),
        "VOICEFILE_TELEPHONE_PORT": str(telephone),
    }
    command = [str(Path(sys.executable).with_name("voicefile")), "demo"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as vault:
        try:
            known = _known(data / "demo.json", vault)
            yield known | {"telephone": telephone, "edges": str(data / "edges")}
        finally:
            vault.terminate()
            vault.wait(timeout=30)


def _known(path, vault):
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        assert vault.poll() is None, "the vault ended"
        if path.exists() and "recording" in (known := json.loads(path.read_text())):
            return known
        time.sleep(0.1)
    pytest.fail("the vault did not start in time")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("NOT RUN: no Chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield running
        running.close()


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desktop", "phone"])
def page(browser, request):
    """A German visitor's page; nothing may be refused by the page's own policy or fail to load."""
    width, height = request.param
    context = browser.new_context(
        ignore_https_errors=True, viewport={"width": width, "height": height}, locale="de-DE"
    )
    opened = context.new_page()
    complaints = []
    opened.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert not [each for each in complaints if "status of 401" not in each], complaints
