"""What playback answers: the list of recordings a listener may hear."""

from pydantic import BaseModel


class HearableRecording(BaseModel):
    """One recording as its listener sees it in a list."""

    recording_id: str
    state: str
    sensitive: bool
    heard: bool
    """Whether this session may hear it now; a sensitive one needs the question answered."""
    contract_reference: str = ""
    contract_kind: str = ""
    recorded_at: str = ""
    duration_ms: int = 0
    media_type: str = ""
    language: str = ""
    delete_on: str = ""
    objected: bool = False
    """The customer says that this is not their contract; the recording is held."""


class Hearing(BaseModel):
    """That a recording was heard: when, by whom as what, and why; never who."""

    at_ms: int
    role: str
    purpose: str
    """Empty for whoever needs none."""
    downloaded: bool


class Hearings(BaseModel):
    """Who heard a recording, oldest first."""

    hearings: list[Hearing]
    cursor: str | None
    """Where the next page begins; none after the last."""


class Hearable(BaseModel):
    """What a session or care agent may hear."""

    recordings: list[HearableRecording]
