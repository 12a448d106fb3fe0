"""Real auth and playback in this process, one clock, and edges that may reach either instance.

    async with an_exchange(tmp_path) as exchange:
        letter = await exchange.letter(seconds=25)
        async with exchange.call() as call:
            ...
        exchange.restart()               # playback dies, and another start goes on over its store
        exchange.auth.trouble = Trouble.AWAY

What really left is seen at the forwarder, by what it is and not by what anybody says of it:
`served` names each run of a recording that an edge was given, and what had been keyed before.
Time is the world's clock: calls and auth's waiting move it, and nobody else.
"""

import random
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final

import httpx
from msgspec.structs import replace
from tests.services.auth.access_world import DETAILS, Letter, a_world
from tests.services.playback.telephone.pretended import prompts
from tests.telephony.call import Call
from tests.telephony.sounds import RATE_HZ, SAMPLE_BYTES

from voicefile.auth.issuing.details import seal_details
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.access_store import LOGINS
from voicefile.auth.store import Blob
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.names import new_blob_name
from voicefile.chassis.inprocess import InProcessTransport, MountRouter, in_process_client
from voicefile.chassis.service import Service
from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.contracts.deed.v1 import Event
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.stream import seal
from voicefile.deeds.deed import Action
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import DocStore
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.playback.app import COLLECTIONS, build
from voicefile.playback.events import TOPIC, wrap
from voicefile.playback.settings import PlaybackSettings
from voicefile.playback.telephone.calls import Calls
from voicefile.playback.telephone.prompt_wav import wav_of

EDGE: Final = "http://127.0.0.1:8470"
URL: Final = f"{EDGE}/playback/v1/telephone"
NUMBER: Final = "+49800123456"
UNDERSTOOD_S: Final = 10.0
SWEPT_S: Final = 601
"""After so long a call that nobody hung up is over."""


TRIES: Final = AccessSettings().challenge_tries


class Trouble(StrEnum):
    """What may be the matter with auth, as playback meets it."""

    NONE = "none"
    AWAY = "away"
    """Nobody answers the door."""
    FAILS = "fails"
    """Somebody does, and can't."""
    ANSWER_LOST = "answer lost"
    """It is done, and nobody hears of it."""


@dataclass
class Auth(httpx.AsyncBaseTransport):
    """The wire from playback to auth."""

    inner: httpx.AsyncBaseTransport
    store: DocStore
    now_s: Callable[[], float]
    log_follows: Callable[[], None]
    """Has the log say that it has every deed so far; else nobody listens after half an hour."""
    trouble: Trouble = Trouble.NONE
    asked: list[tuple[str, int]] = field(default_factory=list)
    """What reached auth: the last word of each path, and the status of the answer."""
    over: int = 0
    """How many PINs and answers came to a login that takes none any more."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.trouble is Trouble.AWAY:
            raise httpx.ConnectError("nobody there", request=request)
        if self.trouble is Trouble.FAILS:
            return httpx.Response(503, json={}, request=request)
        self.log_follows()
        *_, of, asked = request.url.path.split("/")
        if asked in {"pin", "answer"}:
            self.over += await self._is_over(of)
        answer = await self.inner.handle_async_request(request)
        self.asked.append((asked, answer.status_code))
        if self.trouble is Trouble.ANSWER_LOST:
            await answer.aclose()
            raise httpx.ReadError("the answer is lost", request=request)
        return answer

    async def _is_over(self, login: str) -> bool:
        kept = await self.store.get(LOGINS, login)
        if kept is None or int(str(kept.body["tries"])) >= TRIES:
            return True
        return int(str(kept.body["expires_at_s"])) <= self.now_s()


@dataclass(frozen=True)
class Served:
    """A run of a recording, as it left: which one, where in it, by which address."""

    call: str
    token: str
    recording: str
    start: int
    samples: int
    keyed: tuple[dict[str, str], ...] = field(repr=False)
    """What had been posted for the call until then."""
    released: bool
    """Whether auth's store had a release of the recording by then, recorded."""


@dataclass
class Forwarder(httpx.AsyncBaseTransport):
    """The forwarder beside an edge: maps paths, and passes on to the instance that has its turn."""

    exchange: "Exchange"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.exchange.down and request.method == "GET":
            return _nothing()
        if self.exchange.down:
            raise httpx.ConnectError("no instance", request=request)
        inside = self.exchange.instance()
        path = request.url.raw_path.decode().replace(
            "/playback/v1/telephone", "/playback/internal/v1/telephone", 1
        )
        passed = httpx.Request(
            request.method,
            f"https://vault.internal{path}",
            headers=request.headers,
            content=await request.aread(),
            extensions=request.extensions,
        )
        answer = await inside.handle_async_request(passed)
        if request.method == "GET":
            return await self._heard(path, answer)
        self.exchange.posted(dict(httpx.QueryParams(passed.content.decode())))
        return answer

    async def _heard(self, path: str, answer: httpx.Response) -> httpx.Response:
        body = await answer.aread()
        if answer.status_code != httpx.codes.OK:
            return _nothing()
        call, _, name = path.rpartition("/telephone/sounds/")[2].partition("/")
        await self.exchange.gave(call, name.removesuffix(".wav"), body)
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


def _nothing() -> httpx.Response:
    """In place of every refusal: a sound without a sample."""
    return httpx.Response(200, headers={"Cache-Control": "no-store"}, content=wav_of(b""))


@dataclass
class Exchange:
    """Auth, playback's instances over one store, and what went through their doors."""

    world: Any
    store: SqliteDocStore
    tenant: str
    auth: Auth
    blobs: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    settings: PlaybackSettings = field(default_factory=PlaybackSettings)
    instances: list[Service] = field(default_factory=list)
    alternately: bool = False
    """Each request at another instance than the one before."""
    down: bool = False
    """No instance answers."""
    given: list[tuple[str, str]] = field(default_factory=list)
    """Calls and tokens of all that was fetched, words as well."""
    sound: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Of each recording, its samples."""
    served: list[Served] = field(default_factory=list)
    told: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """Posts by call."""
    looks: bool = True
    """Whether each run that leaves is looked at; in long runs, it is not."""
    _at: int = 0
    _doors: dict[int, InProcessTransport] = field(default_factory=dict)

    def start(self) -> None:
        """One more instance."""
        client = in_process_client(
            {"/auth": self.world.internal}, peer="playback", around=lambda _: self.auth
        )
        service = build(
            self.settings,
            deployment=self.world.custody.deployment.decode(),
            blobs=self.blobs,
            docs=self.store,
            bus=MemoryEventBus(),
            client=client,
            tokens=self.world.doors.tokens,
            on_failure=_fails,
            prompts=prompts(),
            now_s=self.world.clock,
            monotonic_s=self.world.clock,
        )
        self.instances.append(service)
        router = MountRouter({"/playback": service.internal})
        self._doors[id(service)] = InProcessTransport(router, peer="edge-1")

    def restart(self) -> None:
        """All instances die in the moment, with what they had in memory; as many start anew."""
        before, self.instances = len(self.instances), []
        self._doors.clear()
        for _ in range(before):
            self.start()

    async def stop(self) -> None:
        """The same, but they were told before and put everything in order."""
        for each in self.instances:
            await each.public.state.playback.listenings.end_all()
        self.restart()

    def instance(self) -> InProcessTransport:
        self._at += self.alternately
        return self._doors[id(self.instances[self._at % len(self.instances)])]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=Forwarder(self))

    def call(self, client: httpx.AsyncClient, **said: Any) -> Call:
        """A call, whose time is everybody's."""
        return Call(client, URL, passes=self._passes, **{"dialled": NUMBER, **said})

    def _passes(self, seconds: float) -> None:
        self.world.clock.s += seconds

    # ---- customers ----

    async def letter(self, *, seconds: float = 6, question: bool = False, count: int = 1) -> Letter:
        """A customer with so many recordings, each a noise of its own."""
        letter = await self.world.letter(
            self.tenant, question=question, sensitive=question, count=count
        )
        stored = await self.world.access(letter)
        recordings = [
            await self._recorded(letter, each, seconds) for each in stored.record.recordings
        ]
        await self.world.change(letter, recordings=tuple(recordings))
        return letter

    async def _recorded(self, letter: Letter, recording: Any, seconds: float) -> Any:
        key = letter.keys[recording.id]
        pcm = random.Random(recording.id).randbytes(round(seconds * RATE_HZ) * SAMPLE_BYTES)
        self.sound[recording.id] = pcm
        of = {"deployment": self.world.custody.deployment, "tenant": letter.tenant}
        context = Context(object_id=object_id(recording.id, "telephone"), kind=Kind.AUDIO, **of)
        sealed = seal(key, context, wav_of(pcm), pad=True)
        name = new_blob_name()
        await self.blobs.put(name, _one(sealed))
        details = replace(DETAILS, telephone_bytes=len(wav_of(pcm)))
        return replace(
            recording,
            blobs={**recording.blobs, "telephone": Blob(name, len(sealed))},
            details=seal_details(details, key, recording=recording.id, **of),
        )

    # ---- what went through ----

    def posted(self, form: dict[str, str]) -> None:
        if self.looks:
            self.told.setdefault(form.get("session_id", ""), []).append(form)

    async def gave(self, call: str, token: str, wav: bytes) -> None:
        """Whatever an edge was given; words are no recording's."""
        if not self.looks:
            return
        self.given.append((call, token))
        pcm = wav[44:]
        for recording, whole in self.sound.items():
            if pcm and (start := whole.find(pcm)) >= 0:
                released = any(
                    deed.object_id == recording for deed in await self.world.told("RELEASE_GRANTED")
                )
                run = start // SAMPLE_BYTES, len(pcm) // SAMPLE_BYTES
                keyed = tuple(self.told.get(call, ()))
                self.served.append(Served(call, token, recording, *run, keyed, released))

    async def swept(self) -> None:
        """So much later that every call is over, as the instance finds that sweeps."""
        self.world.clock.s += SWEPT_S
        series = DeedSeries(self.store, topic=TOPIC, wrap=wrap, now_s=self.world.clock)
        idle_s, clock = self.settings.call_idle_s, self.world.clock
        await Calls(self.store, series, idle_s=idle_s, now_s=clock).sweep()

    async def deeds(self, *actions: str) -> list[DeedMessage]:
        """Playback's deeds of these actions, in the order of their numbers."""
        found = [
            Event.FromString(event.payload).deed
            for _, document in await self.store.pending(limit=1_000_000)
            for event in document.pending
        ]
        wanted = [Action.Value(f"ACTION_{action}") for action in actions]
        found.sort(key=lambda deed: (deed.at_ms, deed.n))
        return [deed for deed in found if not wanted or deed.action in wanted]


def _fails(error: Exception) -> None:
    raise AssertionError("an instance had to end") from error


def _log_follows(world: Any) -> None:
    sequenced = {world.deeds.boot_id: world.deeds.n}
    world.audit.answer = {"appendable": True, "sequenced": sequenced}


async def _one(data: bytes) -> Any:
    yield data


@asynccontextmanager
async def an_exchange(
    directory: Any, *, instances: int = 1, settings: PlaybackSettings | None = None, **world: Any
) -> Any:
    """Everything, with one tenant. `world` is told to auth's."""
    async with a_world(directory, **world) as opened:
        store = await SqliteDocStore.open(directory / "playback.db", COLLECTIONS)
        wire = InProcessTransport(MountRouter({"/auth": opened.internal}), peer="playback")
        auth = Auth(wire, opened.docs, opened.clock, partial(_log_follows, opened))
        exchange = Exchange(opened, store, await opened.tenant(), auth)
        exchange.settings = settings or exchange.settings
        for _ in range(instances):
            exchange.start()
        try:
            yield exchange
        finally:
            await store.close()


async def keyed(call: Call, name: str, digits: str, *, within_s: float = 60) -> bool:
    """Keys an entry once it is asked for, and waits for what comes of it; whether it was asked."""
    await reached(call, lambda: call.asks == name, within_s=within_s)
    if call.asks != name:
        return False
    posts = len(call.posts)
    await call.press(f"{digits}#")
    # An edge makes sure for some seconds that no further digit follows.
    await reached(call, lambda: len(call.posts) > posts, within_s=UNDERSTOOD_S)
    return True


async def reached(call: Call, said: Callable[[], bool], *, within_s: float = 60) -> None:
    """Listens until it holds, or the call is over, or it took too long."""
    ends_s = call.now_s + within_s
    while not said() and call.ended is None and call.now_s < ends_s:
        await call.wait(0.1)


async def let_in(call: Call, letter: Letter) -> None:
    """ID, PIN and answer, as somebody keys who has the letter in hand."""
    await keyed(call, "id", letter.access_id)
    await keyed(call, "pin", letter.pin)
    await reached(call, lambda: call.asks in {"answer", "key"})
    if call.asks == "answer":
        await keyed(call, "answer", letter.answer)
