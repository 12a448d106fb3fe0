"""A program: TLS in front of a server that has none, and the server where nobody else gets to it.

    python front.py CERTIFICATE AUTHORITY OUTER:INNER[:ALPN] … -- COMMAND …

Listens on 127.0.0.1:OUTER, moves to a network namespace of its own, and starts the command there:
its plain port 127.0.0.1:INNER exists for this process alone. Where the system refuses a
namespace, the plain port stays on the machine's loopback, and the output says so. With an
AUTHORITY other than "-", callers have to show a certificate of it. Only Python's own library.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import ssl
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
PR_SET_PDEATHSIG = 1
PIECE = 65_536


def move_apart() -> bool:
    """Into a namespace with nothing but its own loopback; sockets that listen already stay."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    return True


def context(certificate: str, authority: str, alpn: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_cert_chain(certificate)
    if authority != "-":
        made.load_verify_locations(authority)
        made.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        made.set_alpn_protocols([alpn])
    return made


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What one side says, to the other, until it has nothing more to say."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()


def answering(inner: int):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to, back = await asyncio.open_connection("127.0.0.1", inner)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(carry(reader, back), carry(to, writer))
        finally:
            back.close()
            writer.close()

    return answer


async def serve(listeners: list[tuple[socket.socket, int, ssl.SSLContext]], command) -> int:
    libc = ctypes.CDLL(None)
    server = await asyncio.create_subprocess_exec(
        *command, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.terminate)
    for listener, inner, tls in listeners:
        await asyncio.start_server(answering(inner), sock=listener, ssl=tls)
    return await server.wait()


def main() -> int:
    certificate, authority, *rest = sys.argv[1:]
    split = rest.index("--")
    listeners = []
    for pair in rest[:split]:
        outer, inner, alpn = (*pair.split(":"), "")[:3]
        listener = socket.create_server(("127.0.0.1", int(outer)))
        listeners.append((listener, int(inner), context(certificate, authority, alpn)))
    if not move_apart():
        print("no namespace to be had: the plain port is on this machine's loopback", flush=True)
    return asyncio.run(serve(listeners, rest[split + 1 :]))


if __name__ == "__main__":
    # The server's end is the front's end; its connections are cut as a kill would cut them.
    os._exit(main() & 0xFF)
