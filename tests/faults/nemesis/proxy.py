"""A TCP proxy that misbehaves on command, and knows which process it has on the line.

It stands before an engine or a service; TLS goes through it unread. A rule holds for everybody or
for one caller, so one proxy per door is a proxy between every pair. Rules count at once, for the
connections there are as well as for new ones.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

PIECE_BYTES = 64 * 1024
STRANGER = "?"
UNHEARD_S = 2.0
"""How long the other side of a cut connection may go on with what it was asked."""
_AT_ONCE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Rule:
    """What happens to a caller's bytes."""

    latency_s: float = 0.0
    """Each piece is late by this, in both directions."""
    bytes_per_s: float | None = None
    refused: bool = False
    """Connections are reset, those there are and those to come."""
    blackhole: bool = False
    """Nothing gets through and nobody is told: what a partition looks like from both sides."""
    deaf: bool = False
    """Half open: what the caller says arrives, and no answer comes back."""
    cut_after_bytes: int | None = None
    """After as many bytes of the caller's the connection is reset, and the answer never came.

    The bytes arrived: whether what they asked for was done nobody can tell.
    """


PASSES = Rule()


@dataclass(eq=False)
class Line:
    """One connection through the proxy."""

    who: str
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    asked_bytes: int = 0
    """What the caller has said since the rule changed."""
    cut: bool = False

    def hang_up(self):
        """RST to the caller; the other side has heard everything and does not know yet."""
        self.cut = True
        _abort(self.near)

    def reset(self):
        """RST to both sides: whatever was on its way is lost."""
        self.hang_up()
        if self.far is not None:
            _abort(self.far)


def _abort(writer):
    if writer.transport.is_closing():
        return
    with contextlib.suppress(OSError):
        plain = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


class Proxy:
    """Stands before one door. `whose` names a caller by the ports it calls from and to."""

    def __init__(
        self,
        name: str,
        target: int,
        *,
        port: int = 0,
        whose: Callable[[int, int], str] = lambda _near, _door: STRANGER,
    ) -> None:
        self.name = name
        self.port = port
        self.carried: dict[str, int] = {}
        """Bytes by caller, both directions: a proxy nobody uses proves nothing."""
        self._target = target
        self._whose = whose
        self._rules: dict[str, Rule] = {}
        self._usual = PASSES
        self._changed = asyncio.Event()
        self._lines: set[Line] = set()
        self._shut = False
        """Nobody was behind the door the last time."""
        self._server = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._carry, "127.0.0.1", self.port, limit=PIECE_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        while self._lines:
            self.reset()
            await asyncio.sleep(0.01)
        await self._server.wait_closed()

    def rule(self, rule: Rule, *, who: str | None = None) -> None:
        """From now on, for everybody, or for the callers whose names begin with `who`."""
        if who is None:
            self._usual = rule
        else:
            self._rules[who] = rule
        for line in self._lines:
            line.asked_bytes = 0
        if rule.refused:
            self.reset(who=who)
        self._turn()

    def heal(self) -> None:
        """Everything passes again. Who waited in a blackhole goes on."""
        self._usual, self._rules = PASSES, {}
        self._turn()

    def reset(self, *, who: str | None = None) -> int:
        """Cuts the connections there are; answers how many."""
        lines = [line for line in self._lines if who is None or line.who.startswith(who)]
        for line in lines:
            line.reset()
        self._turn()
        return len(lines)

    def holds(self, who: str) -> Rule:
        """The rule for this caller: that of the longest beginning of its name, or the usual."""
        fitting = [name for name in self._rules if who.startswith(name)]
        return self._rules[max(fitting, key=len)] if fitting else self._usual

    def _turn(self):
        self._changed.set()
        self._changed = asyncio.Event()

    async def _carry(self, reader, writer):
        line = Line(STRANGER, writer)
        self._lines.add(line)
        try:
            # Who knocks is dear to find out, and a closed door is knocked at all the time.
            answers = await self._reach(line) if self._shut else None
            line.who = self._whose(writer.get_extra_info("peername")[1], self.port)
            if self.holds(line.who).refused:
                line.reset()
                return
            await self._until(line, lambda rule: not rule.blackhole)
            answers = answers or await self._reach(line)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(line, reader))
                both.create_task(self._answer(line, answers))
        except* OSError:
            line.reset()
        finally:
            self._lines.discard(line)
            for each in (line.near, line.far):
                if each is not None:
                    await _closed(each)

    async def _reach(self, line):
        try:
            answers, line.far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            self._shut = True
            raise
        self._shut = False
        return answers

    async def _ask(self, line, reader):
        while piece := await reader.read(PIECE_BYTES):
            await self._delay(line, piece, lambda rule: not rule.blackhole)
            line.far.write(piece)
            await line.far.drain()
            self._count(line, piece)
            line.asked_bytes += len(piece)
            limit = self.holds(line.who).cut_after_bytes
            if limit is not None and line.asked_bytes >= limit:
                line.hang_up()
                # What was asked for may well be done now, to nobody's knowledge.
                await asyncio.sleep(UNHEARD_S)
                line.reset()
                return
        if not line.cut:
            line.far.write_eof()

    async def _answer(self, line, answers):
        while piece := await answers.read(PIECE_BYTES):
            if line.cut:
                continue
            await self._delay(line, piece, lambda rule: not (rule.blackhole or rule.deaf))
            line.near.write(piece)
            await line.near.drain()
            self._count(line, piece)
        if not line.cut:
            line.near.write_eof()

    def _count(self, line, piece):
        self.carried[line.who] = self.carried.get(line.who, 0) + len(piece)

    async def _delay(self, line, piece, passes):
        rule = self.holds(line.who)
        late_s = rule.latency_s + (len(piece) / rule.bytes_per_s if rule.bytes_per_s else 0)
        if late_s:
            await asyncio.sleep(late_s)
        await self._until(line, passes)

    async def _until(self, line, passes):
        while not line.cut and not passes(self.holds(line.who)):
            await self._changed.wait()
        if line.cut:
            raise ConnectionResetError


async def _closed(writer):
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
