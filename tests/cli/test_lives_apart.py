"""The life of a process with one service: waiting, serving, draining, failing."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.process import Served, settings

from voicefile.chassis.tls import service_certificate

SECRET = "the-words-are-secret"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    return tmp_path / "certificates"


@pytest.fixture
def pretended(tmp_path: Path, certificates: Path) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(behaviour: str, **changes: str) -> Served:
        told = {**settings(certificates, "audit"), **changes}
        running.append(Served(tmp_path, "audit", told, pretending=behaviour).start())
        return running[-1]

    yield start
    for each in running:
        each.kill()


def client(service: Served, name: str | None, *, port: str = "internal") -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(service.authority))
    if name is not None:
        context.load_cert_chain(service_certificate(service.authority.parent, name))
    return httpx.AsyncClient(
        verify=context,
        base_url=f"https://localhost:{service.ports[port]}",
        trust_env=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("behaviour", "part"), [("documents-away", "documents"), ("root-away", "root")]
)
def test_it_waits_for_an_engine_and_serves_as_soon_as_it_is_there(pretended, behaviour, part):
    waiting = pretended(behaviour)
    seen = waiting.until("/readyz", 503).json()["parts"]
    ready = waiting.until("/readyz", 200).json()["parts"]
    assert seen["audit"] == "not-ready"
    assert set(ready) == {"audit", "documents", "root"}
    assert set(ready.values()) == {"ok"}
    assert waiting.get("public", "/audit/v1/quick").json() == "quick"
    waiting.tell_to_stop()
    assert waiting.ended() == 0
    # Said once, not at each try.
    assert waiting.events().count("engine_away") == 1
    assert f'"part": "{part}"' in waiting.log
    assert SECRET not in waiting.log


@pytest.mark.parametrize("behaviour", ["fails", "breaks"])
def test_a_service_that_can_not_go_on_ends_at_once_and_not_as_if_all_were_well(
    pretended, behaviour
):
    failing = pretended(behaviour, VOICEFILE_DRAIN_S="60", VOICEFILE_SHUTDOWN_S_MAX="1")
    failing.until("/readyz", 200)
    assert failing.ended() == 70
    assert "service_failed" in failing.events()
    assert "service_stopped" not in failing.events() or behaviour == "fails"
    assert SECRET not in failing.log


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("newer", "audit was not started: The store was left by other code: step 3 is done"),
        ("other-root", "audit was not started: VOICEFILE_ROOT leads to another root key"),
    ],
)
def test_what_no_waiting_changes_is_said_in_one_line(pretended, behaviour, said):
    refused = pretended(behaviour)
    assert refused.ended() == 1
    assert refused.log.splitlines()[-1].startswith(said)
    assert "Traceback" not in refused.log


async def test_inside_only_certificates_open_doors_and_outside_none_does(pretended):
    serving = pretended("serves")
    await asyncio.to_thread(serving.until, "/readyz", 200)
    async with client(serving, "auth") as auth, client(serving, "portal") as portal:
        assert (await auth.get("/audit/internal/v1/who")).json() == "auth"
        assert (await portal.get("/audit/internal/v1/who")).status_code == 403
        assert (await auth.get("/audit/v1/quick")).json() == "quick"
    async with client(serving, None) as nobody:
        with pytest.raises(httpx.TransportError):
            await nobody.get("/audit/internal/v1/who")
    async with client(serving, "auth", port="public") as outside:
        assert (await outside.get("/audit/internal/v1/who")).status_code == 404


async def test_a_stop_cuts_no_answer_off_and_fails_nobody_who_comes_again(pretended):
    """A download of three seconds and somebody who asks all the time, across a stop signal."""
    serving = pretended("serves", VOICEFILE_DRAIN_S="1.5")
    await asyncio.to_thread(serving.until, "/readyz", 200)
    closing, refused = 0, False
    async with (
        client(serving, None, port="public") as slow,
        client(serving, "auth") as eager,
        asyncio.TaskGroup() as group,
    ):
        download = group.create_task(slow.get("/audit/v1/slow"))
        await asyncio.sleep(0.3)
        serving.tell_to_stop()
        told_s = time.monotonic()
        while not refused:
            try:
                answer = await eager.get("/audit/v1/quick")
            except httpx.ConnectError:
                # Not before it has drained: whoever comes until then is answered.
                refused = True
                assert time.monotonic() - told_s > 1.0
            else:
                assert answer.json() == "quick"
                closing += answer.headers.get("connection") == "close"
            await asyncio.sleep(0.01)
    assert len(download.result().content) == 30_000
    assert closing > 10
    assert await asyncio.to_thread(serving.ended) == 0


async def test_a_download_that_does_not_end_holds_up_no_stop(pretended):
    serving = pretended("serves", VOICEFILE_DRAIN_S="0", VOICEFILE_SHUTDOWN_S_MAX="1")
    await asyncio.to_thread(serving.until, "/readyz", 200)
    async with (
        client(serving, None, port="public") as slow,
        slow.stream("GET", "/audit/v1/slow") as answer,
    ):
        serving.tell_to_stop()
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()
    assert await asyncio.to_thread(serving.ended) == 0
