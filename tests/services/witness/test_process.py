"""The witness as its owner runs it: commands, a process, HTTPS, and nothing in the clear."""

import json
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.engines.ports import choose_ports
from tests.services.witness.growing import OTHER_KEY, Growing

from voicefile.translog.cosignature import WitnessKey, cosigned_at
from voicefile.witness.memory import log_name

COMMAND = Path(sys.executable).with_name("voicefile-witness")
READY_S_MAX = 90.0


class Owner:
    """Somebody with a folder and a command."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "witness"
        self.port = choose_ports(("witness",))["witness"]
        self.log = place / "witness.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.told = {
            "PATH": os.environ["PATH"],
            "VOICEFILE_WITNESS_FOLDER": str(self.folder),
            "VOICEFILE_WITNESS_PORT": str(self.port),
        }

    def says(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(COMMAND), *words],
            env=self.told,
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_S_MAX,
        )

    def serves(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(COMMAND), "serve"], env=self.told, stdout=log, stderr=log
            )
        ends_s = time.monotonic() + READY_S_MAX
        while True:
            try:
                with self.client() as client:
                    client.get("/")
            except (httpx.TransportError, OSError):
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < ends_s, self.log.read_text()
                time.sleep(0.1)
            else:
                return

    def client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=str(self.folder / "tls" / "ca.pem"))
        return httpx.Client(
            verify=trusted,
            base_url=f"https://localhost:{self.port}",
            trust_env=False,
            timeout=30,
        )

    def stops(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def owner(tmp_path) -> Iterator[Owner]:
    made = Owner(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_the_way_of_the_owner_from_nothing_to_a_cosignature_and_past_a_kill(owner, log) -> None:
    key = WitnessKey.parse(owner.says("begin", "dpo.example/w1").stdout.strip())
    assert stat.S_IMODE((owner.folder / "witness.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(owner.folder.stat().st_mode) == 0o700
    assert owner.says("trust", str(log.verifier)).returncode == 0
    swapped = owner.says("trust", str(Growing(log.origin, OTHER_KEY).verifier))
    assert (swapped.returncode, "witnessed already" in swapped.stderr) == (1, True)

    owner.serves()
    with owner.client() as client:
        answer = client.post("/add-checkpoint", content=str(log.asked(0)))
        assert cosigned_at(log.signed() + answer.text, key)
    second = owner.says("serve")
    assert (second.returncode, "running already" in second.stderr) == (1, True)

    owner.stops(signal.SIGKILL)
    owner.serves()
    with owner.client() as client:
        log.grow(2)
        assert client.post("/add-checkpoint", content=str(log.asked(0))).text == "5\n"
        assert client.post("/add-checkpoint", content=str(log.asked(5))).status_code == 200
        forked = log.forked(6).grow(1, mark="other ")
        assert client.post("/add-checkpoint", content=str(forked.asked(7))).status_code == 422
    told = owner.says("show").stdout
    assert re.search(rf"{log.origin}: cosigned \S+, size 7, CONTRADICTED ITSELF: 1\n", told)
    assert owner.stops() == 0

    events = [json.loads(line)["event"] for line in owner.log.read_text().splitlines()]
    assert "log_contradicts_itself" in events
    secret = (owner.folder / "witness.key").read_text().split("+")[-1].strip()
    assert secret not in owner.log.read_text()


def test_nobody_is_served_in_the_clear(owner) -> None:
    owner.says("begin", "dpo.example/w1")
    owner.serves()
    with (
        httpx.Client(trust_env=False, timeout=10) as client,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        client.get(f"http://localhost:{owner.port}/")


def test_a_witness_that_forgot_does_not_start(owner, log) -> None:
    owner.says("begin", "dpo.example/w1")
    owner.says("trust", str(log.verifier))
    (owner.folder / "logs" / log_name(log.origin) / "cosigned").unlink()
    for command in ("serve", "show"):
        refused = owner.says(command)
        assert refused.returncode == 1
        assert "lost" in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["begin", "with space"], "neither spaces"),
        (["trust", "nonsense"], "can't go on"),
        (["serve"], "can't go on"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(owner, words, said) -> None:
    refused = owner.says(*words)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_second_beginning_keeps_the_first(owner) -> None:
    key = owner.says("begin", "dpo.example/w1").stdout
    assert "already" in owner.says("begin", "dpo.example/w2").stderr
    assert owner.says("show").stdout == key


def test_a_key_that_others_may_read_is_not_used(owner) -> None:
    owner.says("begin", "dpo.example/w1")
    (owner.folder / "witness.key").chmod(0o644)
    assert "others may read" in owner.says("serve").stderr
