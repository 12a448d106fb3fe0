"""Makes the bucket, and tries the server."""

from voicefile.blobstore.s3_prepare import AWAY, NotWhatWeNeed, Place, prepare_bucket
from voicefile.cli.prepare_settings import NotPrepared, PrepareSettings, shown, told


async def prepare_s3(settings: PrepareSettings) -> str:
    """Says what was made. Raises NotPrepared."""
    place = Place(
        endpoint=settings.s3_endpoint or "",
        bucket=settings.s3_bucket or "",
        region=settings.s3_region,
        access_key=settings.admin_s3_access_key or "",
        secret_key=shown(settings.admin_s3_secret_key),
        ca=settings.s3_ca,
    )
    try:
        made = await prepare_bucket(place)
    except NotWhatWeNeed as error:
        raise NotPrepared(f"This server will not do: {error}.") from None
    except AWAY as error:
        raise NotPrepared(f"The blob store can't be reached, or refuses: {error}") from None
    return told([(place.bucket, made)])
