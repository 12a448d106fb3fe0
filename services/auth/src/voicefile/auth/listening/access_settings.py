"""What of signing in and listening can be set, and in which bounds."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AccessSettings(BaseSettings):
    """Every limit has a sentence. The throttles' figures are policy, not settings."""

    model_config = SettingsConfigDict(env_prefix="VOICEFILE_AUTH_", frozen=True, extra="ignore")

    pin_threads: Annotated[int, Field(ge=1, le=64)] = 2
    """How many PINs are hashed at the same time."""

    pin_waiting_max: Annotated[int, Field(ge=1, le=1024)] = 64
    """How many more wait for their turn; one beyond is told to come again."""

    pin_strangers_waiting_max: Annotated[int, Field(ge=1, le=1024)] = 48
    """How many of those places strangers may take."""

    refusals_every_s: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Refusals leave at the next multiple of this after they arrived: how long the work took,
    and so whether there was a credential, does not show in the time."""

    attack_answer_s: Annotated[float, Field(ge=0, le=10)] = 10.0
    """In attack mode strangers wait this long for any answer. Whoever asks for them waits longer:
    playback, the edge's forwarder, the switch, the portal. So it can be less, and not more."""

    attack_strangers_max: Annotated[int, Field(ge=1, le=1000)] = 20
    """In attack mode as many strangers are served at once."""

    session_idle_s: Annotated[int, Field(ge=30, le=900)] = 300
    """A session nobody used for this long is over."""

    session_s_max: Annotated[int, Field(ge=60, le=3600)] = 1_800
    """A session is over after this in any case."""

    challenge_s: Annotated[int, Field(ge=30, le=900)] = 300
    """How long a question waits for its answer."""

    challenge_tries: Annotated[int, Field(ge=1, le=10)] = 3
    """How many answers one challenge takes, and one telephone login."""

    telephone_login_s: Annotated[int, Field(ge=30, le=900)] = 300
    """How long an access ID keyed on the telephone waits for its PIN, and for its answer."""

    telephone_login_tries: Annotated[int, Field(ge=1, le=10)] = 3
    """How many PINs one telephone login takes."""

    lease_s: Annotated[int, Field(ge=5, le=45)] = 45
    """How long a released key may be used without asking again; access ends within a minute."""

    listening_idle_s: Annotated[int, Field(ge=60, le=3600)] = 300
    """A listening is over when its lease lapsed this long ago; hearing on is a new one."""

    access_write_tries_max: Annotated[int, Field(ge=1, le=100)] = 20
    """How often a change is tried again that lost its race."""

    access_sweep_every_s: Annotated[int, Field(ge=1, le=3600)] = 60
    """How often lapsed sessions, challenges, logins, releases and buckets are swept."""
