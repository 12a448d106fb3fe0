"""The embedded vault with its door for edges, and customers with recordings in it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.bench.uploader import BOUNDARY, body_of
from tests.bench.vault import VaultProcess, vault_process
from tests.engines.ports import choose_ports
from tests.telephony.real.timecode import Recording

from voicefile.identity.ids import new_id

TRIES = 5


@dataclass(frozen=True)
class Customer:
    """What a letter told somebody."""

    access_id: str
    pin: str
    recording: Recording


@dataclass
class Vault:
    """A vault that answers calls. It may be stopped and started again over the same folder."""

    data: Path
    telephone: int
    settings: dict[str, str] = field(default_factory=dict)
    process: VaultProcess = field(init=False)

    @property
    def edges(self) -> Path:
        return self.data / "edges"

    @contextmanager
    def up(self, *, companies: int = 0) -> Iterator[VaultProcess]:
        """While it runs."""
        wanted = {"VOICEFILE_TELEPHONE_PORT": str(self.telephone), **self.settings}
        with vault_process(self.data, companies=companies, **wanted) as self.process:
            yield self.process

    def customer(self, recording: Recording, **said: Any) -> Customer:
        """A new one, of the first tenant; said: what the partner says of the recording."""
        headers = {
            "Authorization": f"Bearer {self.process.tenants[0]['partner_token']}",
            "Idempotency-Key": new_id(),
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        }
        body = body_of(recording.wav, "audio/wav", **said)
        filed = self._posted(headers, body).raise_for_status().json()
        return Customer(filed["access_id"], filed.get("pin") or "", recording)

    def _posted(self, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """As a partner's system posts: whoever is asked to come again later, does."""
        with self.process.client() as client:
            for _ in range(TRIES):
                answer = client.post("/ingest/v1/recordings", headers=headers, content=body)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                # Where a tenant is new, ingest hears of it a moment later than auth.
                time.sleep(float(answer.headers["Retry-After"]))
        return answer


def vault_in(data: Path, **settings: str) -> Vault:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Vault(data, choose_ports(["telephone"])["telephone"], settings)
