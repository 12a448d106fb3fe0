"""Listenings: who hears which recording just now, and the leased key for it, in memory only.

A listening is one session (or care agent with one purpose) and one recording, until the session
ends or no byte was asked for `listening_idle_s`; then its outcome is recorded. Where there is no
room for another one, whoever asked for nothing longest gives way sooner. The key is renewed
while it plays, in the name of the release alone: tokens stay in the request that brought them.
No key without a release, no audio without a key.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import structlog

from voicefile.chassis.rounds import keep_doing
from voicefile.chassis.stack import where_it_broke
from voicefile.deeds.deed import Outcome
from voicefile.docstore.port import DocStoreError, Document, StoreUnavailable, VersionConflict
from voicefile.playback.ask_auth import Auth, Release
from voicefile.playback.errors import PlaybackError, ReleaseOver, TooManyListenings
from voicefile.playback.listener import Caller, Listener
from voicefile.playback.metrics import listenings_ended, listenings_open
from voicefile.playback.outcomes import Outcomes
from voicefile.playback.settings import PlaybackSettings

log = structlog.get_logger(__name__)

VOUCH_EVERY_S = 60.0
"""How often auth is shown the token of who goes on asking; in between, renewals go without."""
GIVES_WAY_AFTER_S = 15.0
"""How long nobody has asked for a listening that gives way to another. A player between two of its
requests is not to be taken for somebody who left."""
LOST_AFTER_S = 120.0
"""How much longer than an idle listening an untouched one is left to its own process."""


@dataclass
class Listening:
    """One listening on this instance. `key` is only readable while the lease lives."""

    listener: Listener
    """Without a token: what is held of a listening opens nothing but its recording."""
    release: Release
    document: Document
    leased_until: float
    asked_at: float
    vouched_at: float
    """When auth last saw a token of the listener for it."""
    bytes_sent: int = 0
    streams: int = 0
    over: bool = False
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class Listenings:
    """The listenings of this instance."""

    def __init__(
        self,
        *,
        auth: Auth,
        settings: PlaybackSettings,
        outcomes: Outcomes,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._auth = auth
        self._settings = settings
        self._outcomes = outcomes
        self._now = now
        self._open: dict[str, Listening] = {}
        self._beginning = 0
        """Those that have a place already, though not their document."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, caller: Caller, recording_id: str, *, request_id: str) -> Listening:
        """The listening this request belongs to, with a living lease; a new one if there is none.

        Raises what `Auth.release` raises, ReleaseOver, TooManyListenings.
        """
        listener = caller.listener
        key = listener.listening_key(recording_id)
        # Two first requests at once (a player asks for peaks and audio) are one listening.
        async with self._turn(key):
            found = self._open.get(key)
            if found is not None and not found.over:
                return await self._alive(found, caller)
            if found is not None:
                # Over, and nobody came by yet to record its outcome: that is not to be lost.
                await self._end(key, found, "over")
            return await self._begin(key, caller, recording_id, request_id=request_id)

    async def _begin(
        self, key: str, caller: Caller, recording_id: str, *, request_id: str
    ) -> Listening:
        listener = caller.listener
        self._require_room(listener)
        asked = self._now()
        release = await self._auth.release(
            caller, recording_id, listening=key, request_id=request_id
        )
        try:
            # Only now: nobody gives way to somebody who may not hear it.
            await self._make_room(listener)
            document = await self._held(listener, release)
        except (TooManyListenings, DocStoreError):
            # Nobody has heard a byte, and nobody will by this release.
            await self._give_back(release, bytes_sent=0, end="stopped")
            raise
        begun = Listening(
            listener,
            release,
            document,
            leased_until=asked + release.lease_s,
            asked_at=self._now(),
            vouched_at=asked,
        )
        self._open[key] = begun
        listenings_open().inc()
        return begun

    async def _held(self, listener: Listener, release: Release) -> Document:
        # Counted from before the store has it: many begin at once.
        self._beginning += 1
        try:
            return await self._outcomes.begun(listener, tenant=release.tenant, release=release.id)
        finally:
            self._beginning -= 1

    def _require_room(self, listener: Listener) -> None:
        """Raises TooManyListenings: there is no place, and nobody has left theirs."""
        if (crowd := self._crowd(listener)) is not None:
            self._longest_idle(crowd[0])

    async def _make_room(self, listener: Listener) -> None:
        """Whoever closed the page does not keep others out until their time is over."""
        while (crowd := self._crowd(listener)) is not None:
            among, end = crowd
            key, longest = self._longest_idle(among)
            async with self._turn(key):
                # Asked once more: they may have come back, or gone, while we waited for our turn.
                if self._open.get(key) is longest and self._idle_s(longest) >= GIVES_WAY_AFTER_S:
                    await self._end(key, longest, end)

    def _crowd(self, listener: Listener) -> tuple[Mapping[str, Listening], str] | None:
        """Among whom one has to give way, and what that end is called; None: there is room."""
        # One agent with a script must not take the places of everybody else.
        theirs = {key: one for key, one in self._open.items() if one.listener.who == listener.who}
        if len(theirs) >= self._settings.listenings_per_listener_max:
            return theirs, "idle"
        if len(self._open) + self._beginning >= self._settings.listenings_max:
            return self._open, "gave-way"
        return None

    def _longest_idle(self, among: Mapping[str, Listening]) -> tuple[str, Listening]:
        """Raises TooManyListenings: nobody is."""
        idle = (
            (key, one)
            for key, one in among.items()
            # In nobody's turn: we hold one ourselves, and must not wait for another.
            if self._idle_s(one) >= GIVES_WAY_AFTER_S and not self._turn(key).locked()
        )
        key, longest = max(idle, key=lambda each: self._idle_s(each[1]), default=("", None))
        if longest is None:
            raise TooManyListenings
        return key, longest

    async def _alive(self, listening: Listening, caller: Caller) -> Listening:
        listening.asked_at = self._now()
        if self._is_due(listening) or self._is_unvouched(listening):
            await self._renew(listening, bearer=caller.bearer)
            # A slow answer of auth is not their absence.
            listening.asked_at = self._now()
        return listening

    def _is_due(self, listening: Listening) -> bool:
        return listening.leased_until - self._now() <= self._settings.renew_before_s

    def _is_unvouched(self, listening: Listening) -> bool:
        return self._now() - listening.vouched_at >= VOUCH_EVERY_S

    async def _renew(self, listening: Listening, *, bearer: str | None = None) -> None:
        async with listening.renewing:
            vouching = bearer is not None and self._is_unvouched(listening)
            if not vouching and not self._is_due(listening):
                return  # somebody renewed it while we waited
            asked = self._now()
            try:
                lease_s = await self._auth.renew(listening.release.id, bearer=bearer)
            except ReleaseOver:
                listening.over = True
                raise
            # Counted from before the question: a slow answer must not stretch the lease.
            listening.leased_until = asked + lease_s
            if bearer is not None:
                listening.vouched_at = asked
            try:
                listening.document = await self._outcomes.touched(listening.document)
            except VersionConflict:
                # Ended elsewhere, as a listening of a dead process is: then it is over here, too.
                listening.over = True
                raise ReleaseOver from None
            except StoreUnavailable as error:
                # Auth has said yes, so it plays on. The next renewal touches it, long before
                # anybody takes it for lost.
                log.warning("listening_not_touched", **where_it_broke(error))

    @asynccontextmanager
    async def playing(self, listening: Listening) -> AsyncIterator[None]:
        """While entered, the lease is renewed and the listening can't fall idle."""
        listening.streams += 1
        try:
            yield
        finally:
            listening.streams -= 1
            listening.asked_at = self._now()

    def usable(self, listening: Listening) -> bool:
        """Whether its key may still open bytes now."""
        return not listening.over and self._now() < listening.leased_until

    async def keep(self) -> None:
        """Renews what plays and ends what is over or idle, for ever."""
        every_s = self._settings.housekeeping_s
        async with asyncio.TaskGroup() as loops:
            # Apart: an outcome may have to wait for the store, and no lease waits for that.
            for work, name in ((self.renew_due, "renewals"), (self.end_over, "outcomes")):
                loops.create_task(keep_doing(work, every_s=every_s, name=name, first_s=every_s))

    async def look_after(self) -> None:
        """One round of `keep`."""
        await self.renew_due()
        await self.end_over()

    async def renew_due(self) -> None:
        """Renews the leases of what plays."""
        for listening in list(self._open.values()):
            if not listening.streams or listening.over or not self._is_due(listening):
                continue
            try:
                await self._renew(listening)
            except PlaybackError as error:
                # Auth away or refusing: the lease simply runs out, and the next round tries again.
                log.warning("lease_not_renewed", **where_it_broke(error))

    async def end_over(self) -> None:
        """Ends what is over, and what nobody asked for any more."""
        for key, listening in list(self._open.items()):
            if not self._is_over(listening):
                continue
            # In its turn, and asked once more: whoever came back meanwhile plays on.
            async with self._turn(key):
                if self._open.get(key) is listening and self._is_over(listening):
                    await self._end(key, listening, "over" if listening.over else "idle")

    async def sweep_lost(self) -> None:
        """Records the outcome of listenings whose process died; one instance does it for all."""
        lost = await self._outcomes.sweep(
            older_than_s=self._settings.listening_idle_s + LOST_AFTER_S
        )
        listenings_ended().labels(end="lost").inc(lost)

    def _is_over(self, listening: Listening) -> bool:
        return listening.over or self._idle_s(listening) > self._settings.listening_idle_s

    def _idle_s(self, listening: Listening) -> float:
        """How long nobody has asked for it; what plays is never idle."""
        return 0.0 if listening.streams else self._now() - listening.asked_at

    def _turn(self, key: str) -> asyncio.Lock:
        """One at a time begins or ends the listening of this key."""
        return self._turns.setdefault(key, asyncio.Lock())

    async def end_all(self) -> None:
        """Before the process stops: every listening gets its outcome."""
        for key, listening in list(self._open.items()):
            try:
                await self._end(key, listening, "stopped")
            except DocStoreError as error:
                # The others still get theirs; this one is swept as lost.
                log.warning("outcome_not_recorded", **where_it_broke(error))

    async def _end(self, key: str, listening: Listening, end: str) -> None:
        # From here no byte leaves any more, so what the outcome counts is all there was.
        listening.over = True
        # A renewal under way changes the document that the outcome goes into.
        async with listening.renewing:
            # The outcome first: forgotten without one, it would leave a release unexplained.
            await self._outcomes.ended(
                listening.document, bytes_sent=listening.bytes_sent, outcome=Outcome.OUTCOME_DONE
            )
            if self._open.get(key) is listening:
                del self._open[key]
                listenings_open().dec()
                listenings_ended().labels(end=end).inc()
        await self._give_back(listening.release, bytes_sent=listening.bytes_sent, end=end)

    async def _give_back(self, release: Release, *, bytes_sent: int, end: str) -> None:
        try:
            await self._auth.end(release.id, bytes_sent=bytes_sent, end=end)
        except PlaybackError as error:
            # It is recorded here; there the lease simply runs out. The next one has its turn.
            log.warning("release_not_given_back", **where_it_broke(error))
