"""Zip archives to hide in sound."""

import io
import zipfile


def small_zip(inner: bytes = b"nothing of worth") -> bytes:
    """A zip archive of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("inner"), inner)
    return out.getvalue()
