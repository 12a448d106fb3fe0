"""What a command that could not be carried out says: one line about what a person can mend."""

from collections.abc import Callable
from typing import Final

from voicefile.chassis.wire import PortTaken
from voicefile.cli.engine_settings import SettingsRefused
from voicefile.cli.place import AlreadyRunning, NotRestored
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.docstore.migrations import MigrationsDisagree
from voicefile.docstore.port import StoreIsNewer, StoreIsShut, StoreUnavailable
from voicefile.dumps.errors import RecipientsMissing

_WORDS: Final[dict[type[Exception], Callable[[Exception], str]]] = {
    SettingsRefused: str,
    AlreadyRunning: lambda _: (
        "Another vault uses this folder. Stop it, or set VOICEFILE_DATA_DIR to another."
    ),
    RecipientsMissing: lambda why: f"VOICEFILE_BACKUP_RECIPIENTS does not fit: {why}.",
    NotRestored: lambda _: (
        "A restore into this folder was not finished. Say `voicefile backup restore` again."
    ),
    PortTaken: lambda taken: f"{taken}. Stop that, or choose another port.",
    StoreIsShut: lambda _: (
        "A restore into this database was not finished. Say `voicefile backup restore` again."
    ),
    StoreIsNewer: lambda other: f"The store was left by other code: {other}.",
    MigrationsDisagree: lambda other: f"The store was left by other code: {other}.",
    StoreUnavailable: lambda _: (
        "The document store can't be reached, or refuses us. Nothing was stored."
    ),
    RootUnavailable: lambda _: "The root key can't be reached, or refuses us. Nothing was stored.",
}


def in_words(error: BaseException) -> str | None:
    """The line; None for what nobody foresaw, which is logged as what it is."""
    found = the_only(error)
    return next((say(found) for kind, say in _WORDS.items() if isinstance(found, kind)), None)


def the_only(error: BaseException) -> Exception | None:
    """What went wrong, if it was one thing; task groups wrap what is raised inside of them."""
    if isinstance(error, BaseExceptionGroup):
        inner = [the_only(each) for each in error.exceptions]
        return inner[0] if len({type(each) for each in inner}) == 1 else None
    return error if isinstance(error, Exception) else None
