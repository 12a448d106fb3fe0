"""Witnesses for audit's tests: real processes over HTTPS, and doors that fail in their own ways."""

import os
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.engines.ports import choose_ports

from voicefile.audit.settings import WitnessPlace
from voicefile.audit.witness import Answer, WitnessAway
from voicefile.translog.cosignature import WitnessKey
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import VerifierKey
from voicefile.translog.witnessing import AddCheckpoint
from voicefile.witness.cosign import Witness
from voicefile.witness.errors import LogUnknown, NotConsistent, NotSigned, SizeDiffers
from voicefile.witness.key import Signer
from voicefile.witness.memory import FolderMemory, begin

READY_S_MAX = 90.0


@dataclass
class Door:
    """A witness of the real kind without a wire: what it can be made to do, a network does."""

    witness: Witness
    asked: list[AddCheckpoint] = field(default_factory=list)
    away: bool = False
    says: Answer | None = None
    """What it answers instead of thinking."""

    async def add_checkpoint(self, request: str) -> Answer:
        if self.away:
            raise WitnessAway
        asked = AddCheckpoint.parse(request)
        self.asked.append(asked)
        if self.says is not None:
            return self.says
        try:
            return Answer(200, self.witness.add_checkpoint(asked))
        except SizeDiffers as differs:
            return Answer(409, f"{differs.size}\n")
        except NotConsistent:
            return Answer(422, "")
        except (NotSigned, NoteInvalid):
            return Answer(403, "")
        except LogUnknown:
            return Answer(404, "")


@dataclass
class Watcher:
    """A witness's folder and what hangs on it."""

    folder: Path
    signer: Signer
    memory: FolderMemory

    @classmethod
    def begun(cls, folder: Path, name: str = "dpo.example/w1") -> "Watcher":
        signer = begin(folder, name)
        return cls(folder, signer, FolderMemory(folder, signer.public))

    @property
    def key(self) -> WitnessKey:
        return self.signer.public

    def trusts(self, key: VerifierKey) -> "Watcher":
        self.memory.trust(key)
        return self

    def door(self, *, now_s: float | None = None) -> Door:
        clock = time.time if now_s is None else (lambda: now_s)
        return Door(Witness(self.memory, self.signer, now_s=clock))

    def place(self, url: str = "https://witness.invalid", ca: Path | None = None) -> WitnessPlace:
        return WitnessPlace(url=url, key=str(self.key), ca=ca)


@dataclass
class Served:
    """A witness as a process."""

    watcher: Watcher
    port: int = field(default_factory=lambda: choose_ports(("witness",))["witness"])
    process: subprocess.Popen[bytes] | None = None

    @property
    def ca(self) -> Path:
        return self.watcher.folder / "tls" / "ca.pem"

    @property
    def place(self) -> WitnessPlace:
        return self.watcher.place(f"https://localhost:{self.port}", self.ca)

    def start(self) -> "Served":
        command = Path(sys.executable).with_name("voicefile-witness")
        self.process = subprocess.Popen(
            [str(command), "serve"],
            env={
                "PATH": os.environ["PATH"],
                "VOICEFILE_WITNESS_FOLDER": str(self.watcher.folder),
                "VOICEFILE_WITNESS_PORT": str(self.port),
            },
            stderr=subprocess.DEVNULL,
        )
        ends_s = time.monotonic() + READY_S_MAX
        while True:
            try:
                trusted = ssl.create_default_context(cafile=str(self.ca))
                with httpx.Client(verify=trusted, trust_env=False, timeout=10) as client:
                    client.get(f"https://localhost:{self.port}/")
            except (httpx.TransportError, OSError):
                assert self.process.poll() is None, "the witness ended"
                assert time.monotonic() < ends_s, "the witness did not begin to serve"
                time.sleep(0.1)
            else:
                return self

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
