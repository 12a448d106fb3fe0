"""Passes a recording on from playback to the browser, piece by piece, nothing kept."""

from collections.abc import AsyncGenerator

import httpx
from starlette.responses import Response

from voicefile.chassis.streaming import StreamedResponse

_PASSED_ON = (
    "content-length",
    "content-range",
    "accept-ranges",
    "content-disposition",
    "etag",
)


def passed_on(answer: httpx.Response) -> Response:
    """Playback's answer as ours: status, length, range and bytes."""
    headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    return StreamedResponse(
        _pieces(answer),
        status_code=answer.status_code,
        headers=headers,
        media_type=answer.headers.get("content-type"),
    )


async def _pieces(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    # Closing it when the browser leaves tells playback to stop reading and to stop renewing.
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
