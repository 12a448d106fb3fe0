"""uvloop, for processes that serve: it alone closes the connections it was given.

A library that has connected a socket by itself (to S3, to a document store) hands it over with
`create_connection(sock=...)`. uvloop then closes the descriptor, and takes it away from the socket
object so that this one does not close it again, unless the connection ended while it was being
made. What is left is an object that closes, whenever it is collected, what by then belongs to
somebody else: a customer's connection that was just accepted, or a file.
"""

import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

_T = TypeVar("_T")


class _OwnedByLoop(socket.socket):
    """A socket object that closes nothing when it is collected."""

    def __del__(self) -> None:
        self.detach()


class Loop(uvloop.Loop):
    """Takes sockets over whole: whoever hands one in has none any more."""

    async def create_connection(
        self, *args: Any, sock: socket.socket | None = None, **kwargs: Any
    ) -> Any:
        """As asyncio's."""
        if sock is not None:
            sock = _OwnedByLoop(sock.family, sock.type, sock.proto, fileno=sock.detach())
        return await super().create_connection(*args, sock=sock, **kwargs)


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Runs it to its end on a loop of its own, as `asyncio.run` does."""
    return uvloop.run(main, loop_factory=Loop)
