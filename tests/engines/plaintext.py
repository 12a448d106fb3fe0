"""Finds every TCP port that a process listens on, and tries whether it speaks without TLS.

`listening_ports` says where; `probe` says what is spoken there. A port passes if a TLS handshake
begins with it and nobody who speaks in plain gets an answer.
"""

import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.engines.listening import listening_ports

PATIENCE_S = 2.0
HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
# Of what Kafka and MongoDB speak, questions that are answered without signing in.
KAFKA = struct.pack(">ihhih", 10, 18, 0, 1, -1)
_HELLO = (
    b"\x10hello\x00" + struct.pack("<i", 1) + b"\x02$db\x00" + struct.pack("<i", 6) + b"admin\0"
)
_HELLO = struct.pack("<i", len(_HELLO) + 5) + _HELLO + b"\x00"
MONGO = struct.pack("<iiii", 21 + len(_HELLO), 1, 0, 2013) + struct.pack("<iB", 0, 0) + _HELLO
TLS_ALERT, TLS_HANDSHAKE = 0x15, 0x16


@dataclass(frozen=True)
class Found:
    """What one port had to say."""

    port: int
    tls: str | None
    """The version of TLS it speaks; None if it speaks none."""
    plain: tuple[str, ...]
    """The protocols in which it answered in plain."""

    @property
    def safe(self) -> bool:
        return self.tls is not None and not self.plain


def probe(port: int, host: str = "127.0.0.1") -> Found:
    """Tries TLS, and every plain protocol that an engine or a service of ours might speak."""
    plain = tuple(name for name, answers in PLAIN.items() if answers(host, port))
    return Found(port, tls_version(host, port), plain)


def probe_family(pid: int | None) -> list[Found]:
    """Every port of a process and its children."""
    return [probe(port) for port in sorted(listening_ports(pid))]


def tls_version(host: str, port: int) -> str | None:
    """Whether a TLS handshake begins. Who then asks for our certificate speaks TLS, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Whose certificate it is, is tried elsewhere; here the question is whether there is one.
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((host, port), timeout=PATIENCE_S) as bare,
            context.wrap_socket(bare) as wire,
        ):
            return wire.version()
    except ssl.SSLError as error:
        # An alert is said in TLS: the handshake was heard, and our missing certificate refused.
        return "TLS, refused us" if "ALERT" in (error.reason or "") else None
    except OSError:
        return None


def answer(host: str, port: int, question: bytes) -> bytes:
    """The first bytes that come back; none if it hangs up or says nothing."""
    try:
        with socket.create_connection((host, port), timeout=PATIENCE_S) as wire:
            wire.sendall(question)
            return wire.recv(4096)
    except OSError:
        return b""


def _http(host: str, port: int) -> bool:
    """An answer in plain, unless it only says that TLS is wanted here."""
    said = answer(host, port, HTTP)
    if not said.startswith(b"HTTP/"):
        return False
    # Go's servers say this much in plain and hang up: there is nothing to hear or to say.
    refusal = b"400" in said.split(b"\r\n")[0] and b"HTTP request to an HTTPS server" in said
    return not refusal


def _http2(host: str, port: int) -> bool:
    said = answer(host, port, HTTP2)
    return len(said) >= 9 and said[3] == 4 and said[0] == 0


def _kafka(host: str, port: int) -> bool:
    said = answer(host, port, KAFKA)
    return len(said) >= 8 and said[4:8] == struct.pack(">i", 1)


def _mongo(host: str, port: int) -> bool:
    said = answer(host, port, MONGO)
    return len(said) >= 16 and struct.unpack("<i", said[12:16])[0] == 2013


PLAIN: Mapping[str, Callable[[str, int], bool]] = {
    "HTTP": _http,
    "HTTP/2": _http2,
    "Kafka": _kafka,
    "MongoDB": _mongo,
}


def tell(pids: Mapping[str, int | None]) -> int:
    """A table of all their ports; 1 if any of them is not TLS alone."""
    wrong = 0
    for name, pid in pids.items():
        for found in probe_family(pid):
            wrong += not found.safe
            spoken = f"PLAIN: {', '.join(found.plain)}" if found.plain else "nothing in plain"
            print(f"{name:<10} {found.port:>5}  {found.tls or 'NO TLS':<16} {spoken}")
    return 1 if wrong else 0
