"""What an issued recording leaves behind: the answer kept for retries, the deed, the fact."""

import json

from msgspec.structs import replace

from voicefile.auth.events import RecordingIssued
from voicefile.auth.issuing.admission import Admission
from voicefile.auth.issuing.answers import answer_context, seal_answer
from voicefile.auth.issuing.draw_up import DrawnUp
from voicefile.auth.keys.receipts import commitment
from voicefile.auth.ports import Ports
from voicefile.auth.schemas import IssueBody
from voicefile.auth.store import Question, Recording
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action, Actor, Deed, Role


async def with_answer(
    admission: Admission,
    drawn: DrawnUp,
    *,
    access_id: str,
    told: dict[str, str],
    question: Question | None,
    ports: Ports,
) -> tuple[Recording, bytes]:
    """The recording with its sealed answer, and the answer itself."""
    body = admission.body
    answer = {
        "recording_id": body.recording_id,
        "state": drawn.recording.state.value,
        "access_id": access_id,
        **told,
        "question_kind": question.kind if question is not None else None,
        "duration_ms": body.media.duration_ms,
        "sha256": body.media.sha256,
        "receipt": drawn.receipt,
    }
    encoded = json.dumps(answer, separators=(",", ":")).encode()
    sealed = seal_answer(
        encoded,
        identity=await ports.custody.identity(body.tenant),
        idempotency_key=SecretText(body.idempotency_key.get_secret_value()),
        partner=body.partner,
        context=answer_context(ports.custody.deployment, body.tenant, body.recording_id),
        expires_at_s=int(ports.now_s()) + ports.settings.answer_max_s,
    )
    return replace(drawn.recording, answer=sealed), encoded


def issued_deed(body: IssueBody, drawn: DrawnUp) -> Deed:
    """Who filed what; the log vouches for the receipt."""
    return Deed(
        actor=partner_of(body),
        action=Action.ACTION_ACCESS_ISSUED,
        tenant=body.tenant,
        object_id=body.recording_id,
        request_id=body.request_id,
        commitment=commitment(drawn.receipt),
        related_id=drawn.later_key,
    )


def issued_fact(body: IssueBody, recording: Recording) -> RecordingIssued:
    """What ingest is told: the recording and its blobs have an owner."""
    return RecordingIssued(
        tenant=body.tenant,
        recording=recording.id,
        partner=recording.partner,
        state=recording.state,
        blobs=tuple(blob.name for blob in recording.blobs.values()),
    )


def partner_of(body: IssueBody) -> Actor:
    """The partner whose upload it is; ingest acts for it."""
    return Actor(body.partner, Role.ROLE_PARTNER)
