"""SoftHSM: a PKCS#11 module with a token of its own; a library, so there is no process to kill."""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.engines.environment import NotToBeHad
from tests.engines.process import write_private

OFFICER = "officer"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


class SoftHsm:
    """Tokens in a folder of their own. A process uses them with `environment` set.

    `label` is for whoever tries something; auth and audit have a token each, as in earnest.
    """

    name = "softhsm"
    label = "voicefile"
    rooted = ("auth", "audit")
    lacks = ("software: whoever reads its folder and the PIN has the keys; no hardware, no quorum",)
    pid = None

    def __init__(self, folder: Path, certificates: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.certificates = certificates
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def kind(self) -> str:
        said = subprocess.run([_tool(), "--version"], capture_output=True, text=True, check=True)
        return f"softhsm {said.stdout.strip()}"

    @property
    def module(self) -> Path:
        for path in MODULES:
            if Path(path).exists():
                return Path(path)
        raise NotToBeHad("there is no libsofthsm2.so; the package is called softhsm2")

    @property
    def configuration(self) -> Path:
        return self.folder / "softhsm2.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that loads the module."""
        return {"SOFTHSM2_CONF": str(self.configuration)}

    @property
    def pin(self) -> str:
        return self.pin_for(self.label)

    def label_of(self, service: str) -> str:
        return f"{self.label}-{service}"

    def pin_for(self, label: str) -> str:
        return self._pins()[label]

    def _pins(self) -> dict[str, str]:
        path = self.folder / "pins.json"
        if not path.exists():
            labels = (self.label, *map(self.label_of, self.rooted), OFFICER)
            pins = {label: secrets.token_hex(8) for label in labels}
            write_private(path, json.dumps(pins))
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def start(self) -> None:
        """The tokens are there when it returns."""
        _ = self.module
        tokens = self.folder / "tokens"
        tokens.mkdir(mode=0o700, exist_ok=True)
        self.configuration.write_text(
            f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        if not any(tokens.iterdir()):
            for label in (self.label, *map(self.label_of, self.rooted)):
                self._initialise(label)

    def stop(self) -> None:
        """Nothing runs."""

    kill = pause = resume = stop

    def wipe(self) -> None:
        """All its keys are gone."""
        shutil.rmtree(self.folder / "tokens", ignore_errors=True)

    def _initialise(self, label: str) -> None:
        pins = ["--pin", self.pin_for(label), "--so-pin", self.pin_for(OFFICER)]
        self._run("--init-token", "--free", "--label", label, *pins)

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [_tool(), *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            check=True,
        )


def _tool() -> str:
    found = shutil.which("softhsm2-util")
    if found is None:
        raise NotToBeHad("there is no softhsm2-util; the package is called softhsm2")
    return found
