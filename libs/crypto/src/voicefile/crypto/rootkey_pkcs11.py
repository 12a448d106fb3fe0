"""A root key in a PKCS#11 token: its keys are made in the token, and can't be read out of it.

One AES-256 key per version, labelled `voicefile-<version>`, used with GCM; destroying a version
destroys its object. A key more, `voicefile-mark`, is made with the first version: without it
nothing is called gone. A token whose storage is not mounted finds no key either, and a version
that is gone means that what hung on it is erased.

A module is used from one thread of the process and initialised once, as PKCS#11 wants it for
callers without locks. It does not survive a fork: the child's calls are refused. A PIN that was
wrong once is not tried again, or a probe every second would lock the token.
"""

import asyncio
import functools
import os
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import (
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
)

from voicefile.crypto.envelope import ID_BYTES, Context, Kind
from voicefile.crypto.errors import Reason, Tampered
from voicefile.crypto.primitives import AES_NONCE, TAG
from voicefile.crypto.rootkey import RootUnavailable, VersionGone
from voicefile.crypto.secret import KEY_BYTES, SecretKey, SecretText

CALL_S_MAX: Final = 10.0
"""A token that needs longer is out of reach; calls that had not begun by then are dropped."""
READY_S_MAX: Final = 1.5
_BITS: Final = 8 * KEY_BYTES
_PREFIX: Final = "voicefile-"
_MARK: Final = _PREFIX + "mark"
_VERSION: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_WRAPPED_BYTES: Final = AES_NONCE + KEY_BYTES + TAG
_USES: Final = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
_STAYS: Final = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
    Attribute.COPYABLE: False,
}
_OURS: Final = {
    Attribute.CLASS: ObjectClass.SECRET_KEY,
    Attribute.KEY_TYPE: KeyType.AES,
    Attribute.TOKEN: True,
}

T = TypeVar("T")
Session = Any
Key = Any
"""The library's own types leave out what it adds to a key by what the key can do."""


class Pkcs11RootKey:
    """The RootKey port over one token of one module."""

    def __init__(self, module: Path, token_label: str, pin: SecretText) -> None:
        self._module = str(module)
        self._token = _Token(self._module, token_label, pin)

    async def create_version(self) -> str:
        return await self._call(self._token.create)

    async def destroy_version(self, version: str) -> None:
        if _VERSION.fullmatch(version):
            await self._call(lambda: self._token.destroy(version))

    async def versions(self) -> list[str]:
        return await self._call(self._token.versions)

    async def wrap(self, version: str, key: SecretKey, *, context: bytes) -> bytes:
        return await self._call(lambda: self._token.wrap(version, key, context))

    async def unwrap(self, version: str, wrapped: bytes, *, context: bytes) -> SecretKey:
        return await self._call(lambda: self._token.unwrap(version, wrapped, context))

    async def ready(self) -> bool:
        try:
            await self._call(self._token.look, s_max=READY_S_MAX)
        except RootUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Logs out. The module stays loaded: others of this process may use it."""
        await self._call(self._token.leave)

    async def _call(self, work: Callable[[], T], *, s_max: float = CALL_S_MAX) -> T:
        thread = _thread_of(self._module, os.getpid())
        future = asyncio.get_running_loop().run_in_executor(thread, work)
        # Looked at in any case, so that asyncio does not report it as never retrieved.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait((future,), timeout=s_max)
        if not future.done():
            future.cancel()
            raise RootUnavailable("the token does not answer")
        return future.result()


class _Token:
    """What is done in the module's thread. Raises what the port raises."""

    def __init__(self, module: str, label: str, pin: SecretText) -> None:
        self._module = module
        self._label = label
        self._pin = pin
        self._pin_refused = False
        self._session: Session | None = None
        self._opened_by = os.getpid()

    def create(self) -> str:
        version = secrets.token_hex(ID_BYTES)

        def make(session: Session) -> None:
            if not _keys(session, _MARK):
                _make(session, _MARK, b"")
            # Of a first try in a session that broke: two of one label would get mixed up.
            for half_made in _keys(session, _PREFIX + version):
                half_made.destroy()
            _make(session, _PREFIX + version, bytes.fromhex(version))

        self._use(make)
        return version

    def destroy(self, version: str) -> None:
        def unmake(session: Session) -> None:
            for key in _keys(session, _PREFIX + version):
                key.destroy()
            self._expect_mark(session)

        self._use(unmake)

    def versions(self) -> list[str]:
        def found(session: Session) -> list[str]:
            # All of it at once: a search that is dropped half-way keeps the session busy.
            return [str(key.label) for key in list(session.get_objects(_OURS))]

        labels = self._use(found)
        if not labels:
            self.look()
        names = [label.removeprefix(_PREFIX) for label in labels if label.startswith(_PREFIX)]
        return sorted(name for name in names if _VERSION.fullmatch(name))

    def wrap(self, version: str, key: SecretKey, context: bytes) -> bytes:
        nonce = secrets.token_bytes(AES_NONCE)
        how = _gcm(nonce, version, context)
        sealed = self._use(
            lambda session: bytes(self._key(session, version).encrypt(key.expose(), **how))
        )
        if len(sealed) != KEY_BYTES + TAG:
            raise RootUnavailable("the token seals in an unknown form")
        return nonce + sealed

    def unwrap(self, version: str, wrapped: bytes, context: bytes) -> SecretKey:
        def open_it(session: Session) -> bytes:
            under = self._key(session, version)
            if len(wrapped) != _WRAPPED_BYTES:
                raise Tampered(Reason.SIZE)
            how = _gcm(wrapped[:AES_NONCE], version, context)
            try:
                return bytes(under.decrypt(wrapped[AES_NONCE:], **how))
            except PKCS11Error:
                # Modules have a dozen words for a tag that does not fit, and some have the same
                # word for a broken token. If the key opens what it sealed just now, it's the tag.
                _try_out(under)
                raise Tampered(Reason.BOX) from None

        return SecretKey(self._use(open_it))

    def look(self) -> None:
        """Asks the token itself, not what the module remembers of it."""
        if self._session is None:
            self._use(lambda _session: None)
        try:
            self._present()
        except PKCS11Error as error:
            self._give_up()
            raise RootUnavailable("the token is away") from error

    def leave(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(PKCS11Error):
                session.close()

    def _use(self, work: Callable[[Session], T]) -> T:
        """Does it, and does it again in a new session if the kept one is of no use any more."""
        if os.getpid() != self._opened_by:
            raise RootUnavailable("a token is not used across a fork")
        kept = self._session is not None
        try:
            return work(self._opened())
        except PKCS11Error as error:
            self.leave()
            if not kept:
                self._give_up()
                raise RootUnavailable(f"the token refuses: {type(error).__name__}") from error
        return self._use(work)

    def _opened(self) -> Session:
        if self._session is None:
            if self._pin_refused:
                raise RootUnavailable("the token refused the PIN; it is not tried again")
            token = self._present()
            try:
                self._session = token.open(rw=True, user_pin=self._pin.expose())
            except UserAlreadyLoggedIn:
                # By another one of this process: who is logged in is the process.
                self._session = token.open(rw=True)
            except (PinIncorrect, PinInvalid, PinLenRange, PinLocked) as error:
                self._pin_refused = True
                raise RootUnavailable("the token refuses the PIN") from error
        return self._session

    def _present(self) -> pkcs11.Token:
        if not Path(self._module).is_file():
            raise RootUnavailable(f"there is no PKCS#11 module {self._module}")
        try:
            module = pkcs11.lib(self._module)
        except PKCS11Error as error:
            raise RootUnavailable(f"{self._module} can't be used as PKCS#11 module") from error
        return module.get_token(token_label=self._label)

    def _give_up(self) -> None:
        """The next call initialises the module anew: some never find a token that came back."""
        self.leave()
        with suppress(PKCS11Error):
            pkcs11.lib(self._module).finalize()

    def _key(self, session: Session, version: str) -> Key:
        if not _VERSION.fullmatch(version):
            raise VersionGone("no such version")
        keys = _keys(session, _PREFIX + version)
        if not keys:
            self._expect_mark(session)
            raise VersionGone("no such version")
        return keys[0]

    def _expect_mark(self, session: Session) -> None:
        if not _keys(session, _MARK):
            self._give_up()
            raise RootUnavailable("the token has never had a version of ours, or is away")


@functools.cache
def _thread_of(module: str, process: int) -> ThreadPoolExecutor:
    """The one thread of this process that calls the module."""
    return ThreadPoolExecutor(1, thread_name_prefix=f"{Path(module).stem}-{process}")


def _keys(session: Session, label: str) -> list[Key]:
    return list(session.get_objects({**_OURS, Attribute.LABEL: label}))


def _make(session: Session, label: str, key_id: bytes) -> None:
    key = session.generate_key(
        KeyType.AES, _BITS, id=key_id, label=label, store=True, capabilities=_USES, template=_STAYS
    )
    if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
        key.destroy()
        raise RootUnavailable("the token makes keys that can leave it")


def _try_out(key: Key) -> None:
    how = _gcm(secrets.token_bytes(AES_NONCE), "0" * 32, b"")
    probe = secrets.token_bytes(KEY_BYTES)
    if bytes(key.decrypt(key.encrypt(probe, **how), **how)) != probe:
        raise RootUnavailable("the token does not open what it sealed")


def _gcm(nonce: bytes, version: str, context: bytes) -> dict[str, object]:
    bound = Context(b"root", "", context, Kind.WRAPPED_KEY, version.encode("ascii"))
    parameters = GCMParams(nonce=nonce, aad=bound.encode(), tag_bits=8 * TAG)
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": parameters}
