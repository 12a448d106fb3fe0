"""Certificates that change while they are used: files are looked at again and taken over whole."""

import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from voicefile.chassis.stack import where_it_broke

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How often files are looked at, at most; a handshake costs far more than a look."""


class Renewing:
    """A TLS context made of files, and made anew when one of them has changed.

    A new context each time, not a changed one: no authority can be taken out of a context again,
    and files that are half written must not spoil the one in use.
    """

    def __init__(
        self,
        make: Callable[[], ssl.SSLContext],
        *,
        files: Sequence[Path],
        look_every_s: float = LOOK_EVERY_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises OSError if they can't be used now."""
        self._make = make
        self._files = tuple(files)
        self._look_every_s = look_every_s
        self._monotonic = monotonic
        # Looked at before they are read: what changes in between is read again.
        self._used = self._refused = self._state()
        self._context = make()
        self._looked_s = monotonic()

    def current(self) -> ssl.SSLContext:
        """The context of the files as they are now, or as they were when they last fitted."""
        now_s = self._monotonic()
        if now_s - self._looked_s >= self._look_every_s:
            self._looked_s = now_s
            self._look()
        return self._context

    def _look(self) -> None:
        found = self._state()
        if found == self._used:
            return
        try:
            self._context = self._make()
        except (OSError, ValueError) as error:
            # Half written, or a key that is not the certificate's: looked at again until it fits.
            if found != self._refused:
                log.warning("certificates_refused", **where_it_broke(error))
            self._refused = found
            return
        self._used = found
        log.info("certificates_renewed")

    def _state(self) -> tuple[object, ...]:
        return tuple(_state(path) for path in self._files)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class RenewedContext(ssl.SSLContext):
    """For a client library that keeps one context: each connection is made by the current one."""

    _renewing: Renewing

    @classmethod
    def of(cls, renewing: Renewing) -> "RenewedContext":
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context._renewing = renewing
        return context

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self._renewing.current().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return self._renewing.current().wrap_socket(*args, **kwargs)


def in_front_of(renewing: Renewing, first: ssl.SSLContext) -> ssl.SSLContext:
    """`first`, for a server that keeps one context: each handshake goes on with the current one."""

    def choose(
        connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _asked: ssl.SSLContext
    ) -> None:
        connection.context = renewing.current()

    first.sni_callback = choose
    return first
