"""What a start finds out that no waiting changes, in words for whoever set it up."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from voicefile.cli.engine_settings import SettingsRefused, variable
from voicefile.crypto.errors import Tampered
from voicefile.crypto.rootkey import VersionGone

_ANOTHER_ROOT: Final = (
    f"{variable('root')} leads to another root key than the one that the store was made with."
)
_REFUSED: Final[Mapping[type[Exception], str]] = {
    VersionGone: _ANOTHER_ROOT,
    Tampered: _ANOTHER_ROOT,
}
ANOTHER_DEPLOYMENT: Final = (
    f"{variable('deployment')} is another than the one that the store was made with."
)


@contextmanager
def named(own: Mapping[type[Exception], str]) -> Iterator[None]:
    """Around a start. `own`: what the service itself may find out. Raises SettingsRefused."""
    known = {**_REFUSED, **own}
    try:
        yield
    except tuple(known) as error:
        text = next(text for kind, text in known.items() if isinstance(error, kind))
        raise SettingsRefused(text) from None
