"""A telephone: dials an edge by SIPS, speaks SRTP, presses keys, and remembers all it heard.

async with Phone(edge, "+493012345") as phone:
    assert await phone.dial("+49800123456") == 200
    await phone.press("12345678#")                 # RFC 4733; info=True: by SIP INFO
    await phone.wait(5)
phone.heard                                        # packets: when, and which A-law samples
"""

import asyncio
import random
import struct
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Self

from tests.telephony.real.edge import Edge
from tests.telephony.real.sip import Dialogue
from tests.telephony.real.srtp import SUITE, Stream, new_secret

PACKET_S: Final = 0.02
PACKET_SAMPLES: Final = 160
ALAW: Final = 8
EVENT: Final = 101
SILENCE: Final = b"\xd5" * PACKET_SAMPLES
KEY_PACKETS: Final = 4
"""80 ms of a key that is pressed, and three packets more that say it is over."""
END_PACKETS: Final = 3


@dataclass(frozen=True)
class Packet:
    """20 ms of what was heard."""

    at_s: float
    number: int
    kind: int
    sound: bytes


class Phone:
    """One caller with one call."""

    def __init__(
        self,
        edge: Edge,
        caller: str,
        *,
        encrypted: bool = True,
        secure: bool = True,
        info: bool = False,
        near: str = "127.0.0.1",
    ) -> None:
        self._edge, self._caller, self._address = edge, caller, near
        self._encrypted, self._secure, self._info = encrypted, secure, info
        self._raw: list[tuple[float, bytes]] = []
        self._opened: list[Packet] = []
        self._secret = new_secret()
        self._out = Stream(self._secret)
        self._in: Stream | None = None
        self._source = random.getrandbits(32)
        self._number = random.getrandbits(15)
        self._clock = random.getrandbits(31)
        self._events: deque[bytes] = deque()
        self._pressed_at = 0
        self._ending = False
        self._running = AsyncExitStack()
        self._wire: asyncio.DatagramTransport | None = None
        self._speaking: asyncio.Task[None] | None = None
        self.let_go_s = 0.0
        """When the last key was let go."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    # ---- the call ----

    async def dial(self, dialled: str) -> int:
        """The answer's status. From 200 on it speaks and listens."""
        loop = asyncio.get_running_loop()
        wire, _ = await loop.create_datagram_endpoint(
            lambda: _Ear(self._raw), local_addr=("127.0.0.1", 0)
        )
        self._running.callback(wire.close)
        context, port = self._edge.calls(secure=self._secure)
        self._dialogue = await self._running.enter_async_context(
            Dialogue("127.0.0.1", port, context, self._caller, dialled, near=self._address)
        )
        answer = await self._dialogue.invite(self._offer(wire.get_extra_info("sockname")[1]))
        if answer.status == 200:
            there = _described(answer.body)
            if there.secret:
                self._in = Stream(there.secret)
            self._wire, self._there = wire, ("127.0.0.1", there.port)
            # owned: `hang_up` cancels it.
            self._speaking = asyncio.create_task(self._speak())
        assert answer.status is not None
        return answer.status

    async def hang_up(self) -> None:
        """Whether or not the other end has."""
        try:
            if self._speaking is not None and not self._dialogue.gone.is_set():
                await self._dialogue.bye()
        finally:
            if self._speaking is not None:
                self._speaking.cancel()
                await asyncio.wait([self._speaking])
                self._speaking = None
            await self._running.aclose()

    @property
    def over(self) -> bool:
        """The edge has hung up, or is gone."""
        return self._dialogue.gone.is_set()

    async def until_over(self, within_s: float) -> None:
        """Listens until the edge hangs up; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            await self._dialogue.gone.wait()

    async def wait(self, seconds: float) -> None:
        """Listens."""
        await asyncio.sleep(seconds)

    # ---- keys ----

    async def press(self, keys: str, *, gap_s: float = 0.1) -> None:
        """One after the other; returns when the last one was let go."""
        for key in keys:
            if self._info:
                await self._dialogue.info(key, 100)
                self.let_go_s = time.perf_counter()
            else:
                self._events.extend(_event(key))
                while self._events:
                    await asyncio.sleep(PACKET_S / 2)
            await asyncio.sleep(gap_s)

    # ---- sound ----

    @property
    def heard(self) -> list[Packet]:
        """All that came so far, in the order it came."""
        for at_s, raw in self._raw[len(self._opened) :]:
            packet = raw if self._in is None else self._in.opened(raw)
            number = int.from_bytes(packet[2:4], "big")
            self._opened.append(Packet(at_s, number, packet[1] & 0x7F, packet[12:]))
        return self._opened

    @property
    def raw(self) -> list[tuple[float, bytes]]:
        """As it came: encrypted."""
        return self._raw

    async def _speak(self) -> None:
        """Silence, or the key that is pressed, each 20 ms."""
        next_s = time.perf_counter()
        while True:
            if self._events:
                payload, kind = self._events.popleft(), EVENT
            else:
                payload, kind = SILENCE, ALAW
            self._send(payload, kind)
            next_s += PACKET_S
            await asyncio.sleep(max(0, next_s - time.perf_counter()))

    def _send(self, payload: bytes, kind: int) -> None:
        clock = self._clock
        if kind == EVENT:
            # All packets of one key have the time at which it was pressed.
            first = payload[2:] == struct.pack(">H", PACKET_SAMPLES)
            if first:
                self._pressed_at = clock
            clock = self._pressed_at
            kind |= 0x80 * first
            if payload[1] & 0x80 and not self._ending:
                self.let_go_s = time.perf_counter()
            self._ending = bool(payload[1] & 0x80)
        head = struct.pack(">BBHII", 0x80, kind, self._number & 0xFFFF, clock, self._source)
        self._number += 1
        self._clock = (self._clock + PACKET_SAMPLES) & 0xFFFFFFFF
        packet = head + payload
        if self._encrypted:
            packet = self._out.sealed(packet)
        assert self._wire is not None
        self._wire.sendto(packet, self._there)

    def _offer(self, port: int) -> str:
        crypto = [f"a=crypto:1 {SUITE} inline:{self._secret}"] if self._encrypted else []
        profile = "RTP/SAVP" if self._encrypted else "RTP/AVP"
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            f"m=audio {port} {profile} {ALAW} {EVENT}",
            f"a=rtpmap:{ALAW} PCMA/8000",
            f"a=rtpmap:{EVENT} telephone-event/8000",
            f"a=fmtp:{EVENT} 0-15",
            "a=ptime:20",
            *crypto,
            "a=sendrecv",
        ]
        return "\r\n".join([*lines, ""])


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, raw: list[tuple[float, bytes]]) -> None:
        self._raw = raw

    def datagram_received(self, data: bytes, addr: object) -> None:
        # RTCP, if any, comes to another port.
        self._raw.append((time.perf_counter(), data))


@dataclass(frozen=True)
class _There:
    port: int
    secret: str


def _described(body: str) -> _There:
    port, secret = 0, ""
    for line in body.splitlines():
        if line.startswith("m=audio "):
            port = int(line.split()[1])
        elif line.startswith("a=crypto:"):
            assert SUITE in line, line
            secret = line.partition("inline:")[2].split("|")[0].strip()
    return _There(port, secret)


def _event(key: str) -> list[bytes]:
    code = 10 if key == "*" else 11 if key == "#" else int(key)
    spans = [(n + 1) * PACKET_SAMPLES for n in range(KEY_PACKETS)]
    pressed = [struct.pack(">BBH", code, 10, span) for span in spans]
    let_go = struct.pack(">BBH", code, 0x80 | 10, spans[-1] + PACKET_SAMPLES)
    return [*pressed, *[let_go] * END_PACKETS]
