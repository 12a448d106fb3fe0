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


class Hearable(BaseModel):
    """What a session or care agent may hear."""

    recordings: list[HearableRecording]
