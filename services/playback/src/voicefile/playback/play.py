"""Opens the asked range of one sealed rendition and sends it, counting every byte.

A bundle is the whole of it, between the papers that prove it.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicefile.blobstore.port import BlobMissing, BlobName, BlobStore
from voicefile.blobstore.sealed import SealedBlob
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.errors import Tampered
from voicefile.playback.ask_auth import Auth
from voicefile.playback.byte_range import ByteRange, requested
from voicefile.playback.errors import RecordingDamaged, ReleaseOver
from voicefile.playback.listener import Caller
from voicefile.playback.listenings import Listening, Listenings
from voicefile.playback.outcomes import Outcomes
from voicefile.verify.bundle import AudioDiffers, BundleWriter
from voicefile.verify.names import AUDIO_STEM

_SUFFIXES = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
}


class Rendition(StrEnum):
    """A sealed object of a recording, by its role."""

    ORIGINAL = "original"
    TELEPHONE = "telephone"
    PEAKS = "peaks"


@dataclass(frozen=True)
class Opened:
    """A range that is ready to be sent; the length it belongs to is already authenticated."""

    span: ByteRange
    media_type: str
    pieces: AsyncGenerator[bytes, None]

    @property
    def suffix(self) -> str:
        """What a file of this type is called."""
        return _SUFFIXES.get(self.media_type, "bin")


@dataclass(frozen=True)
class Bundle:
    """A recording with all that proves it, as one ZIP file that is ready to be sent."""

    size: int
    pieces: AsyncGenerator[bytes, None]


class Playback:
    """The one way to a recording's bytes: a listening first, then the range."""

    def __init__(
        self,
        *,
        deployment: str,
        auth: Auth,
        blobs: BlobStore,
        listenings: Listenings,
        outcomes: Outcomes,
    ) -> None:
        self._deployment = deployment.encode()
        self._auth = auth
        self._blobs = blobs
        self.listenings = listenings
        self._outcomes = outcomes

    async def hearable(
        self, caller: Caller, *, credential: str | None, request_id: str
    ) -> dict[str, Any]:
        """What the listener may hear, as auth says. Raises as `Auth.hearable` does."""
        return await self._auth.hearable(caller, credential=credential, request_id=request_id)

    async def hearings(
        self, caller: Caller, recording_id: str, *, cursor: str, request_id: str
    ) -> dict[str, Any]:
        """Who heard a recording. Raises as `Auth.hearings` does."""
        return await self._auth.hearings(caller, recording_id, cursor=cursor, request_id=request_id)

    async def play(
        self,
        caller: Caller,
        recording_id: str,
        rendition: Rendition,
        *,
        request_id: str,
        range_header: str | None = None,
        download: bool = False,
    ) -> Opened:
        """The range. Raises as `Listenings.of` does, RangeNotSatisfiable, RecordingDamaged."""
        listening = await self.listenings.of(caller, recording_id, request_id=request_id)
        if download:
            await self._downloaded(listening, request_id=request_id)
        return await self._range(listening, rendition, range_header)

    async def bundle(self, caller: Caller, recording_id: str, *, request_id: str) -> Bundle:
        """The bundle. Raises as `play` does, ProofPending."""
        papers = await self._auth.papers(caller, recording_id, request_id=request_id)
        listening = await self.listenings.of(caller, recording_id, request_id=request_id)
        await self._downloaded(listening, request_id=request_id)
        audio = await self._range(listening, Rendition.ORIGINAL)
        writer = BundleWriter(papers, f"{AUDIO_STEM}.{audio.suffix}")
        before = writer.begin()
        pieces = self._bundled(writer, before, audio.pieces, listening)
        return Bundle(writer.size(audio.span.length), pieces)

    async def _range(
        self, listening: Listening, rendition: Rendition, range_header: str | None = None
    ) -> Opened:
        try:
            blob = await self._open(listening, rendition)
        except (Tampered, BlobMissing):
            await self._damaged(listening)
            raise RecordingDamaged from None
        total = listening.release.true_bytes[rendition]
        if blob.plain_bytes < total:
            await self._damaged(listening)
            raise RecordingDamaged
        return Opened(
            span := requested(range_header, total),
            self._media_type(listening, rendition),
            self._pieces(blob, span, listening),
        )

    async def _open(self, listening: Listening, rendition: Rendition) -> SealedBlob:
        release = listening.release
        context = Context(
            deployment=self._deployment,
            tenant=release.tenant,
            object_id=object_id(release.recording, rendition),
            kind=Kind.AUDIO,
        )
        # Opening it authenticates the last chunk, and with it the length, before a header leaves.
        name = BlobName(release.blobs[rendition])
        return await SealedBlob.open(self._blobs, name, release.key, context)

    def _media_type(self, listening: Listening, rendition: Rendition) -> str:
        if rendition is Rendition.PEAKS:
            return "application/json"
        if rendition is Rendition.TELEPHONE:
            return "audio/wav"
        # What ingest recognised, and only if it is one of ours: never what a file claims to be.
        known = listening.release.media_type
        return known if known in _SUFFIXES else "application/octet-stream"

    async def _pieces(
        self, blob: SealedBlob, span: ByteRange, listening: Listening
    ) -> AsyncGenerator[bytes, None]:
        async with self.listenings.playing(listening):
            try:
                async for piece in blob.stream(span.start, span.stop):
                    # Erased, signed out or re-issued while it plays: the connection breaks off,
                    # which no player takes for the end, as the promised length was not reached.
                    if not self.listenings.usable(listening):
                        raise ReleaseOver
                    listening.bytes_sent += len(piece)
                    yield piece
            except (Tampered, BlobMissing):
                await self._damaged(listening)
                raise RecordingDamaged from None

    async def _bundled(
        self,
        writer: BundleWriter,
        before: bytes,
        audio: AsyncGenerator[bytes, None],
        listening: Listening,
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(audio):
            yield before
            async for piece in audio:
                yield writer.audio(piece)
        try:
            yield writer.end()
        except AudioDiffers:
            # Sealed by us and yet not what the receipt says: no ZIP file ends without its end.
            await self._damaged(listening)
            raise RecordingDamaged from None

    async def _downloaded(self, listening: Listening, *, request_id: str) -> None:
        release = listening.release
        await self._outcomes.downloaded(
            listening.listener,
            tenant=release.tenant,
            recording=release.recording,
            request_id=request_id,
        )

    async def _damaged(self, listening: Listening) -> None:
        release = listening.release
        await self._outcomes.damaged(
            listening.listener, tenant=release.tenant, recording=release.recording
        )
