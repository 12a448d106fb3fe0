"""One upload's audio becomes three sealed objects: the original, its telephone form, its peaks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from voicefile.blobstore.port import BlobMissing, BlobStore
from voicefile.blobstore.sealed import SealedBlob
from voicefile.crypto.secret import DataKey
from voicefile.ingest.errors import UploadOvertaken
from voicefile.ingest.media.decoder import Decoded, DecodeLimits, Decoders
from voicefile.ingest.media.findings import QUARANTINE
from voicefile.ingest.reservations import Hold
from voicefile.ingest.seal import Push, Seal, SealedObject, once
from voicefile.ingest.store import Role


@dataclass(frozen=True)
class SealedRecording:
    """Durable under the attempt's blob names; nobody points to it yet."""

    original: SealedObject
    telephone: SealedObject
    peaks: SealedObject
    decoded: Decoded

    @property
    def state(self) -> str:
        """Quarantined if the media proves nothing; stored all the same, for the partner to see."""
        return "quarantined" if QUARANTINE & set(self.decoded.findings) else "playable"

    def as_ordered(self) -> dict[str, object]:
        """Blobs and media as auth takes them."""
        objects = {
            Role.ORIGINAL: self.original,
            Role.TELEPHONE: self.telephone,
            Role.PEAKS: self.peaks,
        }
        return {
            "state": self.state,
            "findings": list(self.decoded.findings),
            "blobs": {
                str(role): {"name": each.name, "sealed_bytes": each.sealed_bytes}
                for role, each in objects.items()
            },
            "media": {
                "media_type": self.decoded.media_type,
                "duration_ms": self.decoded.duration_ms,
                "sha256": self.original.sha256.hex(),
                **{f"{role}_bytes": each.plain_bytes for role, each in objects.items()},
            },
        }


async def seal_recording(
    audio: AsyncIterator[bytes],
    *,
    key: DataKey,
    hold: Hold,
    blobs: BlobStore,
    decoders: Decoders,
    deployment: str,
    limits: DecodeLimits,
) -> SealedRecording:
    """Seals while receiving, then decodes what was sealed. Raises IngestError, MediaError."""
    seal = Seal(blobs, hold.reservation, key, deployment=deployment)
    original = await seal.pulled(Role.ORIGINAL, _beating(audio, hold))

    async def decode(push: Push) -> Decoded:
        # Back through the seal: what is heard here is what will be played, not what passed by.
        sealed = await SealedBlob.open(blobs, original.name, key, seal.context(Role.ORIGINAL))
        return await decoders.decode(
            sealed.read, original.plain_bytes, telephone=push, limits=limits
        )

    try:
        async with hold.kept():
            decoded, telephone = await seal.pushed(Role.TELEPHONE, decode)
            peaks = await seal.pulled(Role.PEAKS, once(decoded.peaks))
    except BlobMissing:
        # A retry has won meanwhile and tidied up: its answer is the one that counts.
        raise UploadOvertaken from None
    return SealedRecording(original, telephone, peaks, decoded)


async def _beating(audio: AsyncIterator[bytes], hold: Hold) -> AsyncIterator[bytes]:
    async for piece in audio:
        await hold.beat()
        yield piece
