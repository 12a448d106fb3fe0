"""What audit can be told, each with its unit and why the default is what it is."""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from voicefile.translog.cosignature import WitnessKey
from voicefile.translog.errors import NoteInvalid

BACKUP_TOPIC: Final = "voicefile.backup.v1"
"""Heard where there are backups."""


def _witness_key(value: str) -> str:
    try:
        return str(WitnessKey.parse(value))
    except NoteInvalid:
        raise ValueError("not the key of a witness") from None


class WitnessPlace(BaseModel):
    """One witness: where it is asked, and how its answers are checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, Field(pattern=r"^https://[^\s?#]+$")]
    """Its submission prefix (C2SP tlog-witness)."""
    key: Annotated[str, AfterValidator(_witness_key)]
    """Its public key, as `voicefile witness begin` printed it."""
    ca: Path | None = None
    """PEM file of the authority of its certificate; without it the system's own count."""
    logs: tuple[Annotated[str, Field(pattern="^([0-9a-f]{32}|platform)$")], ...] = ()
    """The logs it is offered, by tenant's id; all of them if none is named."""


class AuditSettings(BaseSettings):
    """Read from the environment, prefix VOICEFILE_AUDIT_."""

    model_config = SettingsConfigDict(env_prefix="VOICEFILE_AUDIT_", frozen=True, extra="ignore")

    topics: tuple[str, ...] = ("voicefile.auth.v1", "voicefile.ingest.v1", "voicefile.playback.v1")
    """The topics whose deeds are appended, besides audit's own."""

    batch_deeds_max: Annotated[int, Field(ge=1, le=10_000)] = 2_000
    """Deeds that one durable write takes up; more wait for the next."""

    segment_deeds_max: Annotated[int, Field(ge=1, le=1_000)] = 256
    """Deeds in one document: a proof has to read the whole document that holds its deed."""

    queue_batches_max: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Batches that may wait for the sequencer; the bus holds back the rest."""

    handle_s_max: Annotated[float, Field(gt=0, le=25.0)] = 20.0
    """How long the bus waits for deeds to be durable before it is told to bring them again; less
    than it takes a handler to have failed, for then it would be the deeds' fault."""

    stuck_after_s: Annotated[float, Field(gt=0)] = 10.0
    """A write that takes longer means that the log cannot be appended to."""

    checkpoint_every_s: Annotated[float, Field(gt=0, le=1.0)] = 0.25
    """How often what is new gets a signed checkpoint; a second at most is promised."""

    publish_segments_max: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Segments that one checkpoint takes up; a long backlog is worked off in steps."""

    durable_within_s: Annotated[float, Field(gt=0, le=1.0)] = 0.25
    """A durable write this recent is believed to be possible again."""

    ready_within_s: Annotated[float, Field(gt=0, le=1.0)] = 0.4
    """How long the probe of a durable write may take; auth waits half a second for the answer."""

    pulse_every_s: Annotated[float, Field(gt=0, le=0.25)] = 0.2
    """How often the leading instance shows the others that it can write; two looks at it have to
    fit into the half second that auth waits."""

    pulse_lasts_s: Annotated[float, Field(gt=0, le=2.0)] = 1.0
    """A pulse seen this long ago counts no longer."""

    boots_kept_s: Annotated[int, Field(ge=60)] = 7 * 86_400
    """Instances heard of within this time are loaded at start, and named to auth."""

    gap_after_s: Annotated[float, Field(gt=0)] = 60.0
    """A missing number is out of order for this long; then it is reported as a gap."""

    index_segments_max: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Segments that are made findable in one step."""

    search_steps_max: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Segments and empty hours or days that one search looks at; then it tells where to go on."""

    outcome_within_s: Annotated[int, Field(ge=60)] = 6 * 3_600
    """When the end of a listening is missed: sessions and agents' tokens live for an hour or two,
    and nobody listens without one."""

    outcome_look_s: Annotated[float, Field(gt=0)] = 60.0
    """How often is looked for releases that miss their end."""

    entries_page_max: Annotated[int, Field(ge=1, le=1_000)] = 500
    """Entries of one answer to an auditor."""

    witnesses: tuple[WitnessPlace, ...] = ()
    """Who is asked to cosign: JSON, a list of {"url", "key", "ca", "logs"}. None unless named."""

    offer_every_s: Annotated[float, Field(ge=0.01)] = 5.0
    """How often a log's new checkpoint is offered to witnesses: they sync a disk for each."""

    offer_s_max: Annotated[float, Field(gt=0, le=60.0)] = 10.0
    """How long a witness may take to answer; the log does not wait for it."""

    offer_again_s_max: Annotated[float, Field(ge=0.01)] = 300.0
    """A witness that is away, or refuses, is asked again after pauses doubling up to this."""

    offer_quiet_s: Annotated[float, Field(gt=0)] = 3_600.0
    """A log without news is offered this often all the same: so a witness notices that it was
    rolled back, and its cosignature stays fresh."""

    tsa_url: Annotated[str, Field(pattern=r"^(https://[^\s?#]+)?$")] = ""
    """Who time-stamps the day's heads (RFC 3161 over HTTPS); nobody unless named."""

    tsa_ca: Path | None = None
    """PEM file of the authorities that its stamps lead to; needed with `tsa_url`."""

    tsa_tls_ca: Path | None = None
    """PEM file of the authority of its certificate for TLS; without it the system's own count."""

    tsa_policy: Annotated[str, Field(pattern=r"^([0-2](\.\d{1,9}){1,32})?$")] = ""
    """The policy a stamp has to be given under, as an object identifier; any if none is named."""

    stamp_look_every_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """How often it is looked whether the day has its stamp."""

    stamp_again_s_max: Annotated[float, Field(gt=0, le=21_600)] = 3_600.0
    """A stamp that could not be had is asked for again after pauses doubling up to this."""

    timestamps_page_max: Annotated[int, Field(ge=1, le=366)] = 31
    """Days of one answer about time stamps; one takes about eight KiB."""

    @model_validator(mode="after")
    def _stamps_are_believed_by_their_chain(self) -> Self:
        if self.tsa_url and self.tsa_ca is None:
            raise ValueError("tsa_url needs tsa_ca")
        return self
