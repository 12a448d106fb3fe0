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
