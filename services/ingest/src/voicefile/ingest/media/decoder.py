"""Decodes uploads outside this process: ingest's side, which holds the keys and trusts nobody.

`Decoders` keeps a zygote running and gives it one job per upload. The job's process asks for
plain bytes by position, and answers with the telephone rendition, peaks and findings, or with a
refusal. Whatever it says is bounded and checked here: a decoder taken over by an upload can lie
about this upload's sound, and do nothing else.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from voicefile.ingest.media.decode_job import (
    Decoded,
    DecodeJob,
    DecoderHungUp,
    DecoderLied,
    ReadPlain,
    TakePiece,
)
from voicefile.ingest.media.decoder_protocol import (
    CONTROL_MAX,
    EXITED,
    HELLO,
    KILL,
    NOT_CONFINED,
    OUT_OF_MEMORY,
    DecodeLimits,
    Job,
    Sandbox,
)
from voicefile.ingest.media.errors import (
    BrokenAudio,
    DecodeLimitExceeded,
    DecoderUnavailable,
    EmptyAudio,
    MediaError,
    Reason,
)

__all__ = ["DecodeLimits", "Decoded", "Decoders", "Sandbox"]

log = structlog.get_logger(__name__)

PROGRAM = ("-m", "voicefile.ingest.media.decoder_process")
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    # One thread each: threads and forks do not mix, and the sandbox allows none.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # One heap, so that the limit of address space is not spent on reserves.
    "MALLOC_ARENA_MAX": "1",
    # What is computed with a block of sound reuses memory of the heap: mapping it anew each time
    # costs a third of the decoding. What is kept is mapped, lest it scatter over the heap.
    "MALLOC_MMAP_THRESHOLD_": "200000",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
}

READY_MAX_S = 30.0
"""A zygote that is not ready by then never will be; loading libav takes seconds on a busy disk."""
RESTART_PAUSE_S = 0.1
RESTART_PAUSE_MAX_S = 5.0
END_MAX_S = 5.0
"""How long a process may take to end after it was told to."""
STREAM_BUFFER_BYTES = 262_144


class Zygote:
    """A running decoder process, ready to fork."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._numbers = 0
        self._exits: dict[int, asyncio.Future[int | None]] = {}
        self.sandbox = Sandbox.NONE

    async def ready(self) -> bool:
        """Whether it got as far as being able to fork; not raising what its end looks like."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(READY_MAX_S):
                loop = asyncio.get_running_loop()
                hello = await loop.sock_recv(self._control, CONTROL_MAX)
            if hello:
                self.sandbox = Sandbox(HELLO.unpack(hello)[1])
                return True
        return False

    async def serve(self) -> None:
        """Hears how jobs end, until the zygote itself does."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while message := await loop.sock_recv(self._control, CONTROL_MAX):
                _, number, status = EXITED.unpack(message)
                self._tell(number, status)

    def start(self, plain_bytes: int, limits: DecodeLimits) -> tuple[int, socket.socket]:
        """A new job's number and our end of its socket. Raises DecoderUnavailable."""
        self._numbers += 1
        number = self._numbers
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                job = Job(number, plain_bytes, limits).encode()
                socket.send_fds(self._control, [job], [theirs.fileno()])
        except OSError:
            ours.close()
            raise DecoderUnavailable from None
        self._exits[number] = asyncio.get_running_loop().create_future()
        return number, ours

    async def ended(self, number: int) -> int | None:
        """The job's wait status; None if it does not end, or the zygote did before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_MAX_S):
                return await asyncio.shield(self._exits[number])
        return None

    async def end(self, number: int) -> None:
        """Kills the job if it still runs, and returns when it is gone."""
        if not self._exits[number].done():
            with suppress(OSError):
                self._control.send(KILL.pack(b"K", number))
            await self.ended(number)
        self._exits.pop(number).cancel()

    def lost(self) -> None:
        """No job of this zygote will be heard of again: they died with it."""
        for number in self._exits:
            self._tell(number, None)

    def _tell(self, number: int, status: int | None) -> None:
        ended = self._exits.get(number)
        if ended is not None and not ended.done():
            ended.set_result(status)


class Decoders:
    """Decodes uploads, as many at a time as there are cores; the others wait their turn."""

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        program: Sequence[str] = PROGRAM,
        ready_max_s: float = READY_MAX_S,
        on_demand: bool = False,
    ) -> None:
        """`on_demand`: nothing is started before the first upload, which then waits for it."""
        self._places = asyncio.Semaphore(concurrency or len(os.sched_getaffinity(0)))
        self._ready_max_s = ready_max_s
        self._program = program
        self._zygote: Zygote | None = None
        self._ready = asyncio.Event()
        self._wanted = asyncio.Event()
        if not on_demand:
            self._wanted.set()

    @property
    def ready(self) -> bool:
        """Whether an upload would find a decoder now, or could have one started."""
        return self._ready.is_set() or not self._wanted.is_set()

    @property
    def sandbox(self) -> Sandbox:
        """What confines the decoder on this platform; NONE while it is not ready."""
        return self._zygote.sandbox if self._zygote else Sandbox.NONE

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Decoders"]:
        """Keeps a zygote alive; what is being decoded at the end is given up."""
        failure: BaseException | None = None
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_alive())
            try:
                yield self
            except BaseException as raised:  # noqa: BLE001 -- goes on below, not in a group
                failure = raised
            finally:
                keeper.cancel()
        if failure is not None:
            raise failure

    async def decode(
        self,
        read_plain: ReadPlain,
        plain_bytes: int,
        *,
        telephone: TakePiece,
        limits: DecodeLimits,
    ) -> Decoded:
        """Decodes the upload that `read_plain(start, stop)` reads.

        `telephone` is given the rendition in order, from its header on; whatever it was given is
        worthless unless this returns. Raises MediaRefused, DecoderUnavailable, and whatever the
        two callables raise.
        """
        if plain_bytes == 0:
            raise EmptyAudio
        async with self._places:
            zygote = await self._available()
            number, channel = zygote.start(plain_bytes, limits)
            reader, writer = await asyncio.open_unix_connection(
                sock=channel, limit=STREAM_BUFFER_BYTES
            )
            job = DecodeJob(
                reader,
                writer,
                read_plain=read_plain,
                plain_bytes=plain_bytes,
                telephone=telephone,
                limits=limits,
            )
            try:
                return await self._outcome(job, zygote, number)
            finally:
                writer.close()
                await zygote.end(number)

    @staticmethod
    async def _outcome(job: DecodeJob, zygote: Zygote, number: int) -> Decoded:
        try:
            return await job.run()
        except DecoderHungUp:
            raise _meaning(await zygote.ended(number)) from None
        except DecoderLied:
            log.warning("decoder_broke_protocol")
            raise BrokenAudio(Reason.DECODER_CRASHED) from None

    async def _available(self) -> Zygote:
        self._wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._ready_max_s):
                await self._ready.wait()
        if self._zygote is None:
            raise DecoderUnavailable
        return self._zygote

    async def _keep_alive(self) -> None:
        await self._wanted.wait()
        pause_s = RESTART_PAUSE_S
        while True:
            if await self._live():
                pause_s = RESTART_PAUSE_S
            log.error("decoder_zygote_ended")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESTART_PAUSE_MAX_S)

    async def _live(self) -> bool:
        """One zygote's life; whether it ever became ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.setblocking(False)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                *self._program,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
                # Ctrl-C is meant for the vault, which then lets the decoder finish.
                start_new_session=True,
            )
            theirs.close()
            zygote = Zygote(ours)
            try:
                return await self._serve(zygote)
            finally:
                self._ready.clear()
                self._zygote = None
                zygote.lost()
                # Its end of the socket tells it to go; the processes it forked die with it.
                ours.close()
                await _gone(process)

    async def _serve(self, zygote: Zygote) -> bool:
        if not await zygote.ready():
            return False
        if zygote.sandbox != Sandbox.SECCOMP | Sandbox.NAMESPACES:
            # This platform confines the decoder incompletely: no namespaces, or no filter.
            log.warning("sandbox_partial")
        self._zygote = zygote
        self._ready.set()
        await zygote.serve()
        return True


def _meaning(status: int | None) -> MediaError:
    """What it says about the upload that its process ended without an answer."""
    if status is None or status == NOT_CONFINED << 8:
        return DecoderUnavailable()
    if status == OUT_OF_MEMORY << 8:
        return DecodeLimitExceeded(Reason.MEMORY)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}:
        return DecodeLimitExceeded(Reason.TIME)
    log.warning("decoder_crashed", status=status)
    return BrokenAudio(Reason.DECODER_CRASHED)


async def _gone(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(END_MAX_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
