"""Remains: what is kept of an erased recording, of an erased customer, and of whom nothing is left.

Everything is made anew here and nothing copied over, so that a field added later goes as well,
unless somebody decides that it stays.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from voicefile.auth.issuing.customer import open_customer
from voicefile.auth.issuing.details import open_details
from voicefile.auth.keys import blind_index
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import (
    Access,
    CredentialState,
    Recording,
    RecordingState,
    Slip,
    Subject,
)

_REFERENCE = "contract_reference"


def of_recording(recording: Recording, *, on: str, certificate: str) -> Recording:
    """Random ids, days, and the certificate."""
    return Recording(
        id=recording.id,
        partner=recording.partner,
        department="",
        project="",
        state=RecordingState.ERASED,
        sensitive=False,
        blobs={},
        slip=Slip("", b""),
        request_digest=b"",
        details=b"",
        stored_on=recording.stored_on,
        delete_on=recording.due_on,
        retention_class="",
        policy_version=0,
        assurance="",
        erased_on=on,
        certificate=certificate,
    )


def of_customer(access: Access, recordings: Sequence[Recording]) -> Access:
    """The partner and the recordings' remains.

    The locator stays until the directory has forgotten it (`without_locator`), and with it what a
    sign-in that is under way looks at: no PIN fits an empty verifier.
    """
    return Access(
        partner=access.partner,
        state=CredentialState.ERASED,
        letter=access.letter,
        pin_salt=access.pin_salt,
        pin_verifier=b"",
        pepper=access.pepper,
        issued_on="",
        locator=access.locator,
        subject=Subject(id="", key=Slip("", b""), fields={}),
        question=None,
        tokens=(),
        recordings=tuple(recordings),
        generation=access.generation + 1,
    )


def without_locator(access: Access) -> Access:
    """The last of it that led to the customer's access ID."""
    return replace(access, locator="", pin_salt=b"", pepper="")


async def tokens_left(
    stored: Stored[Access], living: Sequence[Recording], *, ports: Ports
) -> tuple[bytes, ...]:
    """The blind-index tokens that still lead to something: an erased contract's reference goes.

    None is added, so what an older identity key made stays what it was.
    """
    searchable = await _searchable(stored, living, ports=ports)
    namespace = await ports.custody.namespace(stored.tenant)
    known: set[bytes] = set()
    for version in namespace.identity_versions:
        identity = await ports.custody.identity(stored.tenant, version.id)
        for values in searchable:
            known.update(blind_index.tokens(identity, values))
    return tuple(token for token in stored.record.tokens if token in known)


async def _searchable(
    stored: Stored[Access], living: Sequence[Recording], *, ports: Ports
) -> list[Mapping[str, str]]:
    names = tuple(name for name in blind_index.FIELDS if name != _REFERENCE)
    customer = await open_customer(
        stored.record.subject, custody=ports.custody, tenant=stored.tenant, names=names
    )
    searchable = [customer.fields]
    for recording in living:
        key = await ports.custody.slip_key(stored.tenant, recording.id, recording.slip)
        details = open_details(
            recording.details,
            key,
            deployment=ports.custody.deployment,
            tenant=stored.tenant,
            recording=recording.id,
        )
        searchable.append({_REFERENCE: details.contract_reference})
    return searchable
