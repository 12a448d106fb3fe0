"""Audio at the edge: fetched as mod_httapi fetches it, kept while it plays, and what was heard."""

import io
import re
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from tests.telephony.httapi import NotModelled

RATE_HZ: Final = 8000
SAMPLE_BYTES: Final = 2
CACHE_TTL_S: Final = 300
BRACKETS: Final = re.compile(r"(?P<scheme>https?://)(?:\((?P<said>[^)]*)\))?(?P<rest>.*)")
AGE: Final = re.compile(r"max-age=(\d+)", re.IGNORECASE)


@dataclass
class Heard:
    """A stretch of one file that went to the caller: samples `start` to `stop` of it."""

    file: str
    wav: bytes
    start: int
    stop: int
    at_ms: int
    muted: bool = False
    """While keys of an entry have come and more may follow, silence is sent in its place."""

    @property
    def pcm(self) -> bytes:
        length = (self.stop - self.start) * SAMPLE_BYTES
        if self.muted:
            return bytes(length)
        return samples(self.wav)[self.start * SAMPLE_BYTES :][:length]


@dataclass(frozen=True)
class Kept:
    """A file in the edge's cache."""

    wav: bytes
    until_ms: int
    deleted_on_close: bool


@dataclass
class Sounds:
    """The edge's files. `local` stands for its disk; everything else comes over the client."""

    client: httpx.AsyncClient
    origin: str
    local: Path | None
    heard: list[Heard] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)
    """By address: what is in the cache right now."""
    held_bytes_max: int = 0
    """The most that was in it at once."""

    def address(self, url: str) -> str:
        """What the client is asked for. The edge reaches nothing but its own forwarder."""
        assert url.startswith(f"{self.origin}/"), f"not behind the edge's forwarder: {url}"
        assert "@" not in url, f"a {url} crashes FreeSWITCH, or is taken for credentials"
        return url.removeprefix(self.origin) if self.client.base_url.host else url

    async def open(self, file: str, now_ms: int) -> bytes | None:
        """A WAV file that can be played; None without a reason, as nobody is told one."""
        told = BRACKETS.fullmatch(file)
        if told is None:
            return self._from_disk(file)
        said = dict(each.partition("=")[::2] for each in (told["said"] or "").split(",") if each)
        if unknown := set(said) - {"nohead", "ext"}:
            raise NotModelled(f"({', '.join(sorted(unknown))}) before an address")
        url = told["scheme"] + told["rest"]
        kept = self.kept.get(url)
        if kept is None or kept.until_ms <= now_ms:
            kept = await self._fetch(url, said, now_ms)
        return None if kept is None else _playable(kept.wav)

    def close(self, file: str) -> None:
        """Played to its end, or to the key that stopped it."""
        told = BRACKETS.fullmatch(file)
        url = told["scheme"] + told["rest"] if told else ""
        if url in self.kept and self.kept[url].deleted_on_close:
            del self.kept[url]

    def _from_disk(self, file: str) -> bytes | None:
        if "://" in file or file.startswith(("{", "phrase:", "say:")):
            raise NotModelled(f"to play {file}")
        path = None if self.local is None else self.local / file.lstrip("/")
        return _playable(path.read_bytes()) if path is not None and path.is_file() else None

    async def _fetch(self, url: str, said: dict[str, str], now_ms: int) -> Kept | None:
        address = self.address(url)
        kind = said.get("ext") or _suffix(url)
        if said.get("nohead") != "true":
            head = await _answer(self.client, "HEAD", address)
            if head is None or head[0].status_code != httpx.codes.OK:
                return None
            named = head[0].headers.get("content-type", "")
            kind = kind or ("wav" if named in {"audio/wav", "audio/x-wav"} else "")
        got = await _answer(self.client, "GET", address)
        if got is None or got[0].status_code != httpx.codes.OK or kind != "wav":
            return None
        control = got[0].headers.get("cache-control", "").lower()
        age = AGE.search(control)
        ttl_s = min(int(age[1]), CACHE_TTL_S) if age else CACHE_TTL_S
        goes = "no-store" in control or "no-cache" in control
        kept = Kept(got[1], now_ms + ttl_s * 1000, goes)
        self.kept[url] = kept
        held = sum(len(each.wav) for each in self.kept.values())
        self.held_bytes_max = max(self.held_bytes_max, held)
        if _playable(kept.wav) is None:
            del self.kept[url]
            return None
        return kept


async def _answer(
    client: httpx.AsyncClient, method: str, address: str
) -> tuple[httpx.Response, bytes] | None:
    """The whole of an answer, or its stump: whether it was cut is nothing that is looked at."""
    body = b""
    response = None
    headers = {"User-Agent": "mod_httapi/1.0"}
    try:
        async with client.stream(
            method, address, headers=headers, follow_redirects=True
        ) as response:
            async for piece in response.aiter_bytes():
                body += piece
    except httpx.TransportError:
        if response is None:
            return None
    return response, body


def _suffix(url: str) -> str:
    """What stands behind the last dot, if that is behind the last slash."""
    name = url.rpartition("/")[2]
    return name.rpartition(".")[2].partition("?")[0] if "." in name else ""


def _playable(wav: bytes) -> bytes | None:
    """The file, if a player could open it. Cut short it still opens, and ends early."""
    try:
        with wave.open(io.BytesIO(wav)) as opened:
            shape = opened.getframerate(), opened.getnchannels(), opened.getsampwidth()
    except (wave.Error, EOFError):
        return None
    if shape != (RATE_HZ, 1, SAMPLE_BYTES):
        raise NotModelled(f"a file of {shape}: positions drift unless it is 8 kHz, mono, 16 bit")
    return wav


def samples(wav: bytes) -> bytes:
    """The samples that are there, whatever the header promises."""
    with wave.open(io.BytesIO(wav)) as opened:
        pcm = opened.readframes(opened.getnframes())
    return pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES]
