"""The customer as kept: each field sealed by itself under a key of the customer's own.

Rotation re-wraps that key and never touches a field; erasing the customer is erasing the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from voicefile.auth.keys.custody import Custody
from voicefile.auth.padding import padded, unpadded
from voicefile.auth.store import Subject
from voicefile.crypto.envelope import Context, Kind, object_id, open_field, seal_field
from voicefile.crypto.secret import SubjectKey
from voicefile.identity.ids import new_id

BLOCK_BYTES = 64
FIELDS = ("name", "phone", "email", "customer_number", "birth_date", "address")
QUESTION_PROMPT = "question_prompt"
"""What the customer's question asks: free text of a partner, so it is sealed like a field."""


@dataclass(frozen=True)
class Customer:
    """The customer's fields in clear, by name; only those that are known."""

    fields: Mapping[str, str]

    def __repr__(self) -> str:
        return "<Customer>"


async def seal_customer(customer: Customer, *, custody: Custody, tenant: str) -> Subject:
    """A new subject: a new key, wrapped, and each field sealed under it."""
    subject_id, key = new_id(), SubjectKey.random()
    slip = await custody.wrap_subject_key(tenant, subject_id, key)
    fields = _sealed(customer.fields, key, custody.deployment, tenant, subject_id)
    return Subject(id=subject_id, key=slip, fields=fields)


async def with_more(
    subject: Subject, customer: Customer, *, custody: Custody, tenant: str
) -> Subject:
    """The subject, with those fields added that were not known before; none is changed."""
    new = {name: text for name, text in customer.fields.items() if name not in subject.fields}
    if not new:
        return subject
    key = await custody.subject_key(tenant, subject)
    fields = _sealed(new, key, custody.deployment, tenant, subject.id)
    return Subject(id=subject.id, key=subject.key, fields=subject.fields | fields)


async def open_customer(
    subject: Subject, *, custody: Custody, tenant: str, names: tuple[str, ...] = FIELDS
) -> Customer:
    """These fields in clear; record why before calling this. Raises Tampered, EpochGone."""
    key = await custody.subject_key(tenant, subject)
    opened = {}
    for name in names:
        if name in subject.fields:
            context = _context(custody.deployment, tenant, subject.id, name)
            opened[name] = unpadded(open_field(key, context, subject.fields[name])).decode()
    return Customer(opened)


def _sealed(
    fields: Mapping[str, str], key: SubjectKey, deployment: bytes, tenant: str, subject_id: str
) -> dict[str, bytes]:
    return {
        name: seal_field(
            key,
            _context(deployment, tenant, subject_id, name),
            padded(text.encode(), block_bytes=BLOCK_BYTES),
        )
        for name, text in fields.items()
    }


def _context(deployment: bytes, tenant: str, subject_id: str, name: str) -> Context:
    return Context(deployment, tenant, object_id(subject_id, name), Kind.FIELD)
