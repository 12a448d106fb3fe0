"""The routes for ingest: issuing access, answers for retries, states, blobs that have an owner."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response, status

from voicefile.auth.issuing.answer_retry import kept_answer
from voicefile.auth.issuing.issue_access import issue_access
from voicefile.auth.issuing.recording_status import RecordingStatus, known_blobs, recording_status
from voicefile.auth.issuing.sign_manifest import sign_manifest
from voicefile.auth.ports import Ports
from voicefile.auth.schemas import (
    AnswerBody,
    BlobNamesBody,
    BlobsKnown,
    Id,
    IssueAnswer,
    IssueBody,
    KeptAnswerAnswer,
    ManifestAnswer,
    ManifestBody,
    RecordingAnswer,
)
from voicefile.identity.guard import peer

JSON = "application/json"


def ingest_router(ports: Ports) -> APIRouter:
    """Only ingest's certificate opens these."""
    router = APIRouter(
        prefix="/internal/v1", tags=["issuing"], dependencies=[Depends(peer("ingest"))]
    )

    @router.post("/issues", status_code=status.HTTP_201_CREATED, response_model=IssueAnswer)
    async def issue(body: IssueBody) -> Response:
        # The answer leaves as the bytes that are kept: a retry must get the very same.
        answer = await issue_access(body, ports=ports)
        return Response(answer, status_code=status.HTTP_201_CREATED, media_type=JSON)

    @router.post("/issues/{recording}/answer", response_model=KeptAnswerAnswer)
    async def answer(body: AnswerBody, recording: Annotated[Id, Path()]) -> Response:
        kept = await kept_answer(recording, body, ports=ports)
        matches = {None: b"null", True: b"true", False: b"false"}[kept.same_request]
        content = b'{"request_digest_matches":%b,"answer":%b}' % (matches, kept.answer)
        return Response(content, media_type=JSON)

    @router.post("/blobs/known")
    async def blobs(body: BlobNamesBody) -> BlobsKnown:
        return BlobsKnown(known=await known_blobs(body.names, ports=ports))

    @router.post("/manifests")
    async def manifests(body: ManifestBody) -> ManifestAnswer:
        return ManifestAnswer(manifest=await sign_manifest(body, ports=ports))

    @router.get("/recordings/{recording}")
    async def status_of(
        recording: Annotated[Id, Path()],
        tenant: Annotated[Id, Query()],
        partner: Annotated[Id, Query()],
    ) -> RecordingAnswer:
        found = await recording_status(recording, tenant=tenant, partner=partner, ports=ports)
        return _recording(found)

    return router


def _recording(found: RecordingStatus) -> RecordingAnswer:
    return RecordingAnswer(
        recording_id=found.recording,
        credential_id=found.credential,
        state=found.state.value,
        credential_state=found.credential_state.value,
        letter=found.letter.value,
        findings=found.findings,
        delete_on=found.delete_on,
        kept_by=found.kept_by,
        erased_on=found.erased_on or None,
        policy_version=found.policy_version,
        assurance=found.assurance,
        receipt=found.receipt,
        certificate=found.certificate,
    )
