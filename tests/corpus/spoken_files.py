"""The spoken corpus: small files in every accepted form, and what is true of each."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "spoken"
MANIFEST = FOLDER / "manifest.json"

MEDIA_TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".opus": "audio/ogg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
}
CODECS = {
    "pcm8": "pcm_u8",
    "pcm16": "pcm_s16le",
    "pcm24": "pcm_s24le",
    "pcm32": "pcm_s32le",
    "alaw": "pcm_alaw",
    "ulaw": "pcm_mulaw",
    "mp3": "mp3",
    "opus": "opus",
    "flac": "flac",
    "m4a": "aac",
}
RATES_HZ = {"8k": 8_000, "16k": 16_000, "44k1": 44_100, "48k": 48_000}
TWO_SECONDS = {"pcm24-16k.wav", "pcm32-8k.wav", "pcm16-44k1.wav", "flac-44k1-24bit.flac"}


@dataclass(frozen=True)
class Spoken:
    """One file of the corpus."""

    name: str
    sha256: str
    media_type: str
    codec: str
    duration_ms: int
    sample_rate_hz: int
    channels: int

    @property
    def path(self) -> Path:
        return FOLDER / self.name

    def read(self) -> bytes:
        return self.path.read_bytes()


def spoken_files() -> list[Spoken]:
    """All of it, as the manifest has it."""
    return [Spoken(**entry) for entry in json.loads(MANIFEST.read_text())]


def spoken(name: str) -> bytes:
    """The bytes of one file."""
    return (FOLDER / name).read_bytes()


def describe(path: Path) -> Spoken:
    """What its name says; Opus always decodes to 48 kHz."""
    kind, *form = path.stem.split("-")
    rate = 48_000 if kind == "opus" else RATES_HZ[form[0]]
    return Spoken(
        name=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        media_type=MEDIA_TYPES[path.suffix],
        codec=CODECS[kind],
        duration_ms=2_000 if path.name in TWO_SECONDS else 4_000,
        sample_rate_hz=rate,
        channels=2 if "stereo" in form else 1,
    )


if __name__ == "__main__":
    files = sorted(path for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES)
    entries = [asdict(describe(path)) for path in files]
    MANIFEST.write_text(json.dumps(entries, indent=2) + "\n")
