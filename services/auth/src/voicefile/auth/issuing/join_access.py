"""Joining: a further recording for a customer whom the same partner brought before."""

from msgspec.structs import replace

from voicefile.auth.errors import ChangedMeanwhile, UnknownAccessId
from voicefile.auth.issuing.access_id import normalised
from voicefile.auth.issuing.admission import Admission
from voicefile.auth.issuing.customer import with_more
from voicefile.auth.issuing.draw_up import DrawnUp, customer_of, question_of
from voicefile.auth.issuing.issued import issued_deed, issued_fact, partner_of, with_answer
from voicefile.auth.keys import blind_index
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import OVER, Access, Question
from voicefile.deeds.deed import Action, Deed
from voicefile.docstore.port import DocumentExists, VersionConflict


async def join_access(admission: Admission, drawn: DrawnUp, *, ports: Ports) -> bytes:
    """Adds the recording to the access ID it names; the answer has no PIN.

    Raises UnknownAccessId alike for a mistyped, unknown, foreign, full or ended one;
    QuestionRequired, ChangedMeanwhile; DocumentExists if the recording is filed already.
    """
    body = admission.body
    for _ in range(ports.settings.write_tries_max):
        stored, access_id = await _joinable(admission, ports=ports)
        # A race lost may have been lost to this very recording: a unique index keeps a value out
        # of other documents, not from standing twice in one.
        if any(recording.id == body.recording_id for recording in stored.record.recordings):
            raise DocumentExists
        access = await _joined(stored, admission, ports=ports)
        recording, answer = await with_answer(
            admission, drawn, access_id=access_id, told={}, question=access.question, ports=ports
        )
        access = replace(access, recordings=(*stored.record.recordings, recording))
        try:
            await _write(stored, access, drawn, admission=admission, ports=ports)
        except VersionConflict:
            continue
        return answer
    raise ChangedMeanwhile


async def _joinable(admission: Admission, *, ports: Ports) -> tuple[Stored[Access], str]:
    body = admission.body
    assert body.metadata.join_access_id is not None, "a join names its access ID"
    access_id = normalised(body.metadata.join_access_id.get_secret_value())
    if access_id is None:
        raise UnknownAccessId
    locator = await ports.custody.directory_locator(access_id)
    found = await ports.directory.lookup(locator)
    # A foreign claim is looked up in the own tenant all the same, and found as little there.
    credential = found[1] if found is not None else body.recording_id
    stored = await ports.access.of(body.tenant).get(credential)
    # The directory is believed by nobody: an entry bent to another customer's credential would
    # file this recording with a stranger.
    if stored is None or stored.record.locator != locator:
        raise UnknownAccessId
    if not _may_join(stored.record, admission, ports=ports):
        raise UnknownAccessId
    return stored, access_id


def _may_join(access: Access, admission: Admission, *, ports: Ports) -> bool:
    return (
        access.partner == admission.body.partner
        and access.state not in OVER
        and len(access.recordings) < ports.settings.recordings_max
    )


async def _joined(stored: Stored[Access], admission: Admission, *, ports: Ports) -> Access:
    access, tenant = stored.record, admission.body.tenant
    identity = await ports.custody.identity(tenant)
    question = await _question(stored, admission, ports=ports)
    customer = customer_of(admission, asked=question is not access.question)
    searchable = {
        **customer.fields,
        "contract_reference": admission.body.metadata.contract_reference,
    }
    tokens = {*access.tokens, *blind_index.tokens(identity, searchable)}
    return replace(
        access,
        question=question,
        subject=await with_more(access.subject, customer, custody=ports.custody, tenant=tenant),
        tokens=tuple(sorted(tokens)),
    )


async def _question(
    stored: Stored[Access], admission: Admission, *, ports: Ports
) -> Question | None:
    # A question that is there stays: its answer is known to the customer, and whoever could
    # replace it could lock the customer out.
    if stored.record.question is not None or not admission.body.metadata.sensitive:
        return stored.record.question
    identity = await ports.custody.identity(admission.body.tenant)
    return question_of(admission, credential=stored.id, identity=identity)


async def _write(
    stored: Stored[Access],
    access: Access,
    drawn: DrawnUp,
    *,
    admission: Admission,
    ports: Ports,
) -> None:
    body = admission.body
    joined = Deed(
        actor=partner_of(body),
        action=Action.ACTION_RECORDING_JOINED,
        tenant=body.tenant,
        object_id=stored.id,
        request_id=body.request_id,
    )
    records = ports.access.of(body.tenant)
    await ports.deeds.write_many(
        [(issued_deed(body, drawn), issued_fact(body, drawn.recording)), (joined, None)],
        lambda events: records.replace(stored, access, pending=events),
    )
