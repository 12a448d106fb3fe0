"""Whoever stamps the time (RFC 3161): a port, and the way to an authority over HTTPS."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import httpx

from voicefile.audit.witness import NoAnswer, bounded_post
from voicefile.translog.errors import StampInvalid
from voicefile.translog.timestamp import (
    QUERY_TYPE,
    REPLY_TYPE,
    RESPONSE_BYTES_MAX,
    StampTrust,
    stamp_request,
    verify_stamp,
)


class StamperAway(Exception):
    """No answer, or none that an authority gives."""


@dataclass(frozen=True)
class Stamp:
    """A stamp that was verified."""

    response: bytes
    at_s: float
    """POSIX seconds, as the authority says."""


class TimeStamper(Protocol):
    """Says when something existed."""

    async def stamp(self, message: bytes) -> Stamp:
        """A verified stamp over SHA-256 of the message. Raises StamperAway, StampInvalid."""


class HttpTimeStamper:
    """An authority behind HTTPS, asked at exactly this address."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, trust: StampTrust, *, s_max: float
    ) -> None:
        self._client = client
        self._s_max = s_max
        self._url = url
        self._trust = trust

    async def stamp(self, message: bytes) -> Stamp:
        request = stamp_request(message)
        try:
            status, response = await bounded_post(
                self._client,
                self._url,
                request.body,
                headers={"Content-Type": QUERY_TYPE, "Accept": REPLY_TYPE},
                bytes_max=RESPONSE_BYTES_MAX,
                s_max=self._s_max,
            )
        except (httpx.HTTPError, NoAnswer) as error:
            raise StamperAway from error
        if status != HTTPStatus.OK:
            raise StamperAway
        if not response:
            raise StampInvalid("an empty answer")
        at_s = verify_stamp(response, message, self._trust, nonce=request.nonce)
        return Stamp(response, at_s)
