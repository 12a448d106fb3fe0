"""The wire: how uvicorn speaks TLS for us, with a limit on everything a stranger can do to it."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import ssl
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voicefile.chassis.renewing import Renewing, in_front_of

HEADER_BYTES_MAX: Final = 32 * 1024
"""Request line and headers together; the parser itself has no limit."""
HEADER_S_MAX: Final = 10.0
"""How long a connection may take to say what it wants; the server itself waits for ever."""
KEEP_ALIVE_S: Final = 20
CONNECTIONS_MAX: Final = 1000
SHUTDOWN_S_MAX: Final = 10
CONNECTION_S_MAX: Final = 600.0
"""An older connection ends with its next answer: what its certificate was believed for then may
have expired, or its authority may have been taken away."""
FIRST_REQUEST_S_MAX: Final = 1.0
"""How long a server that stops waits for a request that is about to come."""
_CIPHERS_TLS12: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class PortTaken(OSError):
    """Another process listens there already."""


class HeaderTooLarge(ValueError):
    """Ends the parsing of a request; the parser answers 400."""


def server_context(certificate: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """TLS 1.3, or 1.2 with forward secrecy. With `client_ca` only our services get in, by 1.3.

    Files that change are taken over at the next handshake. Raises OSError.
    """
    files = [certificate, *([] if client_ca is None else [client_ca])]
    renewing = Renewing(lambda: _context(certificate, client_ca), files=files)
    return in_front_of(renewing, _context(certificate, client_ca))


def _context(certificate: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS_TLS12)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate)
    if client_ca is not None:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # No tickets: a session taken up again would not show its certificate a second time.
        context.num_tickets = 0
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of the host, one port for all. Raises PortTaken."""
    found: list[socket.socket] = []
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            with contextlib.suppress(_NoSuchAddress):
                found.append(_bound(family, kind, protocol, (address[0], port)))
                port = found[-1].getsockname()[1]
    except OSError as error:
        for each in found:
            each.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} on {host} is taken by another process") from None
        raise
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return found


class _NoSuchAddress(OSError):
    """The host has this address in a table only (::1 without IPv6)."""


def _bound(family: int, kind: int, protocol: int, address: tuple[str | int, int]) -> socket.socket:
    try:
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _NoSuchAddress from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _NoSuchAddress from error
        raise
    return listener


def _at_once() -> float:
    return 0.0


def _tell_nobody() -> None:
    """For whoever finds out by trying."""


async def serve(
    app: ASGIApp,
    *,
    sockets: Sequence[socket.socket],
    context: ssl.SSLContext,
    stop: asyncio.Event,
    connections_max: int = CONNECTIONS_MAX,
    drain_s: Callable[[], float] = _at_once,
    shutdown_s_max: int = SHUTDOWN_S_MAX,
    header_s_max: float = HEADER_S_MAX,
    connection_s_max: float = CONNECTION_S_MAX,
    listening: Callable[[], None] = _tell_nobody,
) -> None:
    """Serves HTTPS until `stop` is set, and `drain_s` longer: balancers need time to notice.

    `listening` is called once whoever connects gets in.
    Who comes meanwhile is answered and told that the connection ends. Requests under way then
    get `shutdown_s_max` to end.
    """
    config = uvicorn.Config(
        app,
        http=_protocol(stop, header_s_max, connection_s_max),
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="none",
        ssl_context_factory=lambda _config, _default: context,
        log_config=None,
        access_log=False,
        server_header=False,
        # A forwarded header is a claim, and only the socket's own address counts. Behind a front
        # of ours `behind_front` knows better; uvicorn would believe whatever address is listed.
        proxy_headers=False,
        limit_concurrency=connections_max,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=shutdown_s_max,
    )
    server = _Server(config, stop=stop, drain_s=drain_s, listening=listening)
    await server.serve(sockets=list(sockets))


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, for all servers of the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class _Server(uvicorn.Server):
    """Leaves the signals to the process: several servers run in one."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        stop: asyncio.Event,
        drain_s: Callable[[], float],
        listening: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self._drain_s = drain_s
        self._listening = listening
        self._stops_s: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    async def on_tick(self, counter: int) -> bool:
        if await super().on_tick(counter):
            return True
        now_s = asyncio.get_running_loop().time()
        if self._stop.is_set() and self._stops_s is None:
            self._stops_s = now_s + self._drain_s()
            for connection in self.server_state.connections:
                assert isinstance(connection, VaultProtocol)
                connection.close_after_answer()
        return self._stops_s is not None and now_s >= self._stops_s


class VaultProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on headers, in bytes and time, and the peer's name.

    A connection that has to end is told so by an answer, and so never cuts off a question.
    """

    stop: asyncio.Event
    header_s_max: float
    connection_s_max: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0
        self._headers_whole = False
        self._deadline: TimerHandle | None = None
        self._old_s = float("inf")

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._old_s = self.loop.time() + self.connection_s_max
        self._await_header(self.header_s_max)

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self._headers_whole = False
        self._await_header(self.header_s_max)
        self.scope["extensions"] = _peer(self.transport)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        # The parser gives trailers out as headers. A proxy looks at headers and passes trailers
        # on: what it replaced or took away there would be back, as the last word.
        if not self._headers_whole:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._header_came()
        self._headers_whole = True
        super().on_headers_complete()
        if self.stop.is_set() or self.loop.time() >= self._old_s:
            self.cycle.keep_alive = False

    def close_after_answer(self) -> None:
        """Ends the connection with the answer under way, if that can still say so."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Ends it now if it is idle; who is about to ask gets a moment, and an answer."""
        if self._deadline is None:
            super().shutdown()
            return
        self._header_came()
        self._await_header(FIRST_REQUEST_S_MAX)

    def _count(self, more: int) -> None:
        self._header_bytes += more
        if self._header_bytes > HEADER_BYTES_MAX:
            raise HeaderTooLarge

    def _await_header(self, s_max: float) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(s_max, self._too_late)

    def _header_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self.transport.abort()


def _protocol(
    stopping: asyncio.Event, header_limit_s: float, age_limit_s: float
) -> type[VaultProtocol]:
    # uvicorn takes a class, so what it has to know reaches it as a class.
    class Limited(VaultProtocol):
        stop = stopping
        header_s_max = header_limit_s
        connection_s_max = age_limit_s

    return Limited


def _peer(transport: Transport) -> dict[Any, dict[Any, Any]]:
    certificate = transport.get_extra_info("peercert")
    if not certificate:
        return {}
    names = [
        f"{_SHORT.get(key, key)}={value}"
        for part in certificate.get("subject", ())
        for key, value in part
    ]
    return {"tls": {"client_cert_name": ",".join(names)}}


_SHORT: Final = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU"}
