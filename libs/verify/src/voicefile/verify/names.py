"""What the files of a bundle are called, in the order in which they lie in it."""

from typing import Final

BUNDLE: Final = "bundle"
"""The container itself, where it is what is wrong."""
GUIDE: Final = "VERIFY.txt"
LOG_KEY: Final = "log-key.txt"
RECEIPT: Final = "receipt.jws"
PROOF: Final = "receipt.tlog-proof"
RECEIPT_KEY: Final = "receipt-key.json"
KEY_PROOF: Final = "receipt-key.tlog-proof"
DEEDS: Final = "deeds.json"
AUDIO_STEM: Final = "audio"

TEXTS: Final = (GUIDE, LOG_KEY, RECEIPT, PROOF, RECEIPT_KEY, KEY_PROOF, DEEDS)
"""Everything but the audio, which is the last."""
AUDIO: Final = tuple(f"{AUDIO_STEM}.{ending}" for ending in ("wav", "mp3", "ogg", "flac", "m4a"))


def audio_name(file: str) -> str | None:
    """What an audio file of that name is called in a bundle; None if its ending is none of them."""
    name = f"{AUDIO_STEM}.{file.rpartition('.')[2].lower()}"
    return name if name in AUDIO else None
