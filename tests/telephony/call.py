"""A telephone call through an edge, without FreeSWITCH: what mod_httapi does, in virtual time.

    async with Call(client, "http://127.0.0.1:8470/playback/v1/telephone") as call:
        await call.press("12345678#")            # one key each 100 ms; what follows is done, too
        assert call.asks == "pin"
        await call.press("4711#", hanging_up=True)
    assert call.posts[-1]["pin"] == "4711"       # with exiting=true: a leftover, and no login

`client` is any httpx.AsyncClient: over TLS, or straight into an app. With a base address, it is
asked for paths there, as if the forwarder beside the edge had passed them on; without one, for
whole addresses. Nothing else is reached: an address of another host fails the test.

The caller: `press`, `wait`, `until`, `hang_up`, `vanish` (the edge dies, and says nothing), or
`run` with a whole script, which suits keys chosen at random. Leaving the block hangs up.

What came of it: `documents` (texts, as answered) and `posts` (forms, as sent); `heard` (stretches
of files) and `pcm` (the same, joined); `asks` (the field that keys are being collected for);
`left_behind` (files still in the edge's cache) and `held_bytes_max`; `transferred`; `apology` (why
httapi was left, and the dialplan went on to its apology); `ended`, `cause`.

By default the call goes through the profile that deploy/freeswitch ships.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Self

import httpx
from tests.telephony.edge import Edge, End, Operator
from tests.telephony.line import FOR_EVER_MS, Line
from tests.telephony.profile import Profile
from tests.telephony.sounds import Heard, Sounds

HANG_UP: Final = "hang up"
"""In a script, in the place of keys."""
KEY_S: Final = 0.1
PATIENCE_S: Final = 600.0
__all__ = ["HANG_UP", "Call", "End", "Operator", "Profile"]


class Call:
    """One call, from the moment it is answered."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        *,
        caller: str = "+4930123456",
        dialled: str = "+49800123456",
        profile: Profile | None = None,
        params: Mapping[str, str] | None = None,
        local: Path | None = None,
        operator: Operator | None = None,
        request_s: float = 0,
        passes: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`request_s` of the caller's time go by with each request; `passes` is told of all of it.

        `local` is the edge's disk, for files without a scheme. `params` stand in the dialplan.
        """
        self._line = Line(passes)
        self._edge = Edge(
            client=client,
            url=url,
            line=self._line,
            profile=profile or Profile.shipped(),
            sounds=Sounds(client, _origin(url), local),
            operator=operator or Operator(),
            request_ms=round(request_s * 1000),
        )
        self._edge.announce(caller, dialled, params or {})
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # owned: `__aexit__` sees it end.
        self._task = asyncio.create_task(self._edge.run())
        await self._reach(0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.hang_up()
        else:
            await self.vanish()

    # ---- the caller ----

    async def press(self, keys: str, *, gap_s: float = KEY_S, hanging_up: bool = False) -> None:
        """Presses keys, one after the other, each followed by `gap_s`.

        `hanging_up`: in the moment between the last key of the entry and the edge's request.
        """
        self._edge.drops_at_match = hanging_up
        for key in keys:
            if not self._line.up:
                return
            self._line.keys.append(key)
            await self.wait(gap_s)

    async def wait(self, seconds: float) -> None:
        """Listens for as long, or until the call is over."""
        await self._reach(self._line.now_ms + round(seconds * 1000))

    async def until(self, condition: Callable[[], bool], *, within_s: float = 60.0) -> None:
        """Listens until it holds; an AssertionError if it does not come to that in time."""
        ends_ms = self._line.now_ms + round(within_s * 1000)
        while not condition():
            assert self.ended is None, f"the call is over: {self.ended}, {self.apology}"
            assert self._line.now_ms < ends_ms, f"not within {within_s} s"
            await self._reach(self._line.now_ms + 1)

    async def hang_up(self) -> None:
        """Hangs up; the edge says so to the service before this returns."""
        self._line.up = False
        await self._reach(FOR_EVER_MS)

    async def vanish(self) -> None:
        """The edge dies in the middle of it: no request tells the service."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
            self._edge.ended = End.VANISHED
            self._line.up = False

    async def run(
        self, script: Iterable[tuple[float, str]], *, patience_s: float = PATIENCE_S
    ) -> None:
        """Waits and presses, `(seconds, keys)` each, then listens on, and hangs up at last."""
        for seconds, keys in script:
            await self.wait(seconds)
            if keys == HANG_UP:
                break
            await self.press(keys)
        else:
            await self.wait(patience_s)
        await self.hang_up()

    async def _reach(self, until_ms: int) -> None:
        assert self._task is not None, "a call begins with `async with`"
        if not self._task.done():
            await self._line.reach(until_ms)
            # One turn more, so that a task that has come to its end is done.
            await asyncio.sleep(0)
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    # ---- what came of it ----

    @property
    def now_s(self) -> float:
        """How long the call has lasted."""
        return self._line.now_ms / 1000

    @property
    def session_id(self) -> str:
        return self._edge.session_id

    @property
    def posts(self) -> list[dict[str, str]]:
        """Every form that was sent, the last one with `exiting`."""
        return self._edge.posts

    @property
    def logged(self) -> list[dict[str, str]]:
        """Forms that the edge wrote to its log: those after a megabyte of answers."""
        return self._edge.logged

    @property
    def documents(self) -> list[str]:
        """Every answer that was read as a document."""
        return self._edge.documents

    @property
    def asks(self) -> str | None:
        """The field that keys are being collected for, while they are."""
        return self._edge.asks

    @property
    def heard(self) -> list[Heard]:
        """What was played to the caller, stretch by stretch."""
        return self._edge.sounds.heard

    @property
    def pcm(self) -> bytes:
        """The same as samples, 16 bit and 8 kHz, without the pauses between."""
        return b"".join(each.pcm for each in self.heard)

    @property
    def left_behind(self) -> list[str]:
        """Addresses of files that are in the edge's cache."""
        return list(self._edge.sounds.kept)

    @property
    def held_bytes_max(self) -> int:
        """The most that was in the cache at any time."""
        return self._edge.sounds.held_bytes_max

    @property
    def transferred(self) -> str | None:
        """Where the call was handed on to: what `<execute>` said of a transfer or a bridge."""
        return self._edge.transferred

    @property
    def apology(self) -> str | None:
        """Why httapi was left, if it was; then the dialplan plays its apology and hangs up."""
        return self._edge.apology

    @property
    def ended(self) -> End | None:
        return self._edge.ended

    @property
    def cause(self) -> str | None:
        """The cause of a hang-up that was not the caller's, by its Q.850 name."""
        return self._edge.cause


def _origin(url: str) -> str:
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}"
