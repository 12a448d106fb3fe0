"""Long and odd recordings, made when a test needs them: speech in a loop, through libav."""

import io
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray
from tests.corpus.spoken_files import spoken

WAV_HEADER_BYTES = 44
BLOCK_S = 10

FORMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "wav": ("wav", "pcm_s16le", {}),
    "alaw": ("wav", "pcm_alaw", {}),
    "mulaw": ("wav", "pcm_mulaw", {}),
    "mp3": ("mp3", "libmp3lame", {"b": "64000"}),
    "opus": ("ogg", "libopus", {"b": "16000"}),
    "flac": ("flac", "flac", {}),
    "m4a": ("ipod", "aac", {"b": "64000"}),
    "alac": ("ipod", "alac", {}),
    "aiff": ("aiff", "pcm_s16be", {}),
    "au": ("au", "pcm_mulaw", {}),
    "adts": ("adts", "aac", {}),
    "mka": ("matroska", "pcm_s16le", {}),
    "mp2": ("mp2", "mp2", {"b": "128000"}),
    "oggflac": ("ogg", "flac", {}),
    "vorbis": ("ogg", "vorbis", {"strict": "experimental"}),
    "fragmented": ("mp4", "aac", {}),
}
"""Name: libav's format, encoder and its options. Not all of them are accepted."""

LOOPED: dict[str, dict[str, str]] = {"mp3": {"reservoir": "0"}, "opus": {}, "m4a": {}}
"""Forms whose frames may be repeated, with what makes each stand for itself."""
BASE_S = 10

Pcm = NDArray[np.int16]


def looped_speech(seconds: float, rate: int) -> Pcm:
    """Speech of exactly this length. At a rate other than 8 kHz it speaks faster: who cares."""
    pcm = np.frombuffer(spoken("pcm16-8k.wav")[WAV_HEADER_BYTES:], "<i2").astype(np.int16)
    return np.resize(pcm, round(seconds * rate))


def encode(
    form: str,
    pcm: Pcm,
    *,
    rate: int,
    channels: int = 1,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> bytes:
    """The samples (one channel's, copied to all) in this form."""
    container_format, codec, usual = FORMS[form]
    out = io.BytesIO()
    with av.open(out, "w", format=container_format, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=codec_options or usual)
        stream.layout = "mono" if channels == 1 else "stereo"
        resampler = av.AudioResampler(
            format=stream.format, layout=stream.layout, rate=rate, frame_size=0
        )
        for start in range(0, pcm.size, BLOCK_S * rate):
            block = np.repeat(pcm[start : start + BLOCK_S * rate], channels).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout=stream.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return out.getvalue()


def make_long(form: str, seconds: float, *, rate: int = 8_000) -> bytes:
    """Mono speech of this length in this form, to a frame. Coded frames are made once and
    repeated, for coding takes ten times as long as the decoding to be tested."""
    if form not in LOOPED or seconds <= BASE_S:
        return encode(form, looped_speech(seconds, rate), rate=rate)
    container_format, codec, options = FORMS[form]
    out = io.BytesIO()
    with av.open(out, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, options=options | LOOPED[form])
        stream.layout = "mono"
        packets = _base_packets(stream, rate)
        frame_samples = stream.codec_context.frame_size
        for number in range(round(seconds * rate / frame_samples)):
            packet = av.Packet(packets[number % len(packets)])
            packet.stream, packet.time_base = stream, Fraction(1, rate)
            packet.pts = packet.dts = number * frame_samples
            packet.duration = frame_samples
            container.mux(packet)
    return out.getvalue()


def _base_packets(stream: av.AudioStream, rate: int) -> list[bytes]:
    pcm = looped_speech(BASE_S, rate).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
    coded = [packet for part in resampler.resample(frame) for packet in stream.encode(part)]
    # The first frames hold what the coder needs to get going.
    return [bytes(packet) for packet in coded[8:]]
