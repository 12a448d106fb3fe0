"""Values that must not be seen: they show no content, compare in constant time, don't travel.

Python can't promise to wipe memory. What these types do promise is that no log line, exception,
dump, cache or copy takes a secret along by accident: whoever wants the value says `expose()`.
"""

import hmac
import secrets
from typing import ClassVar, NoReturn, Self

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC

from voicefile.crypto.errors import Malformed

KEY_BYTES = 32


class Secret:
    """Holds something secret: shows nothing of it and can be neither copied nor pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __copy__(self) -> NoReturn:
        self._refuse()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self._refuse()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self._refuse()

    def __getstate__(self) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is neither copied nor serialised")


class SecretKey(Secret):
    """32 secret bytes."""

    __slots__ = ("__key", "__keyed")
    # A hash would be a fingerprint of the key, and a dict a place to forget it in.
    __hash__: ClassVar[None]  # type: ignore[assignment]  # object declares it as a method

    def __init__(self, key: bytes) -> None:
        if type(key) is not bytes or len(key) != KEY_BYTES:
            raise Malformed(f"a key is {KEY_BYTES} bytes")
        self.__key = key
        self.__keyed: HMAC | None = None

    @classmethod
    def random(cls) -> Self:
        """A new key from the operating system's random source."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def expose(self) -> bytes:
        """The bytes themselves: for an algorithm, never for a log, an event or an answer."""
        return self.__key

    def hmac_sha512(self) -> HMAC:
        """An HMAC-SHA-512 under this key that has read nothing yet.

        To look up the algorithm and take in the key costs more than a short message: done once.
        """
        if self.__keyed is None:
            self.__keyed = HMAC(self.__key, SHA512())
        return self.__keyed.copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretKey):
            return NotImplemented
        return hmac.compare_digest(self.__key, other.__key)


class DataKey(SecretKey):
    """Seals one recording: its audio, renditions and details."""

    __slots__ = ()


class SubjectKey(SecretKey):
    """Seals what is kept about one customer."""

    __slots__ = ()


class SecretText(Secret):
    """A text nobody but its receiver may read: a PIN, an answer, a password."""

    __slots__ = ("__text",)
    __hash__: ClassVar[None]  # type: ignore[assignment]  # object declares it as a method

    def __init__(self, text: str) -> None:
        if type(text) is not str:
            raise Malformed("a secret text is a str")
        self.__text = text

    def expose(self) -> str:
        """The text itself."""
        return self.__text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())
