"""Tampering: a record that does not carry its MAC is told to the log and counts as missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voicefile.auth.events import Fact
from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import AccessError
from voicefile.crypto.errors import Tampered
from voicefile.deeds.series import DeedSeries


@asynccontextmanager
async def tampering_told(
    deeds: DeedSeries[Fact],
    *,
    tenant: str,
    object_id: str,
    request_id: str,
    instead: type[AccessError],
) -> AsyncIterator[None]:
    """Records who-knows-whose writing past auth, and raises `instead`, which tells nothing."""
    try:
        yield
    except Tampered:
        await deeds.record(access_deeds.integrity_failed(tenant, object_id, request_id))
        raise instead from None
