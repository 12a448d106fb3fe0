"""A witness as audit sees it: somebody elsewhere who is asked to cosign, and may be away."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import httpx

ANSWER_BYTES_MAX: Final = 16 * 1024
"""A size, or some signature lines; what is longer is no answer."""


class WitnessAway(Exception):
    """No answer, or none that a witness gives."""


@dataclass(frozen=True)
class Answer:
    """What the witness said (C2SP tlog-witness)."""

    status: int
    text: str


class WitnessDoor(Protocol):
    """The way to one witness."""

    async def add_checkpoint(self, request: str) -> Answer:
        """Offers a checkpoint. Raises WitnessAway."""


class HttpWitness:
    """A witness behind HTTPS; whoever makes the client names its address and its authority."""

    def __init__(self, client: httpx.AsyncClient, *, s_max: float) -> None:
        self._client = client
        self._s_max = s_max

    async def add_checkpoint(self, request: str) -> Answer:
        try:
            status, body = await bounded_post(
                self._client,
                "add-checkpoint",
                request.encode(),
                headers={"Content-Type": "text/plain; charset=utf-8"},
                bytes_max=ANSWER_BYTES_MAX,
                s_max=self._s_max,
            )
            text = body.decode()
        except (httpx.HTTPError, UnicodeDecodeError, NoAnswer) as error:
            raise WitnessAway from error
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise WitnessAway
        return Answer(status, text)


class NoAnswer(Exception):
    """More came than any honest answer has, or it took too long as a whole."""


async def bounded_post(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    bytes_max: int,
    s_max: float,
) -> tuple[int, bytes]:
    """Status and body of an answer from outside. Raises httpx.HTTPError, NoAnswer.

    The client's own timeouts begin anew with each byte that comes.
    """
    answer = b""
    try:
        async with (
            asyncio.timeout(s_max),
            client.stream("POST", url, content=body, headers=dict(headers)) as response,
        ):
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > bytes_max:
                    raise NoAnswer
    except TimeoutError:
        raise NoAnswer from None
    return response.status_code, answer
