"""Retries: the answer that was given when a recording was issued, in the very same bytes."""

from dataclasses import dataclass

from voicefile.auth.errors import AnswerExpired, KeyReused, NotFound
from voicefile.auth.issuing.answers import answer_context, open_answer
from voicefile.auth.issuing.draw_up import request_digest
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.schemas import AnswerBody, IssueBody
from voicefile.auth.store import Access, Recording
from voicefile.crypto.errors import Tampered
from voicefile.crypto.primitives import constant_time_equal
from voicefile.crypto.secret import SecretText


@dataclass(frozen=True)
class Issued:
    """A recording that is filed, in its access document."""

    stored: Stored[Access]
    recording: Recording


@dataclass(frozen=True)
class KeptAnswer:
    """What was answered, and whether the upload was the same."""

    answer: bytes
    same_request: bool | None

    def __repr__(self) -> str:
        return "<KeptAnswer>"


async def find_issued(tenant: str, recording_id: str, *, ports: Ports) -> Issued | None:
    """The recording of this tenant, or None."""
    stored = await ports.access.of(tenant).find_one("recording", recording_id)
    if stored is None:
        return None
    for recording in stored.record.recordings:
        if recording.id == recording_id:
            return Issued(stored, recording)
    # The index led to a document that does not hold it: somebody wrote past us.
    raise Tampered("the recording's index")


async def answer_issue(issued: Issued, body: IssueBody, *, ports: Ports) -> bytes:
    """The answer for a repeated issue. Raises KeyReused, AnswerExpired."""
    if issued.recording.partner != body.partner:
        raise KeyReused
    if not await _same_request(issued, body.request_digest, ports=ports):
        raise KeyReused
    key = SecretText(body.idempotency_key.get_secret_value())
    return await _opened(issued, key, ports=ports)


async def kept_answer(recording_id: str, body: AnswerBody, *, ports: Ports) -> KeptAnswer:
    """For ingest, before it seals the same bytes again. Raises NotFound, AnswerExpired."""
    issued = await find_issued(body.tenant, recording_id, ports=ports)
    if issued is None or issued.recording.partner != body.partner:
        raise NotFound
    key = SecretText(body.idempotency_key.get_secret_value())
    answer = await _opened(issued, key, ports=ports)
    if body.request_digest is None:
        return KeptAnswer(answer, None)
    return KeptAnswer(answer, await _same_request(issued, body.request_digest, ports=ports))


async def _opened(issued: Issued, key: SecretText, *, ports: Ports) -> bytes:
    kept, tenant = issued.recording.answer, issued.stored.tenant
    if kept is None or kept.expires_at_s <= ports.now_s():
        raise AnswerExpired
    try:
        return open_answer(
            kept,
            identity=await ports.custody.identity(tenant, kept.identity),
            idempotency_key=key,
            partner=issued.recording.partner,
            context=answer_context(ports.custody.deployment, tenant, issued.recording.id),
        )
    except Tampered:
        # The record's own MAC was right, so what does not fit is the Idempotency-Key.
        raise KeyReused from None


async def _same_request(issued: Issued, digest: bytes, *, ports: Ports) -> bool:
    namespace = await ports.custody.namespace(issued.stored.tenant)
    for version in namespace.identity_versions:
        identity = await ports.custody.identity(issued.stored.tenant, version.id)
        if constant_time_equal(request_digest(identity, digest), issued.recording.request_digest):
            return True
    return False
