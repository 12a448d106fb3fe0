"""Answering a call, post by post: asks what the dialogue wants to know, and says what it decides.

The state is kept before the answer leaves, so whichever instance gets the next post goes on from
there. Whatever goes wrong here ends the dialogue with a status that is not 200: the edge then says
its own apology and hangs up, and the next call begins anew.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from voicefile.chassis.stack import where_it_broke
from voicefile.docstore.port import DocStoreError
from voicefile.playback.errors import (
    AuthUnavailable,
    NotSignedIn,
    PlaybackError,
    RecordingNotFound,
    ReleaseOver,
)
from voicefile.playback.listenings import Listenings
from voicefile.playback.play import Rendition
from voicefile.playback.telephone import call_metrics as metrics
from voicefile.playback.telephone import documents, moves, watching
from voicefile.playback.telephone.call_state import WRITTEN_MAX, Call, Step
from voicefile.playback.telephone.calls import CallOver, Calls, Cue, Standing, to_play, to_say
from voicefile.playback.telephone.dialogue import advance
from voicefile.playback.telephone.lines import Lines
from voicefile.playback.telephone.logins import Logins, caller_of
from voicefile.playback.telephone.posts import Post, happened
from voicefile.playback.telephone.sounds import samples_of
from voicefile.playback.telephone.speech import About, needs_looking_up, packed, spoken
from voicefile.playback.telephone.watching import FirstSound

log = structlog.get_logger(__name__)

SEEN_S: Final = 180.0
"""A call of which an instance hears nothing for so long is another's, or over."""


@dataclass(frozen=True)
class Edge:
    """How the edge reaches us."""

    address: str
    """Host and port of the forwarder beside it, which knows the way to our internal port."""

    def sound(self, call_id: str, token: str) -> documents.Sound:
        """Without a HEAD before: each token is good for one request."""
        path = f"/playback/v1/telephone/sounds/{call_id}/{token}.wav"
        return documents.Sound(f"http://(nohead=true){self.address}{path}")


class Places:
    """The calls one instance has to do with; their posts may go to others, farewells included."""

    def __init__(self, places: int, *, now_s: Callable[[], float]) -> None:
        self._places = places
        self._now_s = now_s
        self._seen_s: dict[str, float] = {}

    def take(self, call_id: str) -> bool:
        """Whether there is one for a new call."""
        since_s = self._now_s() - SEEN_S
        self._seen_s = {each: at_s for each, at_s in self._seen_s.items() if at_s > since_s}
        if len(self._seen_s) >= self._places:
            return False
        self.seen(call_id)
        metrics.calls_answered().inc()
        return True

    def seen(self, call_id: str) -> None:
        """It goes on."""
        self._seen_s[call_id] = self._now_s()
        metrics.calls_open().set(len(self._seen_s))

    def give_back(self, call_id: str) -> None:
        """It is over."""
        self._seen_s.pop(call_id, None)
        metrics.calls_open().set(len(self._seen_s))


class Answering:
    """One post at a time, of many calls."""

    def __init__(
        self,
        *,
        calls: Calls,
        lines: Lines,
        logins: Logins,
        listenings: Listenings,
        edge: Edge,
        calls_max: int,
        answer_s: float,
        first_sound: FirstSound,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`answer_s`: what all questions of one post may take together."""
        self._calls = calls
        self._lines = lines
        self._logins = logins
        self._listenings = listenings
        self._edge = edge
        self._places = Places(calls_max, now_s=now_s)
        self._answer_s = answer_s
        self._first_sound = first_sound
        self._now_s = now_s

    async def answer(self, post: Post, *, request_id: str) -> str:
        """The document. Raises what the store raises."""
        began_s = time.monotonic()
        try:
            standing = await self._calls.get(post.call_id)
        except CallOver:
            self._places.give_back(post.call_id)
            return documents.ended(None)
        if post.exiting:
            return await self._hung_up(post, standing)
        step = "first" if standing is None else standing.call.step.value
        with metrics.step_seconds().labels(step=step).time():
            document, let_in = await self._answered(post, standing, request_id=request_id)
        if let_in:
            self._first_sound.let_in(post.call_id, since_s=began_s)
        return document

    async def _answered(
        self, post: Post, standing: Standing | None, *, request_id: str
    ) -> tuple[str, bool]:
        """The document, and whether the caller was let in by this post."""
        turn = _Turn(post, request_id, asyncio.get_running_loop().time() + self._answer_s)
        if standing is None:
            standing = Standing(self._new(post))
            told = self._begun(post, standing.call)
        else:
            self._places.seen(post.call_id)
            told = happened(post, standing.call)
            if standing.call.written > WRITTEN_MAX:
                told = moves.SessionOver()
        before = standing.call
        call, reply = await self._decided(turn, before, told)
        try:
            async with asyncio.timeout_at(turn.until_s):
                said = await self._said(turn, call, reply)
        except (PlaybackError, DocStoreError, TimeoutError) as error:
            call, reply = _without_words(call, error)
            said = packed(spoken(reply.said, ()), call.language)
        if isinstance(reply, moves.Transfer):
            await self._calls.handed_over(post.call_id, call)
        document, cues = self._written(post.call_id, call, reply, said)
        call = replace(call, written=call.written + len(document))
        await self._calls.put(post.call_id, replace(standing, call=call, cues=cues))
        return document, bool(call.session) and not before.session

    def _begun(self, post: Post, call: Call) -> moves.Happened:
        if not self._places.take(post.call_id):
            return moves.Full()
        return moves.Began(self._announced(call.line_tenant))

    def _new(self, post: Post) -> Call:
        line = self._lines.line(post.dialled)
        language, *others = line.languages
        return Call(
            step=Step.ACCESS_ID,
            language=language,
            other_language=others[0] if others else "",
            line_tenant=line.tenant or "",
            operator=self._lines.announced(line.tenant or "").operator or "",
        )

    def _announced(self, tenant: str) -> tuple[str, ...]:
        """What is to be said before the rest: trouble, and that nobody is there to take over."""
        told = self._lines.announced(tenant)
        now = dt.datetime.fromtimestamp(self._now_s(), tz=dt.UTC)
        closed = told.hours is not None and not told.hours.holds(now)
        return tuple(
            key for key, holds in (("incident", told.incident), ("off_hours", closed)) if holds
        )

    async def _hung_up(self, post: Post, standing: Standing | None) -> str:
        self._places.give_back(post.call_id)
        if standing is not None:
            # The session first: were we to die between, it ends by itself, and the call is swept.
            try:
                await self._logins.sign_out(standing.call, post.call_id)
            except AuthUnavailable as error:
                log.warning("telephone_not_signed_out", **where_it_broke(error))
            assert standing.document is not None, "it was read"
            await self._calls.end(standing.document, how="caller")
        return documents.ended(None)

    async def _decided(
        self, turn: "_Turn", call: Call, told: moves.Happened
    ) -> tuple[Call, moves.Reply]:
        before = call
        call, move = _advanced(call, told)
        while not isinstance(move, moves.Reply):
            told = await self._asked(turn, call, move)
            call, move = _advanced(self._informed(call, told), told)
        watching.chunk_counted(before, call)
        if isinstance(move, moves.Play) and not isinstance(told, moves.Released):
            # Before the edge takes silence for it: whether its key is still to be had.
            told = await self._asked(turn, call, moves.Release())
            if not isinstance(told, moves.Released):
                call, move = advance(call, told)
                assert isinstance(move, moves.Reply), "an end asks nothing"
        if before.step is not Step.OVER:
            watching.end_counted(call, told, move)
        return call, move

    def _informed(self, call: Call, told: moves.Happened) -> Call:
        """On a shared number a tenant's own people take over once the caller is let in."""
        if not isinstance(told, moves.LetIn) or call.line_tenant:
            return call
        return replace(call, operator=self._lines.announced(told.tenant).operator or "")

    async def _asked(self, turn: "_Turn", call: Call, move: moves.Told) -> moves.Happened:
        try:
            async with asyncio.timeout_at(turn.until_s):
                return await self._told(turn, call, move)
        except (NotSignedIn, ReleaseOver, RecordingNotFound):
            return moves.SessionOver()
        except (PlaybackError, DocStoreError, TimeoutError) as error:
            log.warning("telephone_away", **where_it_broke(error))
            return moves.Away()

    async def _told(self, turn: "_Turn", call: Call, move: moves.Told) -> moves.Happened:
        if isinstance(move, moves.Release):
            return await self._released(turn, call)
        if isinstance(move, moves.List):
            turn.about = await self._logins.hearable(
                call, turn.post.call_id, request_id=turn.request_id
            )
            return moves.Listed(tuple(turn.about))
        return self._greeted(call, await self._logins.ask(turn.post, call, move))

    def _greeted(self, call: Call, told: moves.Happened) -> moves.Happened:
        if not isinstance(told, moves.LetIn) or call.line_tenant:
            return told
        return replace(told, announced=self._announced(told.tenant))

    async def _released(self, turn: "_Turn", call: Call) -> moves.Happened:
        caller = caller_of(call, turn.post.call_id)
        listening = await self._listenings.of(caller, call.recording, request_id=turn.request_id)
        return moves.Released(samples_of(listening.release.true_bytes[Rendition.TELEPHONE]))

    async def _said(self, turn: "_Turn", call: Call, reply: moves.Reply) -> bytes:
        """The words, with what they say of recordings."""
        if not needs_looking_up(reply.said):
            return packed(spoken(reply.said, ()), call.language)
        about = turn.about or await self._logins.hearable(
            call, turn.post.call_id, request_id=turn.request_id
        )
        known = [about[each] for each in call.recordings if each in about]
        if len(known) != len(call.recordings):
            raise RecordingNotFound  # erased while the call goes on
        return packed(spoken(reply.said, known), call.language)

    def _written(
        self, call_id: str, call: Call, reply: moves.Reply, said: bytes
    ) -> tuple[str, tuple[Cue, ...]]:
        """The document, and what is kept of the sounds in it."""
        cues: list[Cue] = []

        def sound(cue: tuple[str, Cue]) -> documents.Sound:
            cues.append(cue[1])
            return self._edge.sound(call_id, cue[0])

        words = sound(to_say(said)) if reply.said else None
        if isinstance(reply, moves.Play):
            chunk = sound(to_play(*call.chunk))
            return documents.played(chunk, words, after_ms=reply.after_ms), tuple(cues)
        return _in_words(call, reply, words), tuple(cues)


@dataclass
class _Turn:
    """One post while it is answered."""

    post: Post
    request_id: str
    until_s: float
    """When the edge has to be answered, by the loop's clock."""
    about: Mapping[str, About] = field(default_factory=dict, repr=False)
    """What was looked up for it."""


def _advanced(call: Call, told: moves.Happened) -> tuple[Call, moves.Told | moves.Reply]:
    watching.entry_counted(call, told)
    return advance(call, told)


def _without_words(call: Call, error: Exception) -> tuple[Call, moves.Reply]:
    log.warning("telephone_away", **where_it_broke(error))
    over = isinstance(error, NotSignedIn | RecordingNotFound)
    told = moves.SessionOver() if over else moves.Away()
    call, reply = advance(call, told)
    assert isinstance(reply, moves.Reply), "an end asks nothing"
    watching.end_counted(call, told, reply)
    return call, reply


def _in_words(call: Call, reply: moves.Reply, words: documents.Sound | None) -> str:
    match reply:
        case moves.End():
            return documents.ended(words)
        case _ if words is None:
            raise AssertionError("only an end may be silent")
        case moves.Ask(entry=entry):
            return documents.asked(Step(entry), words)
        case moves.Wait():
            return documents.waited(words)
        case moves.Transfer():
            return documents.transferred(words, call.operator)
    return documents.offered(words)
