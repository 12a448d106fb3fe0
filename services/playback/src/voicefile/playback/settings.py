"""What playback can be told, each with its unit and why the default is what it is."""

from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class PlaybackSettings(BaseSettings):
    """Read from the environment, prefix VOICEFILE_PLAYBACK_."""

    model_config = SettingsConfigDict(env_prefix="VOICEFILE_PLAYBACK_")

    listening_idle_s: float = 300.0
    """A listening ends when no byte was asked for this long; then its outcome is recorded."""
    renew_before_s: float = 15.0
    """A lease that plays is renewed when less than this is left of it."""
    housekeeping_s: float = 5.0
    """How often leases are looked after and idle listenings ended."""
    auth_timeout_s: float = 10.0
    """How long an answer of auth may take before the listener is told to try again."""
    auth_pin_timeout_s: float = 14.0
    """The same for a PIN keyed on the telephone: under attack auth answers strangers only after ten
    seconds, and that is an answer."""
    listenings_max: int = 2000
    """Listenings held at once by one instance; each is a key and a few ids in memory. Then the one
    that was idle longest gives way; if none is, whoever asks is told to try again."""
    listenings_per_listener_max: int = 100
    """Of these, one session or one agent, likewise; an access ID has no more recordings."""

    telephone_prompts: Path | None = None
    """The folder of what is spoken (`voicefile prompts build`). None: no calls are answered. The
    embedded vault has its own."""
    telephone_lines: Path | None = None
    """The file of numbers; without it every number is a shared one, in German and English."""
    telephone_edge: str = "127.0.0.1:8470"
    """How an edge reaches the forwarder beside it, for what it fetches from us."""
    calls_max: int = 200
    """Calls of one instance at once; whoever calls then is asked to call again."""
    call_answer_s: float = 16.0
    """How long an edge waits to be told what comes next, all questions to auth together; then the
    caller hears an apology. The forwarder beside the edge has to wait longer."""
    call_idle_s: int = 600
    """A call is over of which an edge tells nothing for so long; a pause ends in half of it."""

    @model_validator(mode="after")
    def _answered_after_auth(self) -> Self:
        if self.call_answer_s <= self.auth_pin_timeout_s:
            raise ValueError("call_answer_s must be more than auth_pin_timeout_s")
        return self
