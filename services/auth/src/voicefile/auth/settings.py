"""What of auth can be set, and in which bounds."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from voicefile.auth.keys.custody import TTL_S
from voicefile.crypto.keyring import EPOCH_OPEN_MAX_S

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
WRITE_S_MAX = 60
"""How long a write may take that was begun under a key just before it was forgotten."""
CLOCKS_APART_S_MAX = 60
"""How far the clocks of instances may differ before anything one-time could be used twice. For
tokens it is five seconds (their reader's leeway), so time is to be kept by NTP in any case."""


class AuthSettings(BaseSettings):
    """Auth's settings; every limit has a sentence."""

    model_config = SettingsConfigDict(env_prefix="VOICEFILE_AUTH_", frozen=True, extra="ignore")

    epoch_max_s: Annotated[int, Field(ge=60, le=EPOCH_OPEN_MAX_S)] = EPOCH_OPEN_MAX_S
    """An older epoch gets a successor; six days at most, so that its keys are gone by seven."""

    custody_ttl_s: Annotated[int, Field(ge=1, le=TTL_S)] = TTL_S
    """How long an unlocked key stays in memory."""

    epoch_grace_s: Annotated[int, Field(le=DAY_S // 2)] = 2 * TTL_S
    """How long a retired epoch waits before its keys are destroyed: every instance must have
    forgotten that it was the current one, and finished what it was writing. So it is at least
    `custody_ttl_s` and a minute."""

    rotate_every_s: Annotated[int, Field(ge=1, le=HOUR_S)] = 600
    """How often is looked whether an epoch is due."""

    sweep_every_s: Annotated[int, Field(ge=1, le=HOUR_S)] = 300
    """How often expired answers, used assertions and claims of nothing are swept."""

    expire_every_s: Annotated[int, Field(ge=1, le=HOUR_S)] = 600
    """How often is looked for what is due to be erased, and for changed retention rules."""

    erasure_confirm_s: Annotated[int, Field(ge=60, le=30 * DAY_S)] = 7 * DAY_S
    """How long an erasure that one person asked for waits for another to confirm it."""

    tenant_restore_days: Annotated[int, Field(ge=1, le=365)] = 90
    """How long a closed tenant can come back; then it is erased."""

    scrub_every_s: Annotated[int, Field(ge=60, le=7 * DAY_S)] = DAY_S
    """How often every record is read, to see whether somebody wrote past auth; a start or another
    leader in between changes nothing."""

    scrub_look_s: Annotated[int, Field(ge=1, le=HOUR_S)] = HOUR_S
    """How often is looked whether it is time for that."""

    claim_max_s: Annotated[int, Field(ge=60)] = DAY_S
    """A claimed access ID without a credential is given back after this."""

    answer_max_s: Annotated[int, Field(ge=60, le=7 * DAY_S)] = 72 * HOUR_S
    """How long an upload's answer can be asked for again."""

    recordings_max: Annotated[int, Field(ge=1, le=1000)] = 100
    """How many recordings share one access ID."""

    scopes_max: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """How many departments and projects a tenant has."""

    write_tries_max: Annotated[int, Field(ge=1, le=100)] = 20
    """How often a change is tried again that lost its race."""

    search_hits_max: Annotated[int, Field(ge=1, le=100)] = 20
    """How many customers one search shows."""

    partner_token_s: Annotated[int, Field(ge=1, le=300)] = 300
    """How long a partner's access token lasts."""

    staff_token_s: Annotated[int, Field(ge=1, le=900)] = 900
    """How long a staff member's access token lasts."""

    assertion_audiences: tuple[str, ...] = ("https://localhost:8443/auth/v1/token",)
    """What a client assertion may be addressed to, beside the deployment's name: our token URL."""

    assertion_s_max: Annotated[int, Field(ge=1, le=300)] = 60
    """How far ahead a client assertion may expire."""

    @model_validator(mode="after")
    def _forgotten_before_destroyed(self) -> Self:
        # Less would destroy the key under which another instance has just filed a recording.
        if self.epoch_grace_s < self.custody_ttl_s + WRITE_S_MAX:
            raise ValueError("epoch_grace_s must be at least custody_ttl_s and a minute")
        return self
