"""What ingest can be told: every limit on what a stranger may send, each with its reason."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

KIB = 1024
MIB = 1024 * KIB


class IngestSettings(BaseSettings):
    """Read from the environment, prefix VOICEFILE_INGEST_."""

    model_config = SettingsConfigDict(env_prefix="VOICEFILE_INGEST_")

    upload_bytes_max: int = 512 * MIB
    """Audio of one upload: two hours of 16-bit stereo at 16 kHz are 440 MiB."""
    metadata_bytes_max: int = 64 * KIB
    """The metadata part is held whole while it is parsed, so it is small."""
    duration_max_s: int = 7_200
    """A summary of a contract is minutes long; two hours is a call that nobody hung up."""
    part_header_bytes_max: int = 4 * KIB
    """One header line of a part; real ones are below 200 bytes."""
    part_headers_max: int = 8
    """Header lines of one part; real ones have two or three."""
    epilogue_bytes_max: int = 4 * KIB
    """What may follow the closing boundary: a line end, in practice."""
    upload_idle_s: float = 30.0
    """A connection that brings no byte for this long has ended without saying so."""
    upload_total_s_max: float = 7_200.0
    """No upload lasts longer, so a blob a day old belongs to none that is still under way."""
    upload_rate_bytes_s_min: int = 4 * KIB
    """Slower than a telephone modem is not a slow line, but one that holds a place on purpose."""
    upload_rate_window_s: float = 30.0
    """The rate is judged each time a sender was waited for this long, so no fast start buys a slow
    rest; every line may stumble for less."""
    uploads_max: int = 64
    """Uploads read at the same time; each may hold 16 MiB."""
    uploads_tenant_part: float = Field(default=0.5, gt=0, le=1)
    """Of these places, one tenant's at most: all its partners together shut nobody else out."""
    uploads_partner_part: float = Field(default=0.25, gt=0, le=1)
    """Of these places, one partner's at most: a stolen token fills no more of its tenant's."""
    upload_queue_s: float = 10.0
    """How long an upload waits for a place; shorter than a lease, so its reservation stays ours."""
    lease_s: float = 15.0
    """A reservation nobody renews for this long is free to be taken over."""
    lease_renew_s: float = 5.0
    """A lease is renewed when bytes flow and it is this old: three chances before it ends."""
    duplicate_wait_s: float = 60.0
    """How long a retry waits for the upload it repeats before it is told to come later."""
    duplicate_poll_s: float = 0.25
    """How soon a retry looks again for an upload that another instance has in hand."""
    duplicate_poll_s_max: float = 2.0
    """That pause doubles up to this: a thousand retries must not become a flood of questions."""
    auth_timeout_s: float = 10.0
    """How long auth may take to answer before its answer counts as unknown."""
    issue_attempts_max: int = 3
    """Tries at issuing access within one upload; auth is idempotent by recording id."""
    issue_retry_s: float = 0.2
    """Pause before asking auth again after no answer; it doubles."""
    reseal_attempts_max: int = 3
    """Epochs that may retire under one upload; a fourth would be an attack or a broken clock."""
    retry_after_s: int = 5
    """What Retry-After says when the vault can't decide now."""
    refused_discard_bytes_max: int = 128 * MIB
    """Read and thrown away after a refusal, so that a client still sending sees the answer."""
    refused_discard_s: float = 10.0
    """The same, in time."""
    sweep_interval_s: float = 3_600.0
    """How often the sweeper looks for what crashes left."""
    manifests_interval_s: float = 3_600.0
    """How often is looked whose day is over and not yet signed."""
    sweep_after_s: float = 86_400.0
    """Younger blobs and reservations are left alone: their upload may still be under way."""
    sweep_pages_max: int = 10_000
    """Pages of reservations in one pass; what is left waits for the next."""
    sweep_page: int = 1_000
    """Blobs asked about in one question to auth; auth takes no more."""
    feed_page_max: int = 500
    """Entries of one answer of the change feed."""
    feed_attempts_max: int = 100
    """Tries at taking the next number of a partner's feed while other instances take numbers."""
    signing_keys_ttl_s: float = 300.0
    """How long auth's public keys are believed before they are fetched again."""
