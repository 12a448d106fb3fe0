"""What the portal can be told, each with its unit and why the default is what it is."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class PortalSettings(BaseSettings):
    """Read from the environment, prefix VOICEFILE_PORTAL_."""

    model_config = SettingsConfigDict(env_prefix="VOICEFILE_PORTAL_")

    root: str = "/portal"
    """Where the pages are mounted; links on them begin with it."""
    default_language: str = "de"
    """What a browser gets that asks for none of the languages there are."""
    form_bytes_max: int = 8192
    """A form is a few short fields; more is not one of ours."""
    answer_timeout_s: float = 15.0
    """How long another service may take before the page says: try again."""
    known_device_s: int = 180 * 24 * 3600
    """How long a browser that once signed in keeps its own count of attempts."""
