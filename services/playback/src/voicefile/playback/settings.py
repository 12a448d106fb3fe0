"""What playback can be told, each with its unit and why the default is what it is."""

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
    listenings_max: int = 2000
    """Listenings held at once by one instance; each is a key and a few ids in memory."""
    listenings_per_listener_max: int = 100
    """Of these, one session or one agent; an access ID has no more recordings."""
