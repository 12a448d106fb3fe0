"""Access IDs: ten random digits and two check digits (ISO 7064 MOD 97-10), written 4-4-4.

The check digits catch every single wrong digit and every swap, so a slip of the finger is told
apart from a guess before anything is counted against anybody.
"""

from voicefile.crypto.primitives import random_digits

DIGITS = 12
RANDOM_DIGITS = 10
GROUP_DIGITS = 4
TYPED_CHARS_MAX = 32
"""What a person may type around the digits; longer input is not an access ID."""


def new_access_id() -> str:
    """Twelve digits, uniform over all valid access IDs."""
    return with_check_digits(random_digits(RANDOM_DIGITS))


def with_check_digits(digits: str) -> str:
    """The digits followed by the two that make the whole number 1 modulo 97."""
    return f"{digits}{98 - int(digits) * 100 % 97:02d}"


def normalised(typed: str) -> str | None:
    """The twelve digits of what somebody typed; None if that cannot be an access ID."""
    if len(typed) > TYPED_CHARS_MAX:
        return None
    digits = "".join(typed.replace("-", " ").split())
    # str.isdigit also takes digits of other scripts, which would make a second spelling of an ID.
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    return digits if is_valid(digits) else None


def is_valid(digits: str) -> bool:
    """Whether the check digits fit the rest, in the one form that is ever issued (02 to 98)."""
    return with_check_digits(digits[:RANDOM_DIGITS]) == digits


def spaced(access_id: str) -> str:
    """As it is printed in a letter: 4-4-4."""
    return " ".join(
        access_id[start : start + GROUP_DIGITS] for start in range(0, DIGITS, GROUP_DIGITS)
    )
