"""An engine as a process: what tests that kill, pause and empty one rely on."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.engines.listening import listening_ports
from tests.engines.process import Engine, EngineDidNotStart, birth_of

ROOT = Path(__file__).parents[2]


class Web(Engine):
    """The smallest of servers, over its data."""

    name = "web"
    start_s_max = 10.0

    def command(self):
        place = ["--directory", str(self.data), "--bind", "127.0.0.1"]
        return [sys.executable, "-m", "http.server", *place, str(self.ports["main"])]

    def prepare(self):
        self.data.mkdir(exist_ok=True)
        (self.data / "kept.txt").touch()

    def ready(self):
        return self.answers()

    def answers(self):
        url = f"http://127.0.0.1:{self.ports['main']}/kept.txt"
        try:
            with urllib.request.urlopen(url, timeout=0.5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def web(tmp_path):
    engine = Web(tmp_path / "web", tmp_path / "certificates")
    yield engine
    if engine.pid is not None:
        engine.resume()
        engine.kill()


def test_it_comes_back_after_a_kill_where_its_clients_look_for_it(web):
    web.start()
    first, ports = web.pid, web.ports
    web.kill()
    assert (web.pid, web.answers()) == (None, False)
    web.start()
    assert web.pid != first
    assert (web.ports, web.answers()) == (ports, True)


def test_starting_what_runs_changes_nothing(web):
    web.start()
    first = web.pid
    web.start()
    assert web.pid == first


def test_another_object_finds_the_same_process(web, tmp_path):
    web.start()
    other = Web(tmp_path / "web", tmp_path / "certificates")
    assert other.pid == web.pid
    other.stop()
    assert web.pid is None


def test_a_paused_one_says_nothing_until_it_goes_on(web):
    web.start()
    web.pause()
    assert not web.answers()
    web.resume()
    assert web.answers()


def test_it_stops_when_it_is_paused(web):
    web.start()
    web.pause()
    web.stop()
    assert web.pid is None


def test_it_forgets_only_when_it_does_not_run(web):
    web.start()
    with pytest.raises(AssertionError, match="stop it before"):
        web.wipe()
    web.stop()
    web.wipe()
    assert not web.data.exists()


def test_its_output_is_in_its_log_and_nowhere_else(web, capfd):
    web.start()
    web.stop()
    assert "kept.txt" in web.log.read_text()
    assert capfd.readouterr() == ("", "")


def test_a_taken_port_is_exchanged_for_another_before_anybody_knows_it(web):
    ports = web.ports
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(ports["main"])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as other:
        until = time.monotonic() + 10
        while ports["main"] not in listening_ports(other.pid) and time.monotonic() < until:
            time.sleep(0.02)
        web.start()
        other.terminate()
    assert web.ports != ports
    assert listening_ports(web.pid) == set(web.ports.values())


def test_one_that_can_not_start_says_its_last_words(tmp_path):
    class Broken(Web):
        def command(self):
            return [sys.executable, "-c", "raise SystemExit('no such disk')"]

    with pytest.raises(EngineDidNotStart, match="no such disk"):
        Broken(tmp_path / "web", tmp_path / "certificates").start()


STARTER = """
import sys, time
from pathlib import Path
from tests.engines.test_process import Web
web = Web(Path(sys.argv[1]), Path(sys.argv[2]), leash=sys.argv[3] == "leash")
web.start()
print("started", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("leash", ["leash", "none"])
def test_only_a_leashed_one_ends_with_the_process_that_started_it(web, tmp_path, leash):
    arguments = [str(tmp_path / "web"), str(tmp_path / "certificates"), leash]
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, *arguments], cwd=ROOT, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout.readline() == b"started\n"
        noted = json.loads((web.folder / "pid.json").read_text())
        starter.kill()
    until = time.monotonic() + 5
    while leash == "leash" and birth_of(noted["pid"]) is not None and time.monotonic() < until:
        time.sleep(0.02)
    assert (web.pid is None) == (leash == "leash")


def test_a_number_that_another_process_got_is_not_taken_for_ours(web):
    web.start()
    noted = json.loads((web.folder / "pid.json").read_text())
    web.kill()
    stranger = {"pid": os.getpid(), "birth": noted["birth"]}
    (web.folder / "pid.json").write_text(json.dumps(stranger))
    assert web.pid is None
    os.kill(os.getpid(), signal.SIG_DFL)  # still here
