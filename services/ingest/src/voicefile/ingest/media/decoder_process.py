"""The decoder process: a zygote that forks one confined process for each upload.

Started by `decoder.Decoders` with nothing but one socket; it never holds a key, sees an upload
only as bytes it asks for, and imports no other part of ingest than what decodes. Loading libav
takes far longer than decoding a call, so it is loaded once, here, and forked.
"""

import gc
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import av.logging

from voicefile.ingest.media.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.decoder_protocol import (
    CONTROL_MAX,
    DECODED,
    EXITED,
    HEAD,
    HELLO,
    KILL,
    NOT_CONFINED,
    OUT_OF_MEMORY,
    PEAKS_PIECE_BYTES,
    READ,
    REFUSED,
    DecodeLimits,
    Job,
    Message,
    Sandbox,
)
from voicefile.ingest.media.decoding import Heard, decode_sound
from voicefile.ingest.media.errors import REFUSALS, MediaRefused, Reason
from voicefile.ingest.media.findings import Finding
from voicefile.ingest.media.recognise import recognise
from voicefile.ingest.media.sandbox import (
    SOCKET_FD,
    SandboxFailed,
    confine,
    limit_cpu,
    load_libc,
    withdraw,
)
from voicefile.ingest.media.warm_up import warm_up

CPU_SHARE = 10
"""Decoding may take a tenth of what the recording lasts: ten times real time at least."""


class Channel:
    """The job's socket, used as a mere file: `seccomp` lets this process do no more with it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, message: Message, payload: bytes | bytearray) -> None:
        rest = memoryview(HEAD.pack(message, len(payload)) + payload)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def fetch(self, start: int, stop: int) -> bytes:
        """Bytes start..stop-1 of the upload."""
        self.send(Message.READ, READ.pack(start, stop))
        pieces = []
        while start < stop:
            piece = os.read(self._fd, stop - start)
            if not piece:
                # Ingest has lost interest; there is nobody to tell anything.
                os._exit(0)
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)


Work = Callable[[Job, Channel], None]


def decode_upload(job: Job, channel: Channel) -> None:
    """Decodes one upload, in a process of its own."""
    source = Source(channel.fetch, job.plain_bytes)
    try:
        recognised = recognise(source, duration_max_s=job.limits.duration_max_s)
        limit_cpu(max(job.limits.cpu_min_s, int(recognised.stated_s) // CPU_SHARE))
        heard = decode_sound(source, recognised, job.limits)
    except MediaRefused as refusal:
        _refuse(channel, refusal)
    else:
        _report(channel, recognised, heard)


def _refuse(channel: Channel, refusal: MediaRefused) -> None:
    codes = REFUSED.pack(REFUSALS.index(type(refusal)), list(Reason).index(refusal.reason))
    channel.send(Message.REFUSED, codes)


def _report(channel: Channel, recognised: Recognised, heard: Heard) -> None:
    summary = DECODED.pack(
        list(Container).index(recognised.container),
        list(Codec).index(recognised.codec),
        heard.sample_rate_hz,
        heard.channels,
        heard.samples,
        sum(1 << list(Finding).index(finding) for finding in heard.findings),
        heard.telephone.pcm_bytes,
    )
    channel.send(Message.DECODED, summary)
    for piece in heard.telephone.pieces:
        channel.send(Message.PCM, piece)
    peaks = heard.telephone.peaks()
    for start in range(0, len(peaks), PEAKS_PIECE_BYTES):
        channel.send(Message.PEAKS, peaks[start : start + PEAKS_PIECE_BYTES])


class Zygote:
    """Forks a process for each job it is told of, and tells how each one ended."""

    def __init__(self, control: socket.socket, work: Work) -> None:
        self._control = control
        self._work = work
        self._libc = load_libc()
        self._pid = os.getpid()
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, tuple[int, int]] = {}

    def serve(self) -> None:
        """Returns when ingest closes its end, which also happens when ingest dies."""
        spaces = withdraw(self._libc)
        # Objects that exist now are never collected: so forks go on sharing their pages.
        gc.collect()
        gc.freeze()
        self._control.send(HELLO.pack(b"H", spaces | self._rehearse()))
        self._selector.register(self._control, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._control:
                    self._reap(key.data)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._control, CONTROL_MAX, 1)
        if not message:
            return False
        if message[:1] == b"J":
            self._start(Job.decode(message), fds[0])
        else:
            _, number = KILL.unpack(message)
            if number in self._running:
                os.kill(self._running[number][0], signal.SIGKILL)
        return True

    def _start(self, job: Job, fd: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_decoder(job, fd)
        os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._running[job.number] = (pid, pidfd)
        self._selector.register(pidfd, selectors.EVENT_READ, job.number)

    def _reap(self, number: int) -> None:
        pid, pidfd = self._running.pop(number)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self._control.send(EXITED.pack(b"X", number, status))

    def _become_decoder(self, job: Job, fd: int) -> None:
        status = 1
        try:
            gc.disable()
            limit_cpu(job.limits.cpu_min_s + job.limits.duration_max_s // CPU_SHARE)
            confine(self._libc, fd, zygote=self._pid, memory_max_mib=job.limits.memory_max_mib)
            self._work(job, Channel(SOCKET_FD))
            status = 0
        except SandboxFailed:
            status = NOT_CONFINED
        except MemoryError:
            status = OUT_OF_MEMORY
        finally:
            # No clean-up of what belongs to the zygote, and no traceback of what was heard.
            os._exit(status)

    def _rehearse(self) -> Sandbox:
        """Decodes in confinement once, so that a platform where that fails is found at start."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                limits = DecodeLimits()
                confined = confine(
                    self._libc,
                    theirs.fileno(),
                    zygote=self._pid,
                    memory_max_mib=limits.memory_max_mib,
                )
                warm_up()
                os.write(SOCKET_FD, bytes([confined]))
            finally:
                os._exit(0)
        theirs.close()
        answer = ours.recv(1)
        ours.close()
        os.waitpid(pid, 0)
        if not answer:
            sys.exit("the sandbox does not let the decoder work on this platform")
        return Sandbox(answer[0])


def main(work: Work = decode_upload) -> None:
    """Serves on the socket whose number is the only argument."""
    # Nothing is printed, but errors are counted: see `decoding.libav_errors`.
    av.logging.set_level(av.logging.PANIC)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    warm_up()
    # A vault that stops while this warms up has nobody left to say hello to.
    with suppress(BrokenPipeError):
        Zygote(control, work).serve()


if __name__ == "__main__":
    main()
