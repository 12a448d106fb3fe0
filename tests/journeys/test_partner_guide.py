"""The partner guide to the letter, on a vault started as it says; and the vault's next start."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from tests.journeys.vault_process import partner_token, vault_process
from tests.stand import metadata

from voicefile.cli.partner import sample
from voicefile.ingest.schemas import parse_metadata
from voicefile.verify.digits import spoken_digits

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "partner-guide.md"
STEPS_S_MAX = 60
SECOND_START_S_MAX = 30


def shell_blocks():
    return re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def json_blocks():
    return re.findall(r"^```json\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """Runs the guide at the first start of a vault, and looks at it again after the second."""
    return Starts(tmp_path_factory.mktemp("guide"))


class Starts:
    def __init__(self, folder):
        self.desk = folder / "desk"
        self.desk.mkdir()
        # The guide is read with the repository at hand and the vault's data in var/.
        (self.desk / "cli").symlink_to(ROOT / "cli")
        (self.desk / ".venv").symlink_to(sys.prefix)
        with vault_process(self.desk / "var", folder / "first") as vault:
            self.first_took_s = vault.started_in_s
            self.told = (vault.data / "demo.json").read_bytes()
            self.ran = self._run_guide(vault.url)
        self.answers = {
            path.stem: json.loads(path.read_text()) for path in self.desk.glob("*.json")
        }
        with vault_process(self.desk / "var", folder / "second") as vault:
            self.second_took_s, self.second_url = vault.started_in_s, vault.url
            self.told_again = (vault.data / "demo.json").read_bytes()
            self.said_again = vault.said().decode()
            self.demo_heard = self._hear(vault, json.loads(self.told)["recording"])
            mine = self.answers["answer"] | {"pin": self.answers["reissued"]["pin"]}
            self.mine_heard = self._hear(vault, mine)
            self.stored_again = self._store(vault)

    def _run_guide(self, url):
        blocks = "\n".join(shell_blocks()).replace("https://localhost:8443", url)
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", blocks],
            cwd=self.desk,
            capture_output=True,
            timeout=STEPS_S_MAX,
            check=False,
            text=True,
        )

    @staticmethod
    def _hear(vault, filed):
        login = {"access_id": filed["access_id"], "pin": filed["pin"]}
        with vault.client() as client:
            session = client.post("/auth/v1/customer-sessions", json=login).raise_for_status()
            bearer = {"Authorization": f"Bearer {session.json()['session_token']}"}
            where = f"/playback/v1/recordings/{filed['recording_id']}/audio"
            return client.get(where, headers=bearer).raise_for_status().content

    @staticmethod
    def _store(vault):
        with vault.client() as client:
            token = partner_token(client, vault.first_company["partner"])
            parts = [
                ("metadata", (None, json.dumps(metadata()), "application/json")),
                ("audio", ("a.wav", sample(), "audio/wav")),
            ]
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
            return client.post("/ingest/v1/recordings", headers=headers, files=parts).status_code


needs_curl = pytest.mark.skipif(
    not shutil.which("curl"), reason="NOT RUN: no curl on this machine (Debian: apt install curl)"
)


@needs_curl
def test_every_command_of_the_guide_works(starts):
    assert starts.ran.returncode == 0, starts.ran.stderr
    assert starts.ran.stderr == ""
    answer = starts.answers["answer"]
    assert answer["state"] == "playable"
    assert answer["sha256"] == hashlib.sha256(sample()).hexdigest()
    assert starts.answers["status"]["letter"] == "wanted"
    assert starts.answers["letter"]["letter"] == "sent"
    assert len(starts.answers["reissued"]["pin"]) == len(answer["pin"])
    changes = starts.answers["changes"]["changes"]
    assert answer["recording_id"] in {change["recording_id"] for change in changes}


@needs_curl
def test_the_guide_ends_with_a_receipt_that_is_proven(starts):
    said = starts.ran.stdout
    assert said.startswith("PROVEN\n")
    assert starts.answers["answer"]["recording_id"] in said
    digits = spoken_digits(starts.answers["answer"]["receipt"])
    assert f"{digits[:3]} {digits[3:]}\n" in said


@needs_curl
def test_the_guide_lists_the_claims_of_a_receipt(starts):
    claims = starts.answers["answer"]["receipt"].split(".")[1]
    held = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    section = GUIDE.read_text().partition("| claim |")[2].partition("\n\n")[0]
    listed = [row.split("|")[1] for row in section.splitlines()[2:]]
    assert set(re.findall(r"`(\w+)`", " ".join(listed))) == set(held)
    parts = json.loads(re.search(r'"contract_parts": (\[.+?\])', GUIDE.read_text())[1])
    shown = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    assert f"`{shown}`" in section
    assert held["contract_parts_sha256"] == hashlib.sha256(shown.encode()).hexdigest()


@needs_curl
def test_the_answer_has_the_fields_the_guide_shows(starts):
    shown = json.loads(json_blocks()[0])
    assert set(shown) == set(starts.answers["answer"])
    assert len(shown["access_id"]) == len(starts.answers["answer"]["access_id"])


def test_the_second_start_keeps_everything(starts):
    told, again = json.loads(starts.told), json.loads(starts.told_again)
    # Another port than at the first start, and nothing else.
    assert again == told | {"url": starts.second_url}
    assert "stored one spoken contract" not in starts.said_again
    assert starts.demo_heard == sample()


@needs_curl
def test_what_the_guide_stored_is_heard_after_a_restart(starts):
    assert starts.mine_heard == sample()


def test_the_vault_takes_recordings_after_a_restart(starts):
    assert starts.stored_again == 201


def test_a_first_start_that_was_stopped_half_way_goes_on(tmp_path):
    with vault_process(tmp_path / "var", tmp_path) as vault:
        known = vault.known
    # As if it had ended after the second tenant was opened and before that was written down.
    del known["recording"], known["tenants"][1]
    (tmp_path / "var" / "demo.json").write_text(json.dumps(known))
    with vault_process(tmp_path / "var", tmp_path) as vault:
        again = vault.known
        assert again["tenants"][0] == known["tenants"][0]
        assert again["tenants"][1]["care"]["username"] == "care@2.blauwal.demo"
        assert Starts._hear(vault, again["recording"]) == sample()


def test_starting_takes_seconds(starts):
    print(f"first start {starts.first_took_s:.1f} s, second {starts.second_took_s:.1f} s")
    assert starts.second_took_s < SECOND_START_S_MAX


def test_the_guides_snippets_are_metadata_the_vault_takes():
    """The blocks that are no commands, and what stands between backticks as JSON."""
    text = GUIDE.read_text()
    found = [json.loads(block) for block in json_blocks()[1:]]
    found += [json.loads(f"{{{each}}}") for each in re.findall(r'`("\w+": .+?)`', text)]
    assert {name for each in found for name in each} >= {
        "sensitive",
        "question",
        "pin_delivery",
        "join_access_id",
    }
    for each in found:
        raw = json.dumps(metadata() | each).encode()
        assert parse_metadata(raw, now_s=time.time())
