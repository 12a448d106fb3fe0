"""SoftHSM: a PKCS#11 module with a token of its own; a library, so there is no process to kill."""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.engines.environment import NotToBeHad
from tests.engines.process import write_private

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


class SoftHsm:
    """One token in a folder of its own. A process uses it with `environment` set."""

    name = "softhsm"
    label = "voicefile"
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
        path = self.folder / "pins.json"
        if not path.exists():
            pins = {"user": secrets.token_hex(8), "officer": secrets.token_hex(8)}
            write_private(path, json.dumps(pins))
        return str(json.loads(path.read_text())["user"])

    def start(self) -> None:
        """The token is there when it returns."""
        _ = self.module
        tokens = self.folder / "tokens"
        tokens.mkdir(mode=0o700, exist_ok=True)
        self.configuration.write_text(
            f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        if not any(tokens.iterdir()):
            self._initialise()

    def stop(self) -> None:
        """Nothing runs."""

    kill = pause = resume = stop

    def wipe(self) -> None:
        """All its keys are gone."""
        shutil.rmtree(self.folder / "tokens", ignore_errors=True)

    def _initialise(self) -> None:
        pins = ["--pin", self.pin, "--so-pin", self._officer_pin]
        self._run("--init-token", "--free", "--label", self.label, *pins)

    @property
    def _officer_pin(self) -> str:
        return str(json.loads((self.folder / "pins.json").read_text())["officer"])

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
