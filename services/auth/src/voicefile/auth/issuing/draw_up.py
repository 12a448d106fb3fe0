"""Drawing up: the parts of an access document, made from what ingest sent."""

import base64
import json
import re
from dataclasses import dataclass

from voicefile.auth.errors import EpochRetired, QuestionRequired, UnusableKey
from voicefile.auth.issuing.admission import Admission
from voicefile.auth.issuing.customer import QUESTION_PROMPT, Customer
from voicefile.auth.issuing.details import seal_details
from voicefile.auth.keys.custody import Signer
from voicefile.auth.keys.receipts import Filed, receipt
from voicefile.auth.ports import Ports
from voicefile.auth.schemas import IssueBody
from voicefile.auth.store import (
    Blob,
    Question,
    Recording,
    RecordingDetails,
    RecordingState,
)
from voicefile.auth.tenants import policy
from voicefile.auth.throttling.verifiers import answer_verifier
from voicefile.crypto.errors import EpochGone, Tampered, UnknownKey
from voicefile.crypto.keyring import IdentityKey, Purpose
from voicefile.crypto.primitives import hmac_sha512
from voicefile.crypto.rootkey import VersionGone
from voicefile.crypto.secret import DataKey, SecretText
from voicefile.translog.origin import origin_of

DIGEST_BYTES = 32
ANSWER_DIGITS_MIN = 3
_NO_DIGIT = re.compile(r"[^0-9]", re.ASCII)


@dataclass(frozen=True)
class DrawnUp:
    """A recording ready to be written, but for the answer that goes with it."""

    recording: Recording
    receipt: str
    later_key: str = ""
    """The id of the key that signed it, if it is not the tenant's first: the log names it apart."""

    def __repr__(self) -> str:
        return "<DrawnUp>"


async def received_key(body: IssueBody, *, ports: Ports) -> DataKey:
    """The recording's data key, out of ingest's box. Raises EpochRetired, UnusableKey."""
    try:
        return await ports.custody.receive(
            body.tenant, body.epoch, body.recording_id, body.sealed_key
        )
    except (EpochGone, UnknownKey, VersionGone):
        raise await _epoch_to_use(body.tenant, ports=ports) from None
    except Tampered:
        raise UnusableKey from None


async def _epoch_to_use(tenant: str, *, ports: Ports) -> EpochRetired:
    namespace = await ports.custody.namespace(tenant)
    key = await ports.custody.sealing_key(tenant, namespace)
    return EpochRetired(
        epoch=key.epoch,
        sealing_key=base64.b64encode(key.public).decode(),
        signature=base64.b64encode(key.signature).decode(),
    )


async def drawn_up(admission: Admission, key: DataKey, *, ports: Ports) -> DrawnUp:
    """The recording with its slip, its sealed details and its receipt."""
    body, custody = admission.body, ports.custody
    signer = await custody.receipt_signer(body.tenant)
    signed = _receipt(admission, signer, ports=ports)
    details = _details(admission, signed)
    identity = await custody.identity(body.tenant)
    recording = Recording(
        id=body.recording_id,
        partner=body.partner,
        department=admission.scope.department,
        project=admission.scope.project,
        state=RecordingState(body.state),
        sensitive=body.metadata.sensitive,
        blobs={
            role: Blob(blob.name, blob.sealed_bytes)
            for role, blob in (
                ("original", body.blobs.original),
                ("telephone", body.blobs.telephone),
                ("peaks", body.blobs.peaks),
            )
        },
        slip=await custody.wrap_data_key(body.tenant, body.recording_id, key),
        request_digest=request_digest(identity, body.request_digest),
        details=seal_details(
            details,
            key,
            deployment=custody.deployment,
            tenant=body.tenant,
            recording=body.recording_id,
        ),
        stored_on=admission.stored_on,
        delete_on=admission.delete_on,
        keep_until=admission.keep_until,
        retention_class=admission.retention_class,
        policy_version=admission.tenant.version,
        assurance="uploaded",
        findings=body.findings,
    )
    return DrawnUp(recording, signed, signer.kid if signer.later else "")


def request_digest(identity: IdentityKey, digest: bytes) -> bytes:
    """What is kept of an upload's content to know it again: nothing to compare a guess with."""
    return hmac_sha512(identity.derive(Purpose.REQUEST_DIGEST), digest)[:DIGEST_BYTES]


def question_of(admission: Admission, *, credential: str, identity: IdentityKey) -> Question:
    """The question a sensitive upload brought. Raises QuestionRequired, QuestionKindNotAllowed."""
    brought = admission.body.metadata.question
    if brought is None:
        raise QuestionRequired
    policy.check_question_kind(admission.policy, brought.kind)
    digits = SecretText(_NO_DIGIT.sub("", brought.answer.get_secret_value()))
    if len(digits.expose()) < ANSWER_DIGITS_MIN:
        raise QuestionRequired
    verifier = answer_verifier(
        identity.derive(Purpose.QUESTION_PEPPER),
        digits,
        tenant=admission.body.tenant,
        credential=credential,
    )
    return Question(brought.kind, verifier, identity.id)


def customer_of(admission: Admission, *, asked: bool) -> Customer:
    """The customer's fields as texts, those that are known.

    `asked`: the question brought is the one that will be asked, so its words are kept.
    """
    part, question = admission.body.metadata.customer, admission.body.metadata.question
    address = {name: text for name, text in (part.address or {}).items() if text}
    fields = {
        "name": part.name,
        "phone": part.phone,
        "email": part.email,
        "customer_number": part.customer_number,
        "birth_date": part.birth_date,
        "address": json.dumps(address, ensure_ascii=False) if address else None,
        QUESTION_PROMPT: question.prompt if asked and question else None,
    }
    return Customer({name: text for name, text in fields.items() if text})


def _receipt(admission: Admission, signer: Signer, *, ports: Ports) -> str:
    body = admission.body
    filed = Filed(
        tenant=body.tenant,
        recording=body.recording_id,
        stored_at_ms=admission.stored_at_ms,
        audio_sha256=body.media.sha256,
        contract_parts=body.metadata.contract_parts,
        consent=body.metadata.consent,
        sensitive=body.metadata.sensitive,
    )
    return receipt(
        filed,
        issuer=ports.deployment,
        log=origin_of(ports.deployment, body.tenant),
        signer=signer,
    )


def _details(admission: Admission, signed: str) -> RecordingDetails:
    said, media = admission.body.metadata, admission.body.media
    return RecordingDetails(
        contract_reference=said.contract_reference,
        contract_kind=said.contract_kind or "",
        contract_parts=said.contract_parts,
        recorded_at=said.recorded_at,
        stored_at_ms=admission.stored_at_ms,
        language=said.language or "",
        agent=said.agent or "",
        campaign=said.campaign or "",
        consent=said.consent,
        media_type=media.media_type,
        original_bytes=media.original_bytes,
        telephone_bytes=media.telephone_bytes,
        peaks_bytes=media.peaks_bytes,
        duration_ms=media.duration_ms,
        sha256=media.sha256,
        receipt=signed,
    )
