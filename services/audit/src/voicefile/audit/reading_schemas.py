"""What is asked when deeds are looked for, and what is answered. Bytes are standard base64."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from voicefile.audit.events import shown, word
from voicefile.audit.look_up import Cursor, Found, Wanted
from voicefile.audit.papers import Papers
from voicefile.audit.prove import Entry
from voicefile.audit.recordings import Hearing
from voicefile.audit.schemas import EntryAnswer
from voicefile.audit.store import Head
from voicefile.contracts.deed.v1 import Action, Outcome, Purpose, Role
from voicefile.translog.note import VerifierKey

_ID: Final = "^[0-9a-f]{32}$"
CURSOR: Final = "^[0-9-]{1,50}$"
_ROLES: Final = {word(Role.Name, each, "ROLE_"): each for each in Role.values()}
_ACTIONS: Final = {word(Action.Name, each, "ACTION_"): each for each in Action.values()}
_OUTCOMES: Final = {word(Outcome.Name, each, "OUTCOME_"): each for each in Outcome.values()}


def _one_of(*words: str) -> AfterValidator:
    def known(given: str) -> str:
        if given not in words:
            raise ValueError("unknown word")
        return given

    return AfterValidator(known)


class DeedsQuery(BaseModel):
    """What is looked for. What is left out is no matter; words are those of the entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    actor: Annotated[str, Field(pattern=_ID)] | None = None
    role: Annotated[str, _one_of(*_ROLES)] | None = None
    action: Annotated[str, _one_of(*_ACTIONS)] | None = None
    object_id: Annotated[
        Annotated[str, Field(pattern="^[a-z0-9-]{1,32}$")] | None, Field(alias="object")
    ] = None
    """Also finds what the deed ties its object to: a release's id."""
    outcome: Annotated[str, _one_of(*_OUTCOMES)] | None = None
    from_at: Annotated[AwareDatetime | None, Field(alias="from")] = None
    """The first moment of the period (RFC 3339)."""
    until_at: Annotated[AwareDatetime | None, Field(alias="until")] = None
    """The first moment after it."""

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            actor=self.actor or "",
            role=None if self.role is None else _ROLES[self.role],
            actions=frozenset() if self.action is None else frozenset({_ACTIONS[self.action]}),
            object_id=self.object_id or "",
            outcome=None if self.outcome is None else _OUTCOMES[self.outcome],
            from_ms=0 if self.from_at is None else _ms(self.from_at),
            until_ms=None if self.until_at is None else _ms(self.until_at),
        )


class PagedDeedsQuery(DeedsQuery):
    """The same, page by page."""

    cursor: Annotated[str, Field(pattern=CURSOR)] | None = None
    """From the page before; none for the first."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class DeedsAnswer(BaseModel):
    """A page of what was looked for. It may be empty and yet not the last one."""

    log: str
    size: int
    """Entries under the checkpoint."""
    checkpoint: str
    entries: list[EntryAnswer]
    cursor: str | None
    """Where to go on; none after the last page."""

    @classmethod
    def of(cls, log: str, head: Head, found: Found) -> Self:
        return cls(
            log=log,
            size=head.size,
            checkpoint=head.checkpoint,
            entries=[EntryAnswer.of(entry) for entry in found.entries],
            cursor=None if found.cursor is None else str(found.cursor),
        )


class HearingAnswer(BaseModel):
    """That a recording was heard: when, by whom as what, and why; never who."""

    at_ms: int
    role: str
    purpose: str
    """Empty for whoever needs none."""
    downloaded: bool

    @classmethod
    def of(cls, hearing: Hearing) -> Self:
        purpose = word(Purpose.Name, hearing.purpose, "PURPOSE_")
        return cls(
            at_ms=hearing.at_ms,
            role=word(Role.Name, hearing.role, "ROLE_"),
            purpose="" if hearing.purpose == Purpose.PURPOSE_UNSPECIFIED else purpose,
            downloaded=hearing.downloaded,
        )


class HearingsAnswer(BaseModel):
    """Who heard a recording, oldest first."""

    hearings: list[HearingAnswer]
    cursor: str | None

    @classmethod
    def of(cls, hearings: list[Hearing], cursor: Cursor | None) -> Self:
        return cls(
            hearings=[HearingAnswer.of(each) for each in hearings],
            cursor=None if cursor is None else str(cursor),
        )


class PapersAnswer(BaseModel):
    """The log's files of an evidence bundle, each as it lies in there."""

    proof: str
    receipt_key_proof: str
    log_key: str
    deeds: str

    @classmethod
    def of(cls, key: VerifierKey, papers: Papers) -> Self:
        return cls(
            proof=papers.proof.text,
            receipt_key_proof=papers.receipt_key.text,
            log_key=f"{key}\n",
            deeds=papers.deeds,
        )


async def lines(
    log: str, head: Head, key: VerifierKey, entries: AsyncIterator[Entry]
) -> AsyncIterator[bytes]:
    """An export: a line on the log, a line for each entry, and a line that says it is whole."""
    yield _line(
        {"log": log, "size": head.size, "checkpoint": head.checkpoint, "verifier_key": str(key)}
    )
    count = 0
    async for entry in entries:
        yield _line(
            {
                "index": entry.index,
                "salt": base64.b64encode(entry.salt).decode(),
                "entry": base64.b64encode(entry.entry).decode(),
                "deed": dict(shown(entry.entry)),
            }
        )
        count += 1
    yield _line({"end": True, "entries": count})


def _line(fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _ms(at: datetime) -> int:
    return max(0, int(at.timestamp() * 1000))
