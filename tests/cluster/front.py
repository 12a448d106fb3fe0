"""The way into a cluster: public prefixes to public ports, round robin, and the internal doors.

What an ingress does, as a transport of httpx: chooses the service by the first part of the path
and one of its replicas in turn, and passes everything else on as it is.
"""

import itertools
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from tests.cluster.replica import Replica
from tests.cluster.strangers import stranger_certificate
from tests.engines.certificates import certificate

BASE_URL = "https://vault.internal"
INTERNAL = "/internal/"
TIMEOUT_S = 60.0
LOCAL = "127.0.0.1"
CALLED_BY_NOBODY = frozenset({"portal", "backup"})
"""They have no internal port."""
VISITED_BY_NOBODY = "backup"
"""It has no public port."""
HOME = "portal"
"""Who is asked by somebody who just types the host."""
ELSEWHERE = "auth"
"""Who is asked for a path that belongs to nobody: an answer should come from a real door."""


class Doors:
    """Where each service's replicas listen, and what to trust there. One for all clients."""

    def __init__(
        self,
        replicas: Mapping[str, Sequence[Replica]],
        *,
        public_authority: Path,
        certificates: Path,
    ) -> None:
        self.replicas = replicas
        self.certificates = certificates
        self._public_authority = public_authority
        self._turns = {service: itertools.cycle(there) for service, there in replicas.items()}
        self._trusted: dict[str, ssl.SSLContext] = {}

    def next(self, service: str) -> Replica:
        """The replica whose turn it is, whether it is there or not: the next try finds another."""
        return next(self._turns[service])

    def service_of(self, path: str) -> str:
        """By the first part of the path, as it was sent."""
        plain = path.split("?", maxsplit=1)[0]
        if plain == "/":
            return HOME
        first = plain.split("/")[1] if plain.startswith("/") else ""
        known = first in self.replicas and first != VISITED_BY_NOBODY
        return first if known else ELSEWHERE

    def public_trust(self, peer: str | None = None) -> ssl.SSLContext:
        """For the public ports; with a peer, showing a certificate that nobody asks for."""
        return self._context(self._public_authority, peer)

    def internal_trust(self, peer: str | None) -> ssl.SSLContext:
        """As the named service, or as somebody without a certificate."""
        return self._context(self.certificates / "ca.pem", peer)

    def _shown_by(self, peer: str) -> Path:
        if "," in peer:
            return stranger_certificate(self.certificates, peer)
        return certificate(self.certificates, peer)

    def _context(self, authority: Path, peer: str | None) -> ssl.SSLContext:
        name = f"{authority} {peer}"
        if name not in self._trusted:
            context = ssl.create_default_context(cafile=str(authority))
            if peer is not None:
                context.load_cert_chain(self._shown_by(peer))
            self._trusted[name] = context
        return self._trusted[name]


class Front(httpx.AsyncBaseTransport):
    """Carries requests to the cluster: as nobody to the public ports, as a peer to the internal.

    `address` is where the client calls from (127.…), as throttles see it.
    """

    def __init__(
        self,
        doors: Doors,
        *,
        peer: str | None = None,
        address: str = LOCAL,
        public_only: bool = False,
    ) -> None:
        self._doors = doors
        self._peer = peer
        self._public_only = public_only
        self._public = _wire(doors.public_trust(peer if public_only else None), address)
        self._internal = _wire(doors.internal_trust(peer), address)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path
        path = target.decode("ascii")
        replica = self._doors.next(self._doors.service_of(path))
        asks_inside = self._peer is not None or INTERNAL in path.split("?")[0]
        closed = self._public_only or replica.service in CALLED_BY_NOBODY
        inside = asks_inside and not closed
        port = replica.internal if inside else replica.public
        # Host and path stay as they were sent; only the connection goes elsewhere.
        request.extensions = {
            **request.extensions,
            "target": target,
            "sni_hostname": f"{replica.service}.voicefile.internal" if inside else "localhost",
        }
        sent = httpx.Request(
            request.method,
            request.url.copy_with(host=LOCAL, port=port, raw_path=b"/"),
            headers=request.headers.raw,
            stream=request.stream,
            extensions=request.extensions,
        )
        wire = self._internal if inside else self._public
        if not (inside and self._peer is None):
            return await wire.handle_async_request(sent)
        try:
            return await wire.handle_async_request(sent)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # The server ended the handshake for want of a certificate; TLS 1.3 tells its client
            # so with the first bytes it reads, or by hanging up.
            return _not_let_in(request)

    async def aclose(self) -> None:
        await self._public.aclose()
        await self._internal.aclose()


def _wire(trusted: ssl.SSLContext, address: str) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    return httpx.AsyncHTTPTransport(
        verify=trusted, local_address=address, trust_env=False, limits=limits
    )


def _not_let_in(request: httpx.Request) -> httpx.Response:
    """What a handshake without a certificate comes to: nobody was let in, no byte was read."""
    return httpx.Response(httpx.codes.UNAUTHORIZED, request=request)


def client(
    doors: Doors,
    *,
    peer: str | None = None,
    address: str = LOCAL,
    public_only: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> httpx.AsyncClient:
    """A client of the whole cluster; with `public_only`, of its public ports, whoever it is."""
    transport = Front(doors, peer=peer, address=address, public_only=public_only)
    return httpx.AsyncClient(transport=transport, base_url=BASE_URL, timeout=timeout_s)
