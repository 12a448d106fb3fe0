"""The telephone edge's start, really run: with a program in FreeSWITCH's place that tells what it
was given, and a real nginx between a caller and a service that asks for certificates."""

import asyncio
import io
import os
import re
import shutil
import subprocess
import time
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
import yaml
from starlette.types import Message, Receive, Scope, Send
from tests.deploy.nginx import binary
from tests.deploy.switch import EDGE, Configuration
from tests.engines.ports import choose_ports
from tests.telephony.call import Call, End

from voicefile.chassis.tls import service_certificate
from voicefile.chassis.wire import listen, serve, server_context

MEMORY = Path("/dev/shm")
STARTS_S_MAX = 30.0
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
CORE_OFF = ["1", "1", "bytes"]
"""For files, and for programs that crashes are piped to: no other limit holds for those."""
SWITCH = """#!/bin/sh
{
  printf '%s\\n' "$@"
  grep "^Max core" /proc/$$/limits
  echo "umask $(umask)"
} >"$TOLD/arguments"
find "$EDGE_RUN" -mindepth 1 -printf '%P %m\\n' >"$TOLD/found"
cp -R "$EDGE_RUN/conf" "$EDGE_RUN/nginx.conf" "$TOLD"
touch "$EDGE_RUN/storage/recording.wav"
touch "$TOLD/ready"
[ -z "${ENDS:-}" ] || exit 0
exec sleep 300
"""


class Edge:
    """A start in a folder of its own, which is in memory as it has to be."""

    def __init__(self, folder: Path, run: Path, *, nginx: bool = False) -> None:
        self.run, self.told, self.port = run, folder / "told", choose_ports(["edge"])["edge"]
        self.here = shutil.copytree(EDGE, folder / "edge")
        shipped = (self.here / "nginx.conf").read_text()
        (self.here / "nginx.conf").write_text(shipped.replace("8470", str(self.port)))
        self.papers, self.system, tools = folder / "papers", folder / "system", folder / "tools"
        for each in (self.told, self.papers, self.system / "proc", tools):
            each.mkdir(parents=True)
        for paper in ("agent.pem", "cafile.pem", "certificate.pem", "ca.pem"):
            (self.papers / paper).write_text("x")
        self.swaps("")
        self.cores("core")
        self._tool(tools / "freeswitch", SWITCH)
        if not nginx:
            self._tool(tools / "nginx", "#!/bin/sh\nexec sleep 300\n")
        found = Path(binary()).parent if nginx else tools
        self.settings = {
            "PATH": f"{tools}:{found}:{os.environ['PATH']}",
            "TOLD": str(self.told),
            "EDGE_RUN": str(run),
            "EDGE_PAPERS": str(self.papers),
            "EDGE_SYSTEM": str(self.system),
            "EDGE_ADDRESS": "127.0.0.1",
            "EDGE_PROVIDERS": "192.0.2.10/32 198.51.100.0/24",
            "EDGE_SERVICE": "playback-1:8445 playback-2:8445",
        }
        self.process: subprocess.Popen[str] | None = None

    @staticmethod
    def _tool(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def swaps(self, lines: str) -> None:
        (self.system / "proc" / "swaps").write_text(SWAPS + lines)

    def encrypted(self, device: str, kind: str) -> None:
        place = self.system / "sys" / "block" / device / "dm"
        place.mkdir(parents=True)
        (place / "uuid").write_text(f"{kind}\n")

    def cores(self, pattern: str) -> None:
        place = self.system / "proc" / "sys" / "kernel"
        place.mkdir(parents=True, exist_ok=True)
        (place / "core_pattern").write_text(f"{pattern}\n")

    def without_prlimit(self) -> None:
        """As a small image is."""
        self._tool(self.here.parent / "tools" / "prlimit", "#!/bin/sh\nexit 127\n")

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.here / "start"], env=self.settings, stderr=subprocess.PIPE, text=True
        )

    def up(self) -> None:
        self.start()
        assert self.process is not None
        ends_s = time.monotonic() + STARTS_S_MAX
        while not (self.told / "ready").exists():
            assert self.process.poll() is None, self.ended()
            assert time.monotonic() < ends_s, "it does not start"
            time.sleep(0.02)

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        assert self.process is not None
        _, said = self.process.communicate(timeout=STARTS_S_MAX)
        return self.process.returncode, said

    def stop(self) -> tuple[int, str]:
        assert self.process is not None
        self.process.terminate()
        return self.ended()

    def gone(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()


@pytest.fixture
def run(tmp_path):
    if not os.access(MEMORY, os.W_OK):
        pytest.skip("NOT RUN: no /dev/shm on this machine")
    folder = MEMORY / f"edge-{os.getpid()}-{tmp_path.name}"
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def edge(tmp_path, run):
    edge = Edge(tmp_path, run)
    yield edge
    edge.gone()


def refused(edge: Edge) -> str:
    """Why it did not start. Neither program was run, and nothing was written."""
    edge.start()
    code, said = edge.ended()
    assert code == 78
    assert said.startswith("The edge does not start: ")
    assert said.count("\n") == 1
    assert not (edge.told / "arguments").exists()
    return said


def test_what_a_former_one_left_is_gone_before_the_switch_runs(edge):
    (edge.run / "storage" / "http_file_cache").mkdir(parents=True)
    (edge.run / "storage" / "http_file_cache" / "recording.wav").write_text("left by a kill")
    (edge.run / ".hidden").write_text("left")
    edge.up()
    found = {
        line.split()[0]: line.split()[1] for line in (edge.told / "found").read_text().splitlines()
    }
    for part in ("storage", "temp", "cache", "db", "log", "run", "conf", "certs"):
        assert found.pop(part) == "700"
    assert {name for name in found if not name.startswith("conf/")} == {
        "nginx.conf", "nothing.wav", "certs/agent.pem", "certs/cafile.pem",
    }  # fmt: skip
    assert {mode[1:] for mode in found.values()} == {"00"}


@pytest.mark.parametrize("ends", ["", "yes"])
def test_nothing_is_left_at_its_end(edge, ends):
    edge.settings["ENDS"] = ends
    edge.up()
    code, said = edge.ended() if ends else edge.stop()
    assert list(edge.run.iterdir()) == []
    assert code == (70 if ends else 0)
    assert ("has ended" in said) == bool(ends)


def test_the_switch_writes_in_memory_alone_and_leaves_no_core(edge):
    edge.up()
    lines = (edge.told / "arguments").read_text().splitlines()
    for option in ("log", "run", "db", "temp", "storage", "cache", "recordings", "conf"):
        place = lines[lines.index(f"-{option}") + 1]
        assert Path(place).parent == edge.run, option
    assert lines[lines.index("-certs") + 1] == str(edge.run / "certs")
    assert {"-np", "-nf", "-nc", "-nosql"} <= set(lines)
    assert CORE_OFF in [line.split()[-3:] for line in lines]
    assert "umask 0077" in lines
    assert "-core" not in lines


@pytest.mark.parametrize("pattern", ["|/usr/share/apport/apport %p", ""])
def test_crashes_that_a_program_gets_are_refused_where_no_limit_keeps_it_off(edge, pattern):
    edge.without_prlimit()
    edge.cores(pattern)
    assert "piped to a program" in refused(edge)


def test_without_prlimit_no_file_has_a_core(edge):
    edge.without_prlimit()
    edge.cores("core.%p")
    edge.up()
    lines = (edge.told / "arguments").read_text().splitlines()
    assert ["0", "0", "bytes"] in [line.split()[-3:] for line in lines]


@pytest.fixture
def on_disk():
    """Where files outlive a restart: tests' own folders may be in memory."""
    with TemporaryDirectory(dir="/var/tmp") as made:
        yield Path(made)


def test_a_folder_that_is_not_in_memory_is_refused(edge, on_disk, tmp_path):
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", on_disk], capture_output=True, text=True, check=True
    )
    if kind.stdout.strip() == "tmpfs":
        pytest.skip("NOT RUN: /var/tmp is in memory")
    edge.settings["EDGE_RUN"] = str(on_disk)
    assert "not a tmpfs" in refused(edge)
    edge.settings["EDGE_RUN"] = str(tmp_path / "nowhere")
    assert "is missing" in refused(edge)


@pytest.mark.parametrize("device", ["/dev/sda2", "/swapfile", "/dev/dm-3"])
def test_swap_that_is_not_encrypted_is_refused(edge, device):
    edge.encrypted("dm-3", "LVM-abc")
    edge.swaps(f"{device}  partition\t8388604\t0\t-2\n")
    assert f"swap on {device} is not encrypted" in refused(edge)


def test_one_swap_of_several_is_enough_to_refuse(edge):
    edge.encrypted("dm-0", "CRYPT-PLAIN-swap")
    edge.swaps("/dev/dm-0 partition\t8\t0\t-2\n/dev/sdb1 partition\t8\t0\t-3\n")
    assert "/dev/sdb1" in refused(edge)


def test_swap_that_is_encrypted_or_memory_is_no_obstacle(edge):
    edge.encrypted("dm-0", "CRYPT-PLAIN-swap")
    edge.swaps("/dev/dm-0 partition\t8\t0\t-2\n/dev/zram0 partition\t8\t0\t100\n")
    edge.up()


def test_a_machine_that_does_not_tell_of_its_swap_is_refused(edge):
    (edge.system / "proc" / "swaps").unlink()
    assert "can't be read" in refused(edge)


@pytest.mark.parametrize(
    "wrong",
    [
        {"EDGE_ADDRESS": ""},
        {"EDGE_ADDRESS": '127.0.0.1"/><x'},
        {"EDGE_PROVIDERS": ""},
        {"EDGE_PROVIDERS": "0.0.0.0/0"},
        {"EDGE_PROVIDERS": "192.0.2.10"},
        {"EDGE_SERVICE": ""},
        {"EDGE_SERVICE": "https://playback"},
        {"EDGE_SERVICE": "a:1;}include"},
        {"EDGE_OPERATORS": "+4930111"},
        {"EDGE_OPERATORS": ".*", "EDGE_CARRIER": "sip.example"},
        {"EDGE_CARRIER": "sip.example;transport=udp"},
        {"EDGE_VERIFY": "maybe"},
    ],
    ids=str,
)
def test_a_setting_that_does_not_fit_is_refused_and_never_shown(edge, wrong):
    edge.settings |= wrong
    said = refused(edge)
    for value in wrong.values():
        assert len(value) < 3 or value not in said


@pytest.mark.parametrize("paper", ["agent.pem", "cafile.pem", "certificate.pem", "ca.pem"])
def test_a_missing_certificate_is_named(edge, paper):
    (edge.papers / paper).unlink()
    assert f"{paper} is missing" in refused(edge)


def test_its_settings_become_the_switchs(edge):
    edge.settings |= {
        "EDGE_PUBLIC_ADDRESS": "203.0.113.5",
        "EDGE_CARRIER": "sip.example:5061",
        "EDGE_OPERATORS": " +4930111 4930222 ",
        "EDGE_VERIFY": "none",
    }
    edge.up()
    conf = Configuration(edge.told / "conf")
    networks = [each.get("cidr") for each in conf.configuration("acl").iter("node")]
    assert networks == ["192.0.2.10/32", "198.51.100.0/24"]
    assert conf.variables["address"] == "127.0.0.1"
    assert conf.variables["public_address"] == "203.0.113.5"
    assert conf.variables["carrier"] == "sip.example:5061"
    assert conf.variables["verify"] == "none"
    pattern = conf.context("operators").find("extension/condition").get("expression")
    numbers = {"+4930111": True, "4930222": True, "+49301110": False, "9+4930111": False, "": False}
    assert {number: bool(re.search(pattern, number)) for number in numbers} == numbers


def test_the_forwarder_goes_to_the_second_service_only_if_it_has_to(edge):
    edge.up()
    servers = re.findall(r"^\s+server (.+);$", (edge.told / "nginx.conf").read_text(), re.MULTILINE)
    assert servers == ["playback-1:8445", "playback-2:8445 backup"]


def test_the_forwarder_logs_nothing_and_keeps_nothing():
    text = (EDGE / "nginx.conf").read_text()
    for line in (
        "access_log off;",
        "error_log stderr crit;",
        "proxy_buffering off;",
        "proxy_max_temp_file_size 0;",
        "proxy_ssl_verify on;",
        "proxy_ssl_name playback.voicefile.internal;",
    ):
        assert line in text
    most, held = re.findall(r"client_(?:max_body|body_buffer)_size (\S+);", text)
    assert most == held
    assert "proxy_cache" not in text
    assert text.count("listen ") == 1


def test_every_setting_is_in_the_guide_and_in_compose():
    named = set(re.findall(r"EDGE_[A-Z_]+", (EDGE / "start").read_text()))
    # Where things are in the image, and where a test has its own machine.
    named -= {"EDGE_PAPERS", "EDGE_SOUNDS", "EDGE_RUN", "EDGE_SYSTEM"}
    guide = (EDGE.parents[1] / "docs" / "operations" / "telephone.md").read_text()
    compose = yaml.safe_load((EDGE / "compose.yaml").read_text())["services"]["edge"]
    assert named == set(compose["environment"])
    assert named == set(re.findall(r"^\s*\| `(EDGE_[A-Z_]+)` \|", guide, re.MULTILINE))
    assert compose["ulimits"]["core"] == 1
    assert compose["mem_limit"] == compose["memswap_limit"]
    assert any(each.startswith("/run/edge:mode=0700,") for each in compose["tmpfs"])


def test_the_image_has_no_secret_and_runs_as_nobody():
    text = (EDGE / "Dockerfile").read_text()
    assert re.search(r"^USER \d+:\d+\nENTRYPOINT", text, re.MULTILINE)
    assert "ENV" not in text
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in copied.split():
            assert (EDGE.parents[1] / source).exists(), source


# ---- a caller, the forwarder, and a service ----

DOCUMENT = """<document type="xml/freeswitch-httapi"><work>
<playback name="key" file="http://(nohead=true)127.0.0.1:PORT/playback/v1/telephone/c/x.wav">
<bind>1</bind></playback></work></document>"""
BYE = "<document><work><hangup/></work></document>"


def sound() -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 80_000))
    return written.getvalue()


class Service:
    """Says what it was asked, and by whom."""

    def __init__(self, edge: Edge) -> None:
        self.document = DOCUMENT.replace("PORT", str(edge.port))
        self.asked: list[tuple[str, str, str]] = []
        self.headers: list[Mapping[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message: Message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        caller = scope["extensions"]["tls"]["client_cert_name"]
        self.asked.append((scope["method"], scope["path"], caller))
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        audio = scope["path"].endswith(".wav")
        document = BYE if b"key=1" in body or b"exiting" in body else self.document
        headers = [
            (b"content-type", b"audio/wav" if audio else b"text/xml"),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        content = sound() if audio else document.encode()
        await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def served(service: Service, papers: Path, name: str, port: int) -> AsyncIterator[None]:
    stop = asyncio.Event()
    context = server_context(papers / f"{name}.pem", client_ca=papers / "ca.pem")
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(service, sockets=listen("127.0.0.1", port), context=context, stop=stop)
        )
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
def papers(tmp_path):
    folder = tmp_path / "certificates"
    for name in ("playback", "ingest", "edge-1"):
        service_certificate(folder, name)
    return folder


@pytest.fixture
def forwarding(tmp_path, run, papers):
    edge = Edge(tmp_path, run, nginx=True)
    shutil.copy(papers / "edge-1.pem", edge.papers / "certificate.pem")
    shutil.copy(papers / "ca.pem", edge.papers / "ca.pem")
    ports = choose_ports(["away", "there"])
    edge.settings["EDGE_SERVICE"] = " ".join(f"127.0.0.1:{port}" for port in ports.values())
    edge.up()
    yield edge, ports["there"]
    edge.gone()


async def called(edge: Edge) -> Call:
    url = f"http://127.0.0.1:{edge.port}/playback/v1/telephone"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client, Call(client, url) as made:
        await made.wait(3)
        await made.press("1")
        await made.wait(1)
    return made


async def listening(edge: Edge) -> None:
    ends_s = time.monotonic() + STARTS_S_MAX
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < ends_s:
            try:
                assert (await client.get(f"http://127.0.0.1:{edge.port}/")).status_code == 404
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError("the forwarder does not listen")


async def test_a_call_goes_through_the_forwarder_as_this_edge(forwarding, papers):
    """The first of the two services is away: the second is asked, and nothing twice."""
    edge, port = forwarding
    service = Service(edge)
    await listening(edge)
    async with served(service, papers, "playback", port):
        made = await called(edge)
    assert made.ended is End.SERVICE
    assert made.heard[0].stop == 3 * 8000
    way = "/playback/internal/v1/telephone"
    assert service.asked == [
        ("POST", way, "CN=edge-1"),
        ("GET", f"{way}/c/x.wav", "CN=edge-1"),
        ("POST", way, "CN=edge-1"),
        ("POST", way, "CN=edge-1"),
    ]
    assert {each["host"] for each in service.headers} == {"playback.voicefile.internal"}
    assert not [each for each in service.headers if "cookie" in each or "x-forwarded-for" in each]
    assert made.left_behind == []


async def test_a_service_of_another_name_is_not_spoken_to(forwarding, papers):
    edge, port = forwarding
    service = Service(edge)
    await listening(edge)
    async with served(service, papers, "ingest", port):
        made = await called(edge)
    assert made.apology == "status 502"
    assert service.asked == []


async def test_the_rest_of_the_service_is_out_of_reach(forwarding, papers):
    edge, port = forwarding
    service = Service(edge)
    await listening(edge)
    where = f"http://127.0.0.1:{edge.port}"
    async with (
        served(service, papers, "playback", port),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        for path in ("/", "/playback/v1/recordings", "/playback/v1/telephone/../recordings"):
            assert (await client.get(f"{where}{path}")).status_code == 404, path
        large = await client.post(f"{where}/playback/v1/telephone", content=b"x" * 20_000)
        assert large.status_code == 413
    assert service.asked == []


async def test_no_byte_of_a_call_is_in_a_file_of_the_forwarder(forwarding, papers):
    edge, port = forwarding
    await listening(edge)
    async with served(Service(edge), papers, "playback", port):
        await called(edge)
    written = [path for path in (edge.run / "temp").rglob("*") if path.is_file()]
    assert written == []
    code, said = await asyncio.to_thread(edge.stop)
    assert code == 0
    assert "telephone" not in said


async def test_a_sound_that_cannot_be_had_is_one_without_a_sample(forwarding):
    """The switch writes the address of what it can't fetch to its log, and gives the call up."""
    edge, _ = forwarding
    await listening(edge)
    where = f"http://127.0.0.1:{edge.port}/playback/v1/telephone"
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{where}/sounds/call/token.wav")
        assert (await client.post(where)).status_code == 502
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.getnframes() == 0
