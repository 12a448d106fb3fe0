"""What goes wrong with dumps, named after what happened.

DumpError
├── RecipientInvalid    a text is no recipient's key
├── RecipientsMissing   fewer recipients are set than a backup must have
├── FrameInvalid        what came is no dump, or not all of one
└── DumpIncomplete      the segments that were opened are not the whole dump
"""


class DumpError(Exception):
    """What this package raises on purpose."""


class RecipientInvalid(DumpError):
    """The text is no recipient's key, or its check digits are of another."""


class RecipientsMissing(DumpError):
    """With fewer than two recipients a lost set of sheets would be the loss of everything."""


class FrameInvalid(DumpError):
    """The stream is no dump, broke off, or says something else than it holds."""


class DumpIncomplete(DumpError):
    """Segments are missing, doubled, or another dump's."""
