"""The public door of a service behind a front: the front alone gets in, and says for whom it asks.

A front that ends TLS makes all visitors one address, and one bucket of each throttle. So its last
hop is believed: the address that the front itself saw and wrote at the end of `X-Forwarded-For`.
What stands left of that is a visitor's own word. The front is known by its certificate, as a
service is; by its address or by a header anybody could be it.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from voicefile.chassis.edge import Edge
from voicefile.chassis.metrics import front_refusals
from voicefile.chassis.problems import Problem, problem_response
from voicefile.identity.guard import peer_name

FRONT: Final = "front"
"""The common name of the front's certificate; on no route's list, so that it opens nothing."""
HEADER: Final = b"x-forwarded-for"
NOT_THE_FRONT: Final = Problem("not-the-front", 403, "Only the front is let in here")
# The front's fault, not the visitor's: who asks has to come again, and nothing was done.
NO_ADDRESS: Final = Problem(
    "no-visitor-address", 503, "The front does not say for whom it asks", retry_after_s=30
)
log = structlog.get_logger(__name__)


class BehindFront:
    """Pure ASGI, around a whole public port that demands certificates (`wire.server_context`)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._others = Edge(_Refusal(NOT_THE_FRONT, "not_the_front"), name=FRONT)
        # One bucket for all whose address is not known would be the very thing this is against.
        self._unknown = Edge(_Refusal(NO_ADDRESS, "no_address"), name=FRONT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or peer_name(Request(scope)) != FRONT:
            await self._others(scope, receive, send)
            return
        address = last_hop(scope["headers"])
        if address is None:
            await self._unknown(scope, receive, send)
            return
        # Whoever asks through the front is nobody of ours: the certificate has done its work.
        extensions = {name: it for name, it in scope["extensions"].items() if name != "tls"}
        visited = {**scope, "client": (address, 0), "extensions": extensions}
        await self._app(visited, receive, send)


class _Refusal:
    def __init__(self, problem: Problem, reason: str) -> None:
        self._problem = problem
        self._reason = reason

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        front_refusals().labels(self._reason).inc()
        # Neither who came instead nor what was said: both are somebody's words.
        log.warning("front_refused", reason=self._reason)
        await problem_response(self._problem)(scope, receive, send)


def last_hop(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The address at the very end of `X-Forwarded-For`; None if there is none.

    An IPv4 address in IPv6's clothes comes out as IPv4, and no zone stays.
    """
    said = [value for name, value in headers if name == HEADER]
    if not said:
        return None
    last = said[-1].rpartition(b",")[2].strip(b" \t")
    try:
        found = ipaddress.ip_address(last.decode("ascii"))
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.IPv6Address(found.packed))
    return str(found)
