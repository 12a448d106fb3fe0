"""A cluster as the people of a working day know it: an address, two companies, a first recording.

The same interface as `VaultProcess`, so the same day can be lived in it.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.cluster.cluster import DEPLOYMENT, Cluster
from tests.cluster.front import LOCAL, TIMEOUT_S, Doors
from tests.cluster.stand_apart import stand_over
from tests.stand import Company, sample

from voicefile.auth.tenants.principals import Added

STAFF = ("care", "auditor", "admin")


class BlockingFront(httpx.BaseTransport):
    """The public doors for clients that block; Host, path and cookies stay as they are."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._wire = httpx.HTTPTransport(verify=doors.public_trust(), trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path
        replica = self._doors.next(self._doors.service_of(target.decode("ascii")))
        return self._wire.handle_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=LOCAL, port=replica.public, raw_path=b"/"),
                headers=request.headers.raw,
                stream=request.stream,
                extensions={
                    **request.extensions,
                    "target": target,
                    "sni_hostname": "localhost",
                },
            )
        )

    def close(self) -> None:
        self._wire.close()


@dataclass
class DayVault:
    """What `working_day` asks of a vault."""

    cluster: Cluster
    known: dict[str, Any] = field(repr=False)
    deployment: bytes = DEPLOYMENT.encode()

    @property
    def first_company(self) -> dict[str, Any]:
        return self.known["tenants"][0]

    @property
    def url(self) -> str:
        """Of one ingest: who speaks past the front, in raw bytes, files recordings."""
        return f"https://localhost:{self.cluster.replicas['ingest'][0].public}"

    def context(self) -> ssl.SSLContext:
        return self.cluster.doors.public_trust()

    def client(self, **settings: Any) -> httpx.Client:
        transport = BlockingFront(self.cluster.doors)
        return httpx.Client(base_url=self.url, transport=transport, timeout=TIMEOUT_S, **settings)


def opened(cluster: Cluster) -> DayVault:
    """Two companies with everybody in them, and one recording, as the demo has them."""
    return asyncio.run(_opened(cluster))


async def _opened(cluster: Cluster) -> DayVault:
    async with stand_over(cluster) as vault:
        await vault.furnished(companies=2)
        filed = (await vault.companies[0].upload(sample())).raise_for_status().json()
        recording = {name: filed[name] for name in ("recording_id", "access_id", "pin")}
        tenants = [_told(company) for company in vault.companies]
        await vault.settled()
    return DayVault(cluster, {"tenants": tenants, "recording": recording})


def _told(company: Company) -> dict[str, Any]:
    secret = company.partner.client_secret
    assert secret
    partner = {"client_id": company.partner.id, "client_secret": secret.expose()}
    return {
        "id": company.id,
        "partner": partner,
        **{role: _staff(company.staff[role]) for role in STAFF},
    }


def _staff(added: Added) -> dict[str, str]:
    assert added.username
    assert added.password
    assert added.totp_secret
    return {
        "username": added.username,
        "password": added.password.expose(),
        "totp_secret": added.totp_secret.expose(),
    }


def settled(cluster: Cluster) -> None:
    """Waits until everything that happened stands in the log."""

    async def wait() -> None:
        async with stand_over(cluster) as vault:
            await vault.settled()

    asyncio.run(wait())
