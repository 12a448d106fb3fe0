"""Calls between services that run apart: HTTPS with a certificate on both sides.

The path's first part says which service is meant, as in one process; each has addresses, used in
turn. Whatever the address, whoever answers there has to prove the service's own name. A call
that surely reached nobody is made again at the next address; one that was cut off without a word
of an answer only if asking twice is the same as asking once. Here alone clients are made that
leave the machine.
"""

import itertools
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final

import httpx
import structlog

from voicefile.chassis.inprocess import BASE_URL
from voicefile.chassis.renewing import RenewedContext, Renewing
from voicefile.chassis.stack import where_it_broke
from voicefile.chassis.tls import SERVICE_DOMAIN
from voicefile.chassis.traceparent import Traced

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 30.0
CONNECT_S_MAX: Final = 3.0
"""For all of a service's addresses together; a replica whose machine is gone must not eat it up."""
CONNECTIONS_MAX: Final = 200
"""Connections to one service; who needs more waits."""
IDLE_S_MAX: Final = 2.0
"""A connection idle for longer is not used again. Shorter than a service drains (three seconds),
so none is cut off while a question is on its way to a service that stops in good order."""
REST_S: Final = 5.0
"""How long an address that could not be reached is asked last."""
REPEATS_MAX: Final = 2
REPEATABLE: Final = "voicefile_repeatable"
"""Extension of a request that says: asking twice is the same as asking once."""
_SAFE: Final = frozenset({"GET", "HEAD"})
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)
_UNANSWERED: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


def client_context(certificate: Path | None, *, authority: Path | None) -> ssl.SSLContext:
    """How we call others; without `authority` the system's own count. Raises OSError."""
    context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


def engine_context(certificate: Path | None, *, authority: Path | None) -> ssl.SSLContext:
    """How we call an engine whose client keeps one context; files that change are taken over.

    Raises OSError.
    """
    return RenewedContext.of(
        Renewing(
            lambda: client_context(certificate, authority=authority),
            files=[path for path in (certificate, authority) if path is not None],
        )
    )


def service_client(
    addresses: Mapping[str, Sequence[str]],
    *,
    certificate: Path,
    authority: Path,
    timeout_s: float = TIMEOUT_S,
    connections_max: int = CONNECTIONS_MAX,
    around: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] = lambda wire: wire,
) -> httpx.AsyncClient:
    """One client that reaches each service at its `https://host:port`s. Raises OSError.

    `around` may put something around the wire.
    """

    def context() -> ssl.SSLContext:
        made = client_context(certificate, authority=authority)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        return made

    trust = Renewing(context, files=(certificate, authority))
    return httpx.AsyncClient(
        transport=Traced(
            around(ServiceCalls(addresses, trust=trust, connections_max=connections_max))
        ),
        base_url=BASE_URL,
        timeout=timeout_s,
        # Neither a proxy nor a .netrc of the environment has a say in here, and no cookie of one
        # visitor is to be sent with the next one's request.
        trust_env=False,
        cookies=_no_cookies(),
    )


def engine_client(
    url: str, *, authority: Path | None, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S
) -> httpx.AsyncClient:
    """A client of an engine with an HTTP interface. Raises OSError."""
    return httpx.AsyncClient(
        base_url=url,
        verify=client_context(None, authority=authority),
        headers=dict(headers),
        timeout=timeout_s,
        trust_env=False,
        cookies=_no_cookies(),
    )


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


class ServiceCalls(httpx.AsyncBaseTransport):
    """Chooses the service by the first part of the path, and one of its addresses."""

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        *,
        trust: Renewing,
        connections_max: int = CONNECTIONS_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lines = {
            name: _Line(
                name,
                [httpx.URL(each) for each in theirs],
                trust=trust,
                connections_max=connections_max,
                monotonic=monotonic,
            )
            for name, theirs in addresses.items()
            if theirs
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        service = request.url.path.removeprefix("/").partition("/")[0]
        line = self._lines.get(service)
        if line is None:
            raise httpx.UnsupportedProtocol("no address is known for this path", request=request)
        return await line.ask(request)

    async def aclose(self) -> None:
        for line in self._lines.values():
            await line.aclose()


class _Line:
    """The way to one service: its addresses, and the connections to them."""

    def __init__(
        self,
        service: str,
        addresses: Sequence[httpx.URL],
        *,
        trust: Renewing,
        connections_max: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._service = service
        self._addresses = addresses
        self._trust = trust
        self._connections_max = connections_max
        self._monotonic = monotonic
        self._turn = itertools.count()
        self._rests_until_s = dict.fromkeys(range(len(addresses)), float("-inf"))
        self._pool = _Pool(trust.current(), connections_max)
        self._former: list[_Pool] = []

    async def ask(self, request: httpx.Request) -> httpx.Response:
        """Raises what httpx raises."""
        waiting = deque(self._in_turn())
        repeats = REPEATS_MAX if _repeatable(request) else 0
        failure: httpx.TransportError | None = None
        unsent = True
        while waiting:
            address = waiting.popleft()
            try:
                pool = await self._current_pool()
                answer = await pool.send(self._addressed(request, self._addresses[address]))
            except _UNSENT as error:
                # Once it may have arrived somewhere, no later failure says that it did not.
                failure = error if unsent else failure
                self._rest(address, error)
            except httpx.PoolTimeout as error:
                failure = error if unsent else failure
                break
            except _UNANSWERED as error:
                if not repeats:
                    raise
                repeats -= 1
                failure, unsent = error, False
                # The same one last: what broke was perhaps an old connection, not the service.
                waiting.append(address)
            else:
                self._rests_until_s[address] = float("-inf")
                return answer
        assert failure is not None
        raise failure

    async def aclose(self) -> None:
        for pool in (self._pool, *self._former):
            await pool.aclose()

    def _in_turn(self) -> list[int]:
        count = len(self._addresses)
        first = next(self._turn) % count
        turn = [(first + each) % count for each in range(count)]
        now_s = self._monotonic()
        return sorted(turn, key=lambda address: self._rests_until_s[address] > now_s)

    def _rest(self, address: int, error: Exception) -> None:
        now_s = self._monotonic()
        if self._rests_until_s[address] <= now_s:
            log.warning("service_not_reached", peer=self._service, **where_it_broke(error))
        self._rests_until_s[address] = now_s + REST_S

    def _addressed(self, request: httpx.Request, address: httpx.URL) -> httpx.Request:
        name = f"{self._service}.{SERVICE_DOMAIN}"
        timeout = dict(request.extensions.get("timeout", {}))
        connect_s = timeout.get("connect")
        share_s = CONNECT_S_MAX if connect_s is None else min(connect_s, CONNECT_S_MAX)
        timeout["connect"] = share_s / len(self._addresses)
        headers = request.headers.copy()
        headers["host"] = name
        return httpx.Request(
            request.method,
            request.url.copy_with(host=address.host, port=address.port),
            headers=headers,
            stream=request.stream,
            extensions={**request.extensions, "timeout": timeout, "sni_hostname": name},
        )

    async def _current_pool(self) -> "_Pool":
        context = self._trust.current()
        if self._pool.context is not context:
            self._former.append(self._pool)
            self._pool = _Pool(context, self._connections_max)
        for pool in [each for each in self._former if not each.answers]:
            self._former.remove(pool)
            await pool.aclose()
        return self._pool


class _Pool:
    """Connections under one state of the certificates; answers keep it open."""

    def __init__(self, context: ssl.SSLContext, connections_max: int) -> None:
        self.context = context
        self.answers = 0
        self._transport = httpx.AsyncHTTPTransport(
            verify=context,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=connections_max,
                max_keepalive_connections=connections_max,
                keepalive_expiry=IDLE_S_MAX,
            ),
        )

    async def send(self, request: httpx.Request) -> httpx.Response:
        self.answers += 1
        try:
            answer = await self._transport.handle_async_request(request)
        except BaseException:
            self.answers -= 1
            raise
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.stream = _Answer(answer.stream, self)
        return answer

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Answer(httpx.AsyncByteStream):
    """A body on its way; its pool stays open until it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, pool: _Pool) -> None:
        self._stream = stream
        self._pool = pool
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            if self._open:
                self._open = False
                self._pool.answers -= 1


def _repeatable(request: httpx.Request) -> bool:
    safe = request.method in _SAFE or request.extensions.get(REPEATABLE) is True
    # A body that is made while it is sent is made only once.
    return safe and isinstance(request.stream, httpx.ByteStream)
