"""The verifier needs nobody: no service, no engine, no framework, no network, no database."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.libs.verify.log_world import bundle, filed

ROOT = Path(__file__).parents[3]
NEEDED = ("verify", "translog", "crypto")
"""Our own packages in it."""
FROM_OTHERS = ("nacl", "_cffi_backend*", "cffi", "cryptography")

ALONE = """
import sys

def refuse(event, _):
    if event.startswith(("socket.", "sqlite3.", "subprocess.")):
        sys.exit(f"it wanted {event}")

sys.addaudithook(refuse)
from voicefile.verify.command import run_verify
code = run_verify(sys.argv[1:])
print(*sorted(sys.modules))
sys.exit(code)
"""


@pytest.fixture
def installed(tmp_path):
    """A folder with what `pip install voicefile-verify` brings, and nothing else."""
    place = tmp_path / "installed"
    (place / "voicefile").mkdir(parents=True)
    for name in NEEDED:
        source = ROOT / "libs" / name / "src" / "voicefile" / name
        (place / "voicefile" / name).symlink_to(source)
    for pattern in FROM_OTHERS:
        for found in Path(sysconfig.get_path("purelib")).glob(pattern):
            (place / found.name).symlink_to(found)
    return place


@pytest.fixture
def evidence(tmp_path):
    filing = filed()
    path = tmp_path / "evidence.zip"
    path.write_bytes(bundle(filing.papers()))
    return path, str(filing.log.key)


def alone(installed, *words, program=ALONE):
    path = f"import sys; sys.path.append({str(installed)!r})\n"
    return subprocess.run(
        # -I -S: neither the environment's paths nor what is installed in this one.
        [sys.executable, "-I", "-S", "-c", path + program, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_verifies_with_nothing_but_its_own_dependencies(installed, evidence):
    path, key = evidence
    ran = alone(installed, str(path), "--log-key", key)
    assert (ran.returncode, ran.stderr) == (0, "")
    loaded = ran.stdout.splitlines()[-1].split()
    ours = {name.split(".")[1] for name in loaded if name.startswith("voicefile.")}
    assert ours == set(NEEDED)
    brought = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert brought - {"voicefile", "__main__"} <= {
        "nacl",
        "cryptography",
        "cffi",
        # What those three are made of.
        "_cffi_backend",
        "_sodium",
        "_openssl",
    }


def test_a_network_it_wanted_would_be_noticed(installed, evidence):
    path, key = evidence
    asks = ALONE.replace(
        "code =", "import socket; socket.create_connection(('localhost', 9))\ncode ="
    )
    ran = alone(installed, str(path), "--log-key", key, program=asks)
    assert "it wanted socket." in ran.stderr


@pytest.mark.parametrize("program", ["voicefile-verify", "voicefile verify"])
def test_both_commands_are_the_same_verifier(program, evidence):
    name, *words = program.split()
    command = [str(Path(sys.executable).with_name(name)), *words]
    path, key = evidence
    answers = [
        subprocess.run([*command, *asked], capture_output=True, text=True, check=False, timeout=60)
        for asked in ([str(path), "--log-key", key], [str(path)], [])
    ]
    assert [each.returncode for each in answers] == [0, 3, 2]
    assert answers[2].stderr.startswith(f"{program}: a bundle, or")


@pytest.mark.parametrize("program", ["voicefile-fsck", "voicefile audit fsck"])
def test_both_commands_are_the_same_fsck(program, tmp_path):
    log = filed().log
    for path, content in log.files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    name, *words = program.split()
    command = [str(Path(sys.executable).with_name(name)), *words, str(tmp_path)]
    ran = subprocess.run(
        [*command, "--log-key", str(log.key)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0
    assert ran.stdout.startswith("PROVEN\n")
