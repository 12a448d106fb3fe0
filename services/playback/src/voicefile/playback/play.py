"""Opens the asked range of one sealed rendition and sends it, counting every byte."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.blobstore.sealed import SealedBlob
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.playback.byte_range import ByteRange, requested
from voicefile.playback.errors import ReleaseOver
from voicefile.playback.listenings import Listening, Listenings

TELEPHONE_MEDIA_TYPE = "audio/wav"
PEAKS_MEDIA_TYPE = "application/json"


class Rendition(StrEnum):
    """A sealed object of a recording, by its role."""

    ORIGINAL = "original"
    TELEPHONE = "telephone"
    PEAKS = "peaks"


@dataclass(frozen=True)
class Opened:
    """A range that is ready to be sent; its first bytes are already authenticated."""

    span: ByteRange
    media_type: str
    pieces: AsyncIterator[bytes]


async def play(
    listening: Listening,
    rendition: Rendition,
    *,
    range_header: str | None,
    deployment: str,
    blobs: BlobStore,
    listenings: Listenings,
) -> Opened:
    """The range, authenticated before it is answered. Raises RangeNotSatisfiable, Tampered."""
    release = listening.release
    context = Context(
        deployment=deployment.encode(),
        tenant=release.tenant,
        object_id=object_id(release.recording, rendition),
        kind=Kind.AUDIO,
    )
    name = BlobName(release.blobs[rendition])
    # Opening it authenticates the last chunk, and with it the length, before a header leaves.
    blob = await SealedBlob.open(blobs, name, release.key, context)
    span = requested(range_header, min(release.true_bytes[rendition], blob.plain_bytes))
    media_type = {
        Rendition.ORIGINAL: release.media_type,
        Rendition.TELEPHONE: TELEPHONE_MEDIA_TYPE,
        Rendition.PEAKS: PEAKS_MEDIA_TYPE,
    }[rendition]
    return Opened(span, media_type, _pieces(blob, span, listening, listenings))


async def _pieces(
    blob: SealedBlob, span: ByteRange, listening: Listening, listenings: Listenings
) -> AsyncIterator[bytes]:
    async with listenings.playing(listening):
        async for piece in blob.stream(span.start, span.stop):
            # Erased, signed out or re-issued while it plays: the connection breaks off, which a
            # player can't take for the end, because the promised length was not reached.
            if not listenings.usable(listening):
                raise ReleaseOver
            listening.bytes_sent += len(piece)
            yield piece
