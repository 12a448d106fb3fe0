"""Six digits of a receipt, to be compared by ear: over the telephone, on a page, on paper.

    digits = first 8 bytes, big-endian, of SHA-256("voicefile/receipt-digits" 00 ‖ receipt text)
             modulo 1,000,000, as six decimal digits

They tell one receipt from another by accident, not by intent: whoever can sign receipts can try
a million salts. What proves a receipt is its place in the log.
"""

import hashlib
from typing import Final

LABEL: Final = b"voicefile/receipt-digits\x00"
DIGITS: Final = 6


def spoken_digits(receipt_text: str) -> str:
    """The receipt's six digits; `receipt_text` is the compact JWS and nothing around it."""
    digest = hashlib.sha256(LABEL + receipt_text.encode("ascii")).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 10**DIGITS:0{DIGITS}}"
