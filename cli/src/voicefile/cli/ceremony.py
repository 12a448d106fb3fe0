"""The key ceremony: a recipient's secret half, split over sheets of paper, and joined again.

SLIP-39 (`shamir-mnemonic`): of five sheets any three give the secret back, and two tell nothing of
it. The secret is in this process's memory alone; what is printed is a fifth of it each. On a
machine without a network, which is wiped afterwards.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics

from voicefile.crypto.primitives import SealingKeyPair
from voicefile.crypto.secret import KEY_BYTES, Secret, SecretKey, SecretText
from voicefile.dumps.recipient import Recipient

SHEETS: Final = 5
NEEDED: Final = 3
WORDS: Final = 33
"""A sheet's, for 32 bytes."""
_PER_LINE: Final = 3
_NUMBERED: Final = re.compile(r"\b\d{1,2}\.\s+([a-z]+)")
_LISTED: Final = re.compile(r"<li[^>]*>\s*([a-z]+)", re.IGNORECASE)
"""A word on a sheet for browsers, also as a browser has saved it."""


class SheetsRefused(Exception):
    """The sheets don't give the recipient's secret back. The text says why, and no word of them."""


@dataclass(frozen=True)
class Sheet(Secret):
    """One sheet: for one person, who keeps it where the others' are not."""

    recipient: Recipient
    number: int
    of: int
    needed: int
    words: SecretText

    def as_text(self) -> str:
        """For a printer that knows nothing but text."""
        words = self.words.expose().split()
        lines = [
            "".join(f"{at + 1:>4}. {words[at]:<12}" for at in range(start, start + _PER_LINE))
            for start in range(0, len(words), _PER_LINE)
        ]
        return "\n".join((*self._head(), "", *lines, "", *self._foot(), ""))

    def as_html(self) -> str:
        """For a browser: one page when it is printed."""
        items = "".join(f"<li>{html.escape(word)}</li>" for word in self.words.expose().split())
        head = "".join(f"<p>{html.escape(line)}</p>" for line in self._head() if line)
        foot = "".join(f"<p>{html.escape(line)}</p>" for line in self._foot() if line)
        return (
            "<!doctype html><meta charset=utf-8><title>Backup key sheet</title><style>"
            "body{font:12pt serif;margin:2cm}ol{columns:3;font:14pt monospace;line-height:1.8}"
            f"</style>{head}<ol>{items}</ol>{foot}\n"
        )

    def _head(self) -> tuple[str, ...]:
        return (
            f"voiceFileServer backup key: recipient {self.recipient.name}",
            f"Sheet {self.number} of {self.of}. Any {self.needed} of them open the backups.",
        )

    def _foot(self) -> tuple[str, ...]:
        return (
            f"Public half: {self.recipient}",
            "Keep this sheet sealed, apart from the others. Never type it into a machine but for",
            f"a restore. Made by SLIP-39, without a passphrase. {WORDS} words.",
        )


def make_sheets(
    name: str, *, sheets: int = SHEETS, needed: int = NEEDED
) -> tuple[Recipient, list[Sheet]]:
    """A new recipient and its sheets; the secret itself is nowhere. Raises RecipientInvalid."""
    pair = SealingKeyPair.generate()
    recipient = Recipient(name, pair.public)
    (shares,) = generate_mnemonics(1, [(needed, sheets)], pair.secret.expose())
    # Joined before they are printed: nobody finds out in a fire that a sheet is no good.
    if joined(shares[:needed]).public != pair.public:
        raise SheetsRefused("the sheets do not give the key back")
    return recipient, [
        Sheet(recipient, number, sheets, needed, SecretText(words))
        for number, words in enumerate(shares, 1)
    ]


def joined(shares: Sequence[str]) -> SealingKeyPair:
    """The recipient's pair, of as many sheets' words as are needed. Raises SheetsRefused."""
    try:
        secret = combine_mnemonics(list(shares))
    except MnemonicError:
        raise SheetsRefused("too few sheets, sheets of several keys, or a wrong word") from None
    if len(secret) != KEY_BYTES:
        raise SheetsRefused("the sheets are of another kind of key")
    return SealingKeyPair.from_secret(SecretKey(secret))


def words_of(text: str) -> str:
    """The words on a sheet of either kind, or typed bare. Raises SheetsRefused."""
    found = (kind.findall(text) for kind in (_NUMBERED, _LISTED))
    words = next((each for each in found if len(each) == WORDS), text.split())
    if len(words) != WORDS:
        raise SheetsRefused(f"a sheet has {WORDS} words")
    return " ".join(words)
