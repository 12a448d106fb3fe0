"""Padding: the length of what is sealed tells nothing, since a name's length is a trace of it."""

from voicefile.crypto.errors import Tampered

_LENGTH_BYTES = 4


def padded(content: bytes, *, block_bytes: int) -> bytes:
    """The content's length, the content, and zeros up to a whole number of blocks."""
    framed = len(content).to_bytes(_LENGTH_BYTES, "big") + content
    return framed + bytes(-len(framed) % block_bytes)


def unpadded(framed: bytes) -> bytes:
    """The content. Raises Tampered if the frame cannot hold what it says."""
    length = int.from_bytes(framed[:_LENGTH_BYTES], "big")
    content = framed[_LENGTH_BYTES : _LENGTH_BYTES + length]
    if len(content) != length or any(framed[_LENGTH_BYTES + length :]):
        raise Tampered("padding")
    return content
