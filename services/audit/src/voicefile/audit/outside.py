"""Whom audit asks outside of the vault, by its settings: witnesses, and whoever stamps the time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from voicefile.audit.settings import AuditSettings, WitnessPlace
from voicefile.audit.stamper import HttpTimeStamper, TimeStamper
from voicefile.audit.witness import HttpWitness, WitnessDoor
from voicefile.chassis.calls import engine_client
from voicefile.translog.timestamp import StampTrust


@dataclass(frozen=True)
class Outside:
    """The ways out, and the clients they need."""

    witnesses: tuple[tuple[WitnessPlace, WitnessDoor], ...] = ()
    stamper: TimeStamper | None = None
    clients: tuple[httpx.AsyncClient, ...] = ()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Closes the connections at the end."""
        async with AsyncExitStack() as closing:
            for client in self.clients:
                closing.push_async_callback(client.aclose)
            yield


NOBODY_OUTSIDE: Final = Outside()


def outside(settings: AuditSettings) -> Outside:
    """Raises OSError if a file of an authority can't be read, StampInvalid if it holds none."""
    clients: list[httpx.AsyncClient] = []
    doors = []
    for place in settings.witnesses:
        clients.append(
            engine_client(place.url, authority=place.ca, headers={}, timeout_s=settings.offer_s_max)
        )
        doors.append((place, HttpWitness(clients[-1], s_max=settings.offer_s_max)))
    stamper = None
    if settings.tsa_url:
        clients.append(
            engine_client(
                settings.tsa_url,
                authority=settings.tsa_tls_ca,
                headers={},
                timeout_s=settings.offer_s_max,
            )
        )
        stamper = HttpTimeStamper(
            clients[-1], settings.tsa_url, _trust(settings), s_max=settings.offer_s_max
        )
    return Outside(tuple(doors), stamper, tuple(clients))


def _trust(settings: AuditSettings) -> StampTrust:
    # A stamp is believed by its own chain; the system's authorities vouch for hosts, not for time.
    assert settings.tsa_ca is not None, "the settings ask for it"
    return StampTrust.of_pem(settings.tsa_ca.read_bytes(), policy=settings.tsa_policy)
