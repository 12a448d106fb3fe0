"""The words between ingest and its decoder process; fixed layouts, so that nothing is parsed.

Two sockets. The control socket (one message per packet) runs between ingest and the zygote:

    → J job number, limits, length of the upload     with the job's end of a socket pair
    → K job number                                   kill it
    ← H sandbox flags                                the zygote is ready
    ← X job number, wait status                      a job's process ended

The job socket runs between ingest and the process that decodes one upload; every message is
type u8, length u32, payload:

    ← READ     start u64, stop u64                   → exactly those bytes, without a header
    ← REFUSED  refusal u8, reason u8
    ← DECODED  `DECODED`, fixed                      then
    ← PCM      16-bit little-endian samples, until as many came as DECODED promised, then
    ← PEAKS    one byte each, as many as DECODED promised

Ingest trusts none of it: lengths are bounded before they are read, codes must be on a list.
"""

import struct
from dataclasses import astuple, dataclass
from enum import IntEnum, IntFlag

TELEPHONE_RATE_HZ = 8000
PEAKS_PER_SECOND = 20
SAMPLES_PER_PEAK = TELEPHONE_RATE_HZ // PEAKS_PER_SECOND
BYTES_PER_SAMPLE = 2
PEAK_MAX = 127

READ_MAX = 262_144
"""Bytes the decoder may ask for at once: a minute of G.711 is two questions."""

PIECE_BYTES = 262_144
"""Bytes of telephone sound handed over at once."""

PEAKS_PIECE_BYTES = 65_536

HEAD = struct.Struct(">BI")
READ = struct.Struct(">QQ")
REFUSED = struct.Struct(">BB")
DECODED = struct.Struct(">BBIBQHQ")
"""Container, codec, sample rate, channels, samples per channel, findings, bytes of rendition."""

JOB = struct.Struct(">cQQIIIIQQ")
KILL = struct.Struct(">cQ")
HELLO = struct.Struct(">cB")
EXITED = struct.Struct(">cQi")
CONTROL_MAX = 64

NOT_CONFINED = 70
"""Exit status of a process that did not start to decode, because it could not be confined."""


OUT_OF_MEMORY = 71
"""Exit status of a process that reached its limit."""


class Message(IntEnum):
    """Types on the job socket."""

    READ = 1
    REFUSED = 2
    DECODED = 3
    PCM = 4
    PEAKS = 5


class Sandbox(IntFlag):
    """What confines the decoder. Where a flag is missing, the platform did not offer it."""

    NONE = 0
    SECCOMP = 1
    """A list of allowed system calls: no open, no socket, no exec, no new process."""
    NAMESPACES = 2
    """No network device but an unconfigured loopback, and no privileges."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one upload may cost."""

    duration_max_s: int = 7_200
    """Longest recording taken in, in seconds."""

    memory_max_mib: int = 256
    """Resident memory of the process that decodes it."""

    wall_max_s: int = 300
    """Seconds ingest waits for the decoder in all; the time it waits for ingest is not counted."""

    cpu_min_s: int = 10
    """Processor seconds any upload may take; beyond, a tenth of its stated duration."""

    ratio_max: int = 50
    """Bytes of telephone sound (16,000 a second) per byte of upload.

    The rendition is what is kept in memory and stored, so it is what an upload can blow up; a
    ratio against the decoder's own 48 kHz would refuse honest Opus of 8 kbit/s (96 times), which
    here is 16 times.
    """

    ratio_free_bytes: int = 4_194_304
    """So much sound (4 min 22 s) any upload may become: silence packs to almost nothing, and a
    silent recording is quarantined with its finding rather than refused."""


@dataclass(frozen=True)
class Job:
    """One upload to decode, as the zygote hears of it."""

    number: int
    plain_bytes: int
    limits: DecodeLimits

    def encode(self) -> bytes:
        limits: tuple[int, ...] = astuple(self.limits)
        return JOB.pack(b"J", self.number, self.plain_bytes, *limits)

    @classmethod
    def decode(cls, message: bytes) -> "Job":
        _, number, plain_bytes, *limits = JOB.unpack(message)
        return cls(number, plain_bytes, DecodeLimits(*limits))
