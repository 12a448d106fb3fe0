"""The wire: how uvicorn speaks TLS for us, with a limit on everything a stranger can do to it."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import ssl
from asyncio import TimerHandle, Transport
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_BYTES_MAX: Final = 32 * 1024
"""Request line and headers together; the parser itself has no limit."""
HEADER_S_MAX: Final = 10.0
"""How long a connection may take to say what it wants; the server itself waits for ever."""
KEEP_ALIVE_S: Final = 20
CONNECTIONS_MAX: Final = 1000
SHUTDOWN_S_MAX: Final = 10
_CIPHERS_TLS12: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class PortTaken(OSError):
    """Another process listens there already."""


class HeaderTooLarge(ValueError):
    """Ends the parsing of a request; the parser answers 400."""


def server_context(certificate: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """TLS 1.3, or 1.2 with forward secrecy. With `client_ca`, only our services get in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS_TLS12)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate)
    if client_ca is not None:
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


async def serve(
    app: ASGIApp,
    *,
    sockets: Sequence[socket.socket],
    context: ssl.SSLContext,
    stop: asyncio.Event,
    connections_max: int = CONNECTIONS_MAX,
    shutdown_s_max: int = SHUTDOWN_S_MAX,
    header_s_max: float = HEADER_S_MAX,
) -> None:
    """Serves HTTPS until `stop` is set; requests under way get `shutdown_s_max` to end."""
    config = uvicorn.Config(
        app,
        http=_protocol(header_s_max),
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="none",
        ssl_context_factory=lambda _config, _default: context,
        log_config=None,
        access_log=False,
        server_header=False,
        # A forwarded header is a claim; only the socket's own address counts.
        proxy_headers=False,
        limit_concurrency=connections_max,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=shutdown_s_max,
    )
    await _Server(config, stop=stop).serve(sockets=list(sockets))


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, for all servers of the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class _Server(uvicorn.Server):
    """Leaves the signals to the process: several servers run in one."""

    def __init__(self, config: uvicorn.Config, *, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        return self._stop.is_set() or await super().on_tick(counter)


class VaultProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on headers, in bytes and time, and the peer's name."""

    header_s_max = HEADER_S_MAX

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self._await_header()
        self.scope["extensions"] = _peer(self.transport)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._header_came()
        super().on_headers_complete()

    def _count(self, more: int) -> None:
        self._header_bytes += more
        if self._header_bytes > HEADER_BYTES_MAX:
            raise HeaderTooLarge

    def _await_header(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_s_max, self._too_late)

    def _header_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self.transport.abort()


def _protocol(header_s_max: float) -> type[VaultProtocol]:
    # uvicorn takes a class, so a limit reaches it as a class.
    class Limited(VaultProtocol):
        pass

    Limited.header_s_max = header_s_max
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
