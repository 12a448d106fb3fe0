from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.services.witness.growing import Growing

from voicefile.chassis.inprocess import BASE_URL, InProcessTransport
from voicefile.translog.witnessing import AddCheckpoint
from voicefile.witness.app import build
from voicefile.witness.cosign import Witness
from voicefile.witness.key import Signer
from voicefile.witness.memory import FolderMemory, begin
from voicefile.witness.settings import WitnessSettings

NAME = "dpo.example/w1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "witness"


@pytest.fixture
def signer(folder: Path) -> Signer:
    return begin(folder, NAME)


@pytest.fixture
def memory(folder: Path, signer: Signer) -> FolderMemory:
    return FolderMemory(folder, signer.public)


@pytest.fixture
def log() -> Growing:
    return Growing().grow(5)


@dataclass
class Door:
    """A witness behind its routes."""

    client: httpx.AsyncClient
    failures: list[Exception] = field(default_factory=list)

    async def ask(self, asked: AddCheckpoint | str | bytes) -> httpx.Response:
        body = asked if isinstance(asked, bytes) else str(asked).encode()
        return await self.client.post("/add-checkpoint", content=body)


@pytest.fixture
async def door(memory: FolderMemory, signer: Signer, log: Growing) -> AsyncIterator[Door]:
    memory.trust(log.verifier)
    failures: list[Exception] = []
    app = build(WitnessSettings(), Witness(memory, signer), on_failure=failures.append)
    wire = InProcessTransport(app)
    async with httpx.AsyncClient(transport=wire, base_url=BASE_URL) as client:
        yield Door(client, failures)
