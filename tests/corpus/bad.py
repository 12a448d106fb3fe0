"""Uploads that must be refused, by name, each with the error that refuses it."""

import gzip
import random
from dataclasses import dataclass
from functools import cache

from tests.corpus import bad_flac, bad_m4a, bad_mp3, bad_ogg, bad_wav
from tests.corpus.archives import small_zip
from tests.corpus.make_long import make_long
from tests.corpus.spoken_files import spoken

from voicefile.ingest.media.errors import EmptyAudio, MediaRefused, UnrecognisedAudio


@dataclass(frozen=True)
class BadCase:
    """One upload that must not be taken in."""

    name: str
    body: bytes
    error: type[MediaRefused]

    def __repr__(self) -> str:
        return f"BadCase({self.name})"


@cache
def bad_audio_cases() -> list[BadCase]:
    """All of them: about a hundred, 10 MB in all."""
    sources = (
        _not_audio(),
        _other_audio(),
        bad_wav.cases(),
        bad_mp3.cases(),
        bad_ogg.cases(),
        bad_flac.cases(),
        bad_m4a.cases(),
    )
    return [BadCase(*case) for cases in sources for case in cases]


def _not_audio() -> list[tuple[str, bytes, type[MediaRefused]]]:
    bodies = {
        "text": b"Guten Tag, ich bin gar keine Aufnahme.\n" * 50,
        "json": b'{"audio": true}',
        "html": b"<!doctype html><html><script>alert(1)</script></html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "javascript": b"RIFF=1;alert(document.domain)//WAVE",
        "playlist-that-names-files": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "concat-script": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0" + bytes(64),
        "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(200),
        "gif": b"GIF89a\x01\0\x01\0" + bytes(64),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
        "exe": b"MZ\x90\0" + bytes(60) + b"This program cannot be run in DOS mode.",
        "eicar-like": rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
        "zip": small_zip(),
        "nested-zip": small_zip(small_zip(small_zip(bytes(1_000_000)))),
        "zip-of-audio": small_zip(spoken("pcm16-8k.wav")),
        "gzip-of-audio": gzip.compress(spoken("pcm16-8k.wav"), mtime=0),
        "one-byte": b"R",
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "noise": random.Random(1).randbytes(100_000),
        "g711-without-a-container": spoken("alaw-8k.wav")[58:],
    }
    refused = [(name, body, UnrecognisedAudio) for name, body in bodies.items()]
    return [("empty", b"", EmptyAudio), *refused]


def _other_audio() -> list[tuple[str, bytes, type[MediaRefused]]]:
    forms = ("aiff", "au", "adts", "mka")
    made = [(form, make_long(form, 1, rate=16_000), UnrecognisedAudio) for form in forms]
    return [
        *made,
        ("amr", b"#!AMR\n" + b"\x3c" * 320, UnrecognisedAudio),
        ("caf", b"caff\0\x01\0\0desc" + bytes(100), UnrecognisedAudio),
        ("asf", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100), UnrecognisedAudio),
        ("webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01" + bytes(100), UnrecognisedAudio),
        ("midi", b"MThd\0\0\0\x06\0\0\0\x01\0\x60", UnrecognisedAudio),
    ]
