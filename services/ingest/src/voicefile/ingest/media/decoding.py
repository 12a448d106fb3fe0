"""The one door to libav: decodes a recognised upload with exactly the demuxer and codec it needs.

Runs in the sandboxed decoder process only. libav guesses nothing here: container and codec are
the ones `media` recognised, anything else is off its list, and the only input it can reach is
the file object it is given.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from errno import ENOMEM

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import BlockingIOError as NeedsMore
from av.error import EOFError as InputEnds
from av.error import FFmpegError
from av.filter import Graph

from voicefile.ingest.media.containers.margins import accept
from voicefile.ingest.media.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.media.containers.source import Source, SourceFile
from voicefile.ingest.media.decoder_protocol import TELEPHONE_RATE_HZ, DecodeLimits
from voicefile.ingest.media.errors import (
    BrokenAudio,
    DecodeLimitExceeded,
    EmptyAudio,
    Reason,
    TooManyChannels,
    UnrecognisedAudio,
)
from voicefile.ingest.media.findings import Finding
from voicefile.ingest.media.recognise import CHANNELS_MAX, SAMPLE_RATES_HZ
from voicefile.ingest.media.rendition import ClippingMeter, Samples, Telephone

DEMUXERS = {
    Container.WAV: "wav",
    Container.MP3: "mp3",
    Container.OGG: "ogg",
    Container.FLAC: "flac",
    Container.M4A: "mov,mp4,m4a,3gp,3g2,mj2",
}
DECODERS = {Codec.MP3: "mp3float"}
"""libav's names where they differ from ours."""

PROBE_BYTES = {Container.WAV: 32}
"""libav would look for other formats inside PCM; a header is all it needs."""
PROBE_BYTES_ELSE = 65_536

WAV_PACKET_BYTES = 32_768
BUFFER_BYTES = 65_536
BLOCK_SAMPLES = 32_768
"""So many samples per channel are handled at once: few calls, little memory."""

FULL_SCALES = {"u8": 128.0, "s16": 32_768.0, "s32": 2_147_483_648.0, "flt": 1.0}


@dataclass(frozen=True)
class Heard:
    """One upload, decoded."""

    sample_rate_hz: int
    channels: int
    samples: int
    findings: tuple[Finding, ...]
    telephone: Telephone


def decode_sound(source: Source, recognised: Recognised, limits: DecodeLimits) -> Heard:
    """Decodes all of it, once. Raises MediaRefused."""
    try:
        with _opened(source, recognised) as container:
            return _Decoding(container, recognised, limits, source.size).run()
    except FFmpegError as failure:
        if failure.errno == ENOMEM:
            raise DecodeLimitExceeded(Reason.MEMORY) from None
        raise BrokenAudio(Reason.DOES_NOT_DECODE) from None


def _opened(source: Source, recognised: Recognised) -> InputContainer:
    demuxer = DEMUXERS[recognised.container]
    options = {
        "format_whitelist": demuxer,
        "codec_whitelist": DECODERS.get(recognised.codec, recognised.codec.value),
        "protocol_whitelist": "none",
        "probesize": str(PROBE_BYTES.get(recognised.container, PROBE_BYTES_ELSE)),
        "max_size": str(WAV_PACKET_BYTES),
    }
    return av.open(
        SourceFile(source),
        mode="r",
        format=demuxer.partition(",")[0],
        container_options=options,
        buffer_size=BUFFER_BYTES,
        metadata_errors="replace",
    )


class _Decoding:
    def __init__(
        self, container: InputContainer, recognised: Recognised, limits: DecodeLimits, upload: int
    ) -> None:
        self._container = container
        self._recognised = recognised
        self._samples_stated = recognised.stated_samples
        self._bytes_max = max(limits.ratio_free_bytes, limits.ratio_max * upload)
        self._samples = 0
        self._sound_bytes = 0
        self._clipping = ClippingMeter()
        self._telephone = Telephone()

    def run(self) -> Heard:
        stream = self._stream()
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        resampler = Resampler(rate)
        errors_before = libav_errors()
        for block in self._blocks(stream, rate, channels):
            self._clipping.hear(block)
            mono = block[0] if channels == 1 else block.mean(axis=0, dtype=np.float32)
            self._hear(resampler.resampled(mono))
        self._hear(resampler.rest())
        self._telephone.finish()
        # What follows a good FLAC frame in its packet is not reported but by an entry in the log.
        if self._recognised.codec is Codec.FLAC and libav_errors() != errors_before:
            raise BrokenAudio(Reason.BYTES_BEYOND_THE_END)
        self._check_against_stated()
        findings = self._telephone.findings()
        if self._clipping.clipped:
            findings.append(Finding.CLIPPED)
        return Heard(rate, channels, self._samples, tuple(findings), self._telephone)

    def _stream(self) -> AudioStream:
        streams = self._container.streams
        if len(streams) != 1 or len(streams.audio) != 1:
            raise UnrecognisedAudio(Reason.NOT_ONE_AUDIO_STREAM)
        stream = streams.audio[0]
        self._compare(stream.codec_context)
        # No threads: the sandbox allows none, and other uploads have the other cores.
        stream.codec_context.thread_count = 1
        if self._recognised.codec is Codec.FLAC:
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        return stream

    def _compare(self, context: AudioCodecContext) -> None:
        """Compares what libav makes of the sound with what the container said."""
        if context.channels > CHANNELS_MAX:
            raise TooManyChannels
        stated = self._recognised
        same = (context.sample_rate, context.channels) == (stated.sample_rate_hz, stated.channels)
        if same:
            return
        # An M4A's boxes often say two channels where the AAC in them says one, or half the rate
        # where it has spectral band replication; only the AAC itself counts.
        doubled = context.sample_rate == 2 * stated.sample_rate_hz
        if stated.codec is not Codec.AAC or not (
            doubled or context.sample_rate == stated.sample_rate_hz
        ):
            raise BrokenAudio
        accept(context.sample_rate <= SAMPLE_RATES_HZ[1], Reason.SAMPLE_RATE)
        self._samples_stated *= 2 if doubled else 1

    def _blocks(self, stream: AudioStream, rate: int, channels: int) -> Iterator[Samples]:
        waiting: list[Samples] = []
        samples = 0
        for frame in self._frames(stream):
            if frame.sample_rate != rate or frame.layout.nb_channels != channels:
                raise BrokenAudio
            waiting.append(as_samples(frame, channels))
            samples += frame.samples
            if samples >= BLOCK_SAMPLES:
                yield self._checked(waiting)
                waiting, samples = [], 0
        if waiting:
            yield self._checked(waiting)

    def _frames(self, stream: AudioStream) -> Iterator[AudioFrame]:
        for packet in self._container.demux(stream):
            self._sound_bytes += packet.size
            yield from packet.decode()

    def _checked(self, waiting: list[Samples]) -> Samples:
        block = np.concatenate(waiting, axis=1) if len(waiting) > 1 else waiting[0]
        self._samples += block.shape[1]
        if self._samples > self._samples_stated + self._recognised.slack_samples:
            raise BrokenAudio(Reason.LENGTH_DIFFERS_FROM_STATED)
        # The largest of numbers with one that is none among them is none either.
        if not (np.isfinite(block.max()) and np.isfinite(block.min())):
            raise BrokenAudio(Reason.DOES_NOT_DECODE)
        return block

    def _hear(self, mono: Samples) -> None:
        self._telephone.hear(mono)
        if self._telephone.pcm_bytes > self._bytes_max:
            raise DecodeLimitExceeded(Reason.RATIO)

    def _check_against_stated(self) -> None:
        if self._sound_bytes != self._recognised.sound_bytes:
            raise BrokenAudio(Reason.BYTES_BEYOND_THE_END)
        off = abs(self._samples - self._samples_stated)
        if off > self._recognised.slack_samples:
            raise BrokenAudio(Reason.LENGTH_DIFFERS_FROM_STATED)
        if self._telephone.samples == 0:
            raise EmptyAudio


def libav_errors() -> int:
    """How many errors libav has logged in this process; needs a log level to be set."""
    count, _ = av.logging.get_last_error()
    return count


def as_samples(frame: AudioFrame, channels: int) -> Samples:
    """Channels x samples of 32-bit floats, full scale being 1."""
    name = frame.format.name
    kind = name.removesuffix("p")
    full_scale = FULL_SCALES.get(kind)
    if full_scale is None:
        raise BrokenAudio(Reason.DOES_NOT_DECODE)
    numbers = frame.to_ndarray()
    if kind == name and channels > 1:
        numbers = numbers.reshape(-1, channels).T
    sound = numbers.astype(np.float32)
    if kind == "u8":
        sound -= np.float32(full_scale)
    if full_scale != 1.0:
        sound *= np.float32(1 / full_scale)
    return sound


class Resampler:
    """Any rate to the telephone's. At 8 kHz it passes samples through untouched."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._position = 0
        self._graph = None if rate_hz == TELEPHONE_RATE_HZ else _resampling_graph(rate_hz)

    def resampled(self, mono: Samples) -> Samples:
        if self._graph is None:
            return mono
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(mono).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = self._rate_hz
        frame.pts = self._position
        self._position += frame.samples
        self._graph.push(frame)
        return self._pulled(self._graph)

    def rest(self) -> Samples:
        if self._graph is None or self._position == 0:
            return np.zeros(0, np.float32)
        self._graph.push(None)
        return self._pulled(self._graph)

    @staticmethod
    def _pulled(graph: Graph) -> Samples:
        pieces = [np.zeros(0, np.float32)]
        while True:
            try:
                frame = graph.pull()
            except (NeedsMore, InputEnds):
                return np.concatenate(pieces)
            assert isinstance(frame, AudioFrame)
            pieces.append(frame.to_ndarray()[0].astype(np.float32, copy=False))


def _resampling_graph(rate_hz: int) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add(
        "abuffer",
        sample_rate=str(rate_hz),
        sample_fmt="flt",
        channel_layout="mono",
        time_base=f"1/{rate_hz}",
    )
    form = graph.add(
        "aformat",
        sample_rates=str(TELEPHONE_RATE_HZ),
        sample_fmts="flt",
        channel_layouts="mono",
    )
    sink = graph.add("abuffersink")
    source.link_to(form)
    form.link_to(sink)
    graph.configure()
    return graph
