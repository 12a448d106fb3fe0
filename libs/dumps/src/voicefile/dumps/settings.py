"""What each service is told about backups: who can read them. By its own settings, nobody else's.

Were it the service that carries backups that says whom they are sealed to, whoever takes over its
host would name a key of their own.
"""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voicefile.dumps.errors import RecipientInvalid, RecipientsMissing
from voicefile.dumps.recipient import RECIPIENTS_MAX, RECIPIENTS_MIN, Recipient


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _recipient(value: str) -> str:
    try:
        return str(Recipient.parse(value))
    except RecipientInvalid:
        raise ValueError("not a recipient's key") from None


RecipientText = Annotated[str, AfterValidator(_recipient)]


class DumpSettings(BaseSettings):
    """Read from the environment, prefix VOICEFILE_BACKUP_; the same in every service."""

    model_config = SettingsConfigDict(
        env_prefix="VOICEFILE_BACKUP_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    recipients: Annotated[tuple[RecipientText, ...], NoDecode, BeforeValidator(_split)] = ()
    """Whom backups are sealed to, as `voicefile backup ceremony` printed them, separated by commas;
    two at least. None: the service gives out no dump."""

    drill_key: RecipientText | None = None
    """Whom canaries are sealed to besides, for the daily drill: `voicefile backup drill-key`."""

    def drilled_by(self) -> tuple[Recipient, ...]:
        """The drill alone. Raises RecipientsMissing if there is none."""
        if self.drill_key is None:
            raise RecipientsMissing("no drill is set")
        return (Recipient.parse(self.drill_key),)

    def sealed_to(self) -> tuple[Recipient, ...]:
        """The recipients. Raises RecipientsMissing."""
        found = {each.public: each for each in map(Recipient.parse, self.recipients)}
        if len({each.name for each in found.values()}) != len(self.recipients):
            raise RecipientsMissing("a recipient is named twice")
        if not RECIPIENTS_MIN <= len(found) <= RECIPIENTS_MAX:
            raise RecipientsMissing(f"a backup has {RECIPIENTS_MIN} recipients at least")
        return tuple(found.values())
