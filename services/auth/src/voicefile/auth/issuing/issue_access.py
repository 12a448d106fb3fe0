"""Issuing access: the commit point of a recording's way in.

One write stores the customer's credential, the sealed person and the recording with its slip, or
adds the recording to a credential that is there. Whatever runs twice, by retry or side by side,
is decided once: the first write wins, and everybody gets its answer.
"""

from msgspec.structs import replace

from voicefile.auth.errors import ChangedMeanwhile, KeyReused
from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.issuing.admission import Admission, admit
from voicefile.auth.issuing.answer_retry import answer_issue, find_issued
from voicefile.auth.issuing.customer import seal_customer
from voicefile.auth.issuing.directory import Claim
from voicefile.auth.issuing.draw_up import DrawnUp, customer_of, drawn_up, question_of, received_key
from voicefile.auth.issuing.issued import issued_deed, issued_fact, with_answer
from voicefile.auth.issuing.join_access import join_access
from voicefile.auth.issuing.pins import NewPin, letter_shop_for, new_pin
from voicefile.auth.keys import blind_index
from voicefile.auth.ports import Ports
from voicefile.auth.schemas import IssueBody
from voicefile.auth.store import Access, CredentialState, LetterState
from voicefile.docstore.port import DocumentExists
from voicefile.identity.ids import new_id


async def issue_access(body: IssueBody, *, ports: Ports) -> bytes:
    """Files the recording; answers what the partner is told, as JSON, and always the same bytes.

    Raises KeyReused, AnswerExpired, EpochRetired, UnknownAccessId, TenantClosed, …
    """
    issued = await find_issued(body.tenant, body.recording_id, ports=ports)
    if issued is not None:
        return await answer_issue(issued, body, ports=ports)
    admission = await admit(body, ports=ports)
    key = await received_key(body, ports=ports)
    drawn = await drawn_up(admission, key, ports=ports)
    try:
        if body.metadata.join_access_id is not None:
            return await join_access(admission, drawn, ports=ports)
        return await _issue_new(admission, drawn, ports=ports)
    except DocumentExists:
        # Somebody else's write of this very recording came first: its answer counts.
        issued = await find_issued(body.tenant, body.recording_id, ports=ports)
        if issued is None:
            # A blob or a recording id of somebody else's: honest ingest never sends that.
            raise KeyReused from None
        return await answer_issue(issued, body, ports=ports)


async def _issue_new(admission: Admission, drawn: DrawnUp, *, ports: Ports) -> bytes:
    body, credential = admission.body, new_id()
    said = body.metadata.pin_delivery
    pin = await new_pin(
        admission.policy,
        credential=credential,
        tenant=body.tenant,
        letter_shop=letter_shop_for(
            admission.tenant, admission.policy, sealed=said is not None and said.mode == "sealed"
        ),
        custody=ports.custody,
        pins=ports.pins,
    )
    access = await _access(admission, drawn, pin, credential=credential, ports=ports)
    # Claim before credential: an ID is known to the directory before anybody could be told it,
    # and a claim that nothing came of answers as an unknown ID until it is swept.
    access_id, locator = await _claimed(body.tenant, credential, ports=ports)
    recording, answer = await with_answer(
        admission,
        drawn,
        access_id=access_id,
        told=pin.told,
        question=access.question,
        ports=ports,
    )
    written = replace(access, locator=locator, recordings=(recording,))
    try:
        await _write(credential, written, drawn, body=body, ports=ports)
    except DocumentExists:
        await ports.directory.release(locator, Claim(body.tenant, credential))
        raise
    return answer


async def _access(
    admission: Admission, drawn: DrawnUp, pin: NewPin, *, credential: str, ports: Ports
) -> Access:
    body, custody = admission.body, ports.custody
    identity = await custody.identity(body.tenant)
    sensitive = body.metadata.sensitive
    question = (
        question_of(admission, credential=credential, identity=identity) if sensitive else None
    )
    customer = customer_of(admission, asked=sensitive)
    searchable = {
        **customer.fields,
        "contract_reference": body.metadata.contract_reference,
    }
    return Access(
        partner=body.partner,
        state=CredentialState.ISSUED,
        letter=LetterState.WANTED,
        pin_salt=pin.salt,
        pin_verifier=pin.verifier,
        pepper=pin.pepper,
        issued_on=admission.stored_on,
        locator="",
        subject=await seal_customer(customer, custody=custody, tenant=body.tenant),
        question=question,
        tokens=blind_index.tokens(identity, searchable),
        recordings=(drawn.recording,),
    )


async def _claimed(tenant: str, credential: str, *, ports: Ports) -> tuple[str, str]:
    for _ in range(ports.settings.write_tries_max):
        access_id = new_access_id()
        locator = await ports.custody.directory_locator(access_id)
        claim = Claim(tenant, credential)
        if await ports.directory.claim(locator, claim, now_s=int(ports.now_s())):
            return access_id, locator
    raise ChangedMeanwhile


async def _write(
    credential: str, access: Access, drawn: DrawnUp, *, body: IssueBody, ports: Ports
) -> None:
    records = ports.access.of(body.tenant)
    await ports.deeds.write(
        issued_deed(body, drawn),
        lambda event: records.insert(credential, access, pending=(event,)),
        issued_fact(body, drawn.recording),
    )
