"""A root key in a transit engine of OpenBao or Vault: its keys are made there and never leave.

One transit key per version, `voicefile-<version>`, AES-256-GCM, not exportable and not to be
backed up in clear; destroying a version deletes its key. What is left of a destroyed key are the
engine's own backups, sealed by the engine: let them live no longer than an epoch may.

Each service has a mount and a token of its own. The token needs the rights of
deploy/compose/openbao/voicefile.hcl and no others: above all no `create` on encrypt, which would
make a missing key anew. It is a periodic token; `keep_token` renews it.
"""

import asyncio
import base64
import binascii
import contextlib
import re
import secrets
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from voicefile.crypto.envelope import ID_BYTES, Context, Kind
from voicefile.crypto.errors import Malformed, Reason, Tampered
from voicefile.crypto.primitives import AES_NONCE, TAG
from voicefile.crypto.rootkey import RootUnavailable, VersionGone
from voicefile.crypto.secret import KEY_BYTES, SecretKey

ASKED_MAX: Final = 8
"""Questions at a time; more would wait at the engine, with their time running."""
TRY_S_MAX: Final = 10.0
TRIES: Final = 2
"""The second, after a lost connection, finds a kept one that the server had closed."""
READY_S_MAX: Final = 1.5
RENEW_S_MAX: Final = 3600.0
"""A token is renewed at half its life, and at least so often: who is refused is told early."""
RETRY_S: Final = 10.0
_PREFIX: Final = "voicefile-"
_VERSION: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CIPHERTEXT: Final = re.compile(r"vault:v([1-9]\d{0,8}):([A-Za-z0-9+/=]+)", re.ASCII)
_SEALED_BYTES: Final = AES_NONCE + KEY_BYTES + TAG
_WRAPPED: Final = struct.Struct(f">I{_SEALED_BYTES}s")
_MISSING: Final = httpx.codes.NOT_FOUND
_TOO_OLD: Final = "disallowed by policy"
"""What the engine says of what an operator's minimal version keeps it from opening."""


@dataclass(frozen=True)
class _Answer:
    status: int
    content: dict[str, Any]

    @property
    def missing(self) -> bool:
        """No key there. 404 alone is said of a missing mount, too, and that gives a reason."""
        return self.status == _MISSING and self.content.get("errors") == []

    @property
    def refused(self) -> bool:
        return self.status == httpx.codes.BAD_REQUEST

    @property
    def data(self) -> dict[str, Any]:
        found = self.content.get("data")
        return found if isinstance(found, dict) else {}


class TransitRootKey:
    """The RootKey port over one mount. The client brings address, trust and token."""

    def __init__(self, client: httpx.AsyncClient, *, mount: str = "transit") -> None:
        self._client = client
        self._mount = mount.strip("/")
        self._asking = asyncio.Semaphore(ASKED_MAX)

    async def create_version(self) -> str:
        version = secrets.token_hex(ID_BYTES)
        # That it can't leave is the default, and the token has no right to say anything of it.
        answer = await self._ask("POST", f"keys/{_PREFIX}{version}", {"type": "aes256-gcm96"})
        self._done(answer)
        if answer.data.get("exportable") or answer.data.get("allow_plaintext_backup"):
            raise RootUnavailable("the transit engine made a key that can leave it")
        return version

    async def destroy_version(self, version: str) -> None:
        if not _VERSION.fullmatch(version):
            return
        key = f"keys/{_PREFIX}{version}"
        for method, path, body in (
            ("POST", f"{key}/config", {"deletion_allowed": True}),
            ("DELETE", key, None),
        ):
            answer = await self._ask(method, path, body)
            # Of what is not there it says 400, as of much else.
            if answer.refused and await self._is_gone(version):
                return
            self._done(answer)

    async def versions(self) -> list[str]:
        answer = await self._ask("LIST", "keys")
        if answer.missing:
            return []
        self._done(answer)
        keys = [key for key in answer.data.get("keys", []) if key.startswith(_PREFIX)]
        names = [key.removeprefix(_PREFIX) for key in keys]
        return sorted(name for name in names if _VERSION.fullmatch(name))

    async def wrap(self, version: str, key: SecretKey, *, context: bytes) -> bytes:
        # Looked up first: with a token that may do more than it should, encrypting under a
        # destroyed version would bring its name back to life.
        if await self._is_gone(version):
            raise VersionGone("no such version")
        answer = await self._ask(
            "POST",
            f"encrypt/{_PREFIX}{version}",
            {"plaintext": _text(key.expose()), "associated_data": _bound(version, context)},
        )
        self._done(answer)
        matched = _CIPHERTEXT.fullmatch(str(answer.data.get("ciphertext")))
        sealed = b"" if matched is None else _bytes(matched[2])
        if matched is None or len(sealed) != _SEALED_BYTES:
            raise RootUnavailable("the transit engine answers in an unknown form")
        return _WRAPPED.pack(int(matched[1]), sealed)

    async def unwrap(self, version: str, wrapped: bytes, *, context: bytes) -> SecretKey:
        if not _VERSION.fullmatch(version):
            raise VersionGone("no such version")
        answer = await self._ask(
            "POST",
            f"decrypt/{_PREFIX}{version}",
            {"ciphertext": _ciphertext(wrapped), "associated_data": _bound(version, context)},
        )
        if answer.refused:
            if await self._is_gone(version):
                raise VersionGone("no such version")
            if _TOO_OLD in str(answer.content.get("errors")):
                raise RootUnavailable("the transit engine may not open what is that old")
            raise Tampered(Reason.BOX)
        self._done(answer)
        try:
            return SecretKey(_bytes(str(answer.data.get("plaintext"))))
        except Malformed:
            raise Tampered(Reason.SIZE) from None

    async def ready(self) -> bool:
        try:
            async with asyncio.timeout(READY_S_MAX):
                await self.versions()
        except (RootUnavailable, TimeoutError):
            return False
        return True

    async def keep_token(
        self,
        told: Callable[[str], None],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Renews the client's token for ever; ends where there is nothing to renew.

        `told` gets a code when something is wrong: `token-not-renewable` (it will end, and so
        does this), `token-shortened` (its end comes nearer in spite of renewals),
        `token-not-renewed` (refused or out of reach; tried again).
        """
        last_s = 0.0
        while True:
            try:
                left_s, renewable = await self._token_life()
                if left_s == 0:
                    return
                if not renewable:
                    told("token-not-renewable")
                    return
                renewed_s = await self._renew_token()
            except RootUnavailable:
                told("token-not-renewed")
                await sleep(RETRY_S)
                continue
            if renewed_s < last_s:
                told("token-shortened")
            last_s = renewed_s
            await sleep(min(renewed_s / 2, RENEW_S_MAX))

    async def _token_life(self) -> tuple[float, bool]:
        """Seconds to live (0: no end), and whether they can be renewed."""
        answer = await self._ask("GET", "lookup-self", mount="auth/token")
        self._done(answer)
        return float(answer.data.get("ttl", 0)), bool(answer.data.get("renewable"))

    async def _renew_token(self) -> float:
        answer = await self._ask("POST", "renew-self", mount="auth/token")
        self._done(answer)
        return float((answer.content.get("auth") or {}).get("lease_duration", 0))

    async def _is_gone(self, version: str) -> bool:
        if not _VERSION.fullmatch(version):
            return True
        answer = await self._ask("GET", f"keys/{_PREFIX}{version}")
        if not answer.missing:
            self._done(answer)
        return answer.missing

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, mount: str = ""
    ) -> _Answer:
        """Every question is safe to ask twice: a version's name is chosen here."""
        said = await self._sent(method, f"/v1/{mount or self._mount}/{path}", body)
        if said is None:
            # Raised here and not where it was caught: an httpx error holds its request, and that
            # one the token.
            raise RootUnavailable("the transit engine is out of reach")
        content = None
        with contextlib.suppress(ValueError):
            content = said.json() if said.content else {}
        return _Answer(said.status_code, content if isinstance(content, dict) else {})

    async def _sent(
        self, method: str, where: str, body: dict[str, Any] | None
    ) -> httpx.Response | None:
        for _ in range(TRIES):
            try:
                async with self._asking, asyncio.timeout(TRY_S_MAX):
                    return await self._client.request(method, where, json=body)
            except (httpx.TimeoutException, TimeoutError):
                return None
            except httpx.TransportError:
                continue
        return None

    @staticmethod
    def _done(answer: _Answer) -> None:
        if answer.status not in {httpx.codes.OK, httpx.codes.NO_CONTENT}:
            # Sealed, a standby, a token without the right, a mount that is not there.
            raise RootUnavailable(f"the transit engine answers {answer.status}")


def _bound(version: str, context: bytes) -> str:
    bound = Context(b"root", "", context, Kind.WRAPPED_KEY, version.encode("ascii"))
    return _text(bound.encode())


def _ciphertext(wrapped: bytes) -> str:
    """As the engine wrote it; of several spellings that it takes, the one and only. Tampered."""
    if len(wrapped) != _WRAPPED.size:
        raise Tampered(Reason.SIZE)
    number, sealed = _WRAPPED.unpack(wrapped)
    if not number:
        # It would open v0 as v1.
        raise Tampered(Reason.BOX)
    return f"vault:v{number}:{_text(sealed)}"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
