"""What auth keeps: tenants, principals, key namespaces, the directory, access documents.

An access document is the pointer to everything a customer owns: the credential, the sealed
person, and each recording with its slip. It is written in one piece, so a recording without a
credential, or a credential without its recording, cannot be stored.
"""

import datetime as dt
from enum import StrEnum

from msgspec import Struct

from voicefile.crypto.keyring import KeyNamespace
from voicefile.docstore.port import Collection, Index


class CredentialState(StrEnum):
    """Whether an access ID opens anything."""

    ISSUED = "issued"
    UNDELIVERED = "undelivered"
    ACTIVE = "active"
    FROZEN = "frozen"
    REVOKED = "revoked"
    EXPIRED = "expired"
    ERASED = "erased"
    """Nothing is left of the customer but what its recordings' certificates need."""


OVER = frozenset({CredentialState.REVOKED, CredentialState.EXPIRED, CredentialState.ERASED})
"""From these there is no way back."""


class LetterState(StrEnum):
    """How far the letter with the access data has come."""

    WANTED = "wanted"
    PRINTED = "printed"
    SENT = "sent"
    RETURNED = "returned"


class RecordingState(StrEnum):
    """Whether a recording may be heard; why not."""

    PLAYABLE = "playable"
    HELD = "held"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    ERASED = "erased"


class Slip(Struct, frozen=True, omit_defaults=True):
    """A key wrapped under one epoch of its tenant (VFE1 kind 2)."""

    epoch: str
    sealed: bytes


class Blob(Struct, frozen=True, omit_defaults=True):
    """Where a sealed object of a recording lies."""

    name: str
    sealed_bytes: int


class SealedAnswer(Struct, frozen=True, omit_defaults=True):
    """The answer to an upload, openable only with the partner's Idempotency-Key."""

    sealed: bytes
    expires_at_s: int
    identity: str = ""
    """Which version of the tenant's identity key takes part in opening it."""


class Hold(Struct, frozen=True, omit_defaults=True):
    """A legal hold: until it is lifted, nothing erases what is under it."""

    purpose: str
    """Why, as a code: legal, dispute, authority, …"""
    reference: bytes
    """VFE1 kind 3, role hold, under the data key: under which reference its keepers file it."""
    placed_on: str
    placed_by: str = ""
    """The principal; not known of holds that are older than this field."""


class Recording(Struct, frozen=True, omit_defaults=True):
    """One recording as its access document holds it; personal detail only inside `details`."""

    id: str
    partner: str
    """The principal that brought it; only it may join another recording or read its state."""
    department: str
    project: str
    state: RecordingState
    sensitive: bool
    blobs: dict[str, Blob]
    """By role: original, telephone, peaks."""
    slip: Slip
    request_digest: bytes
    """HMAC of the upload's content under the tenant's identity key: tells a retry from another."""
    details: bytes
    """VFE1 kind 3, role metadata, under the data key: `RecordingDetails` as MessagePack."""
    stored_on: str
    """The day (YYYY-MM-DD); the exact time is in the details."""
    delete_on: str
    retention_class: str
    policy_version: int
    assurance: str
    """uploaded, imported or captured."""
    findings: tuple[str, ...] = ()
    answer: SealedAnswer | None = None
    objected: bool = False
    """The customer says that this is not their contract."""
    objected_on: str = ""
    """On which day; not known of objections that are older than this field, as is the next."""
    objected_by: str = ""
    """By which way: telephone or portal."""
    keep_until: str = ""
    """The day before which the law wants it kept; empty: the policy alone counts."""
    hold: Hold | None = None
    erased_on: str = ""
    certificate: str = ""
    """What is kept of an erased one: auth's signed word on it."""

    @property
    def due_on(self) -> str:
        """The day on which it is erased, unless something holds it."""
        return max(self.delete_on, self.keep_until)

    @property
    def held(self) -> bool:
        """Whether something stands against erasing it: a legal hold, the customer's objection."""
        return self.hold is not None or self.objected or self.state is RecordingState.HELD

    @property
    def kept_by(self) -> tuple[str, ...]:
        """What keeps it longer than its policy would, as codes."""
        law = self.keep_until > self.delete_on
        found = {"law": law, "hold": self.hold is not None, "objection": self.objected}
        return tuple(code for code, keeps in found.items() if keeps)

    @property
    def erased(self) -> bool:
        return self.state is RecordingState.ERASED


class RecordingDetails(Struct, frozen=True, omit_defaults=True):
    """What is personal or telling about one recording; sealed under its data key."""

    contract_reference: str
    contract_kind: str
    contract_parts: tuple[str, ...]
    recorded_at: str
    stored_at_ms: int
    language: str
    agent: str
    campaign: str
    consent: dict[str, str]
    media_type: str
    original_bytes: int
    """True length of the original; the blob is padded to whole chunks."""
    telephone_bytes: int
    peaks_bytes: int
    duration_ms: int
    sha256: str
    receipt: str


class Question(Struct, frozen=True, omit_defaults=True):
    """One more thing to know, as digits; only its keyed hash is kept.

    What it asks, where the partner said so, is sealed with the customer's fields.
    """

    kind: str
    verifier: bytes
    pepper: str
    """Which version of the tenant's identity key peppered the verifier."""


class Subject(Struct, frozen=True, omit_defaults=True):
    """The customer: fields sealed under a key of their own, found by blind-index tokens."""

    id: str
    key: Slip
    fields: dict[str, bytes]
    """By field name: VFE1 kind 3 under the subject key."""


class Access(Struct, frozen=True, omit_defaults=True):
    """The access document. Its id is the credential id."""

    partner: str
    state: CredentialState
    letter: LetterState
    pin_salt: bytes
    pin_verifier: bytes
    """argon2id over HMAC-SHA-512(pin pepper, tenant ‖ credential id ‖ PIN)."""
    pepper: str
    """Which version of the tenant's identity key peppered the verifier."""
    issued_on: str
    locator: str
    subject: Subject
    question: Question | None
    tokens: tuple[bytes, ...]
    """Blind-index tokens, 128 bit each: customer fields and contract references, sorted."""
    recordings: tuple[Recording, ...]
    generation: int = 1
    """Grows with every PIN; sessions carry it, so a re-issue ends them all."""
    restorable: bool = False
    """Frozen on purpose by its keepers, so they may take it back; what was frozen because its PIN
    was guessed at opens only with a new one."""
    mac: bytes = b""
    """HMAC under the tenant's record-mac key over all that decides access (`seal_record`)."""


ACCESS = Collection(
    "access",
    indexes=(
        Index("recording", "recordings.id", unique=True),
        Index("token", "tokens"),
        Index("blob", "blob_names", unique=True),
        Index("epoch", "epochs"),
        Index("answer", "answer_expires_at_s"),
        Index("due", "due_day"),
        Index("held", "held"),
        Index("erased", "erased_days"),
    ),
)
"""Document id: the credential id. Beside the fields of Access stand six that only indexes need
and nothing is decided by: `blob_names`, `epochs` (those that wrap something here),
`answer_expires_at_s` (the next answer to go, or None), `due_day` (the next day on which
something here is to be erased, as an ordinal, or None), `held` (1 if something here is held, or
None) and `erased_days` (on which something here was erased, as ordinals). Rotation writes every
living document anew within a week, so what stands beside is never older than that."""

DIRECTORY = Collection(
    "directory", indexes=(Index("claimed_on", "claimed_at_s"),), silent=True, passing=True
)
"""Document id: the access ID's locator. Body: {tenant, credential, claimed_at_s}; the time goes
when the sweep has seen the credential, so that it looks at each claim once."""


class PolicyRules(Struct, frozen=True, omit_defaults=True):
    """What one scope rules; what it leaves out it inherits. It can only narrow its parent's."""

    recording_allowed: bool = True
    retention_days: dict[str, int] | None = None
    """By retention class."""
    default_retention_class: str | None = None
    pin_digits: int | None = None
    question_kinds: tuple[str, ...] | None = None
    sealed_pin_only: bool = False
    retention_days_min: dict[str, int] | None = None
    """By retention class, what the law wants; counts where a reseller or a tenant says it."""


class Department(Struct, frozen=True, omit_defaults=True):
    """A department and its projects."""

    rules: PolicyRules = PolicyRules()
    projects: dict[str, PolicyRules] = {}


class Applied(Struct, frozen=True, omit_defaults=True):
    """Which retention rules the planned dates of a tenant's recordings follow."""

    digest: bytes
    """Of all rules that count, the reseller's among them."""
    since_s: int
    """When these were first seen."""
    done: bool = False
    """Whether all were gone through, at a time when nothing filed under older rules was on its
    way any more."""


class Tenant(Struct, frozen=True, omit_defaults=True):
    """A tenant: its name, its rules, its scopes and its wrapped keys, changed in one write."""

    name: str
    login_domain: str
    """Ends the usernames of its staff, so that two tenants never compete for one."""
    open: bool
    keys: KeyNamespace
    reseller: str = ""
    rules: PolicyRules = PolicyRules()
    departments: dict[str, Department] = {}
    letter_shop_key: bytes = b""
    """X25519 public key that sealed PINs go to; empty if there is no letter shop."""
    demo: bool = False
    """Only a demo tenant's partners may sign in with a shared secret."""
    version: int = 1
    """Grows with each change that others are told; it is the policy version of a recording."""
    applied: Applied | None = None
    """None: its rules changed, and nobody has gone through its recordings since."""
    delete_day: int = 0
    """Closed: the day on which it is erased for good, as an ordinal; it can come back before."""
    mac: bytes = b""

    @property
    def delete_on(self) -> str:
        """The planned day, YYYY-MM-DD; empty for one that nobody closed."""
        return dt.date.fromordinal(self.delete_day).isoformat() if self.delete_day else ""


class Reseller(Struct, frozen=True, omit_defaults=True):
    """Who brought a tenant to the platform; its rules bind all its tenants."""

    name: str
    rules: PolicyRules = PolicyRules()
    mac: bytes = b""


class Principal(Struct, frozen=True, omit_defaults=True):
    """Somebody who may sign in: a partner's CRM, care, an admin, an auditor, an operator."""

    role: str
    department: str = ""
    project: str = ""
    active: bool = True
    login: str | None = None
    """Staff: the keyed hash that a username finds the document by."""
    name: bytes = b""
    """VFE1 kind 3 under the tenant's staff key: a person's name, for the tenant's admin."""
    secret_salt: bytes = b""
    secret_verifier: bytes = b""
    """Staff: argon2id over the peppered password. Demo partner: HMAC of its random secret."""
    pepper: str = ""
    jwk: dict[str, str] | None = None
    """A partner's public key for private_key_jwt."""
    totp: bytes = b""
    """The second factor's secret, VFE1 kind 3 under the tenant's staff key."""
    totp_step: int = 0
    """The last time step that was used; none is taken twice."""
    mac: bytes = b""


class Period(Struct, frozen=True, omit_defaults=True):
    """A root version that all epochs opened in its time hang on, and die with."""

    root_version: str
    began_at_s: int


class Deployment(Struct, frozen=True, omit_defaults=True):
    """What all tenants share. Written at the first start, changed when a period ends."""

    deployment: str
    lasting_root: str
    """The root version that identity, receipt and token keys hang on."""
    keys: KeyNamespace
    """The platform's own: its identity key finds access IDs and usernames, its signing key signs
    tokens and sealing keys, and its principals are the operators."""
    periods: tuple[Period, ...]
    """The current one last; those before it are being emptied."""
    former_root: str = ""
    """The root version that lasting keys are leaving; while one stands here, no other is left."""
    root_changed_at_s: int = 0
    """When that began."""
    forged: tuple[str, ...] = ()
    """Names, as hashes, of the records that hold up rotation and that the log was told of."""
    mac: bytes = b""


TENANTS = Collection(
    "tenants",
    indexes=(
        Index("reseller", "reseller"),
        Index("login_domain", "login_domain", unique=True),
        Index("delete_day", "delete_day"),
    ),
)
RESELLERS = Collection("resellers")
PRINCIPALS = Collection("principals", indexes=(Index("login", "login", unique=True),))
"""Document id: the principal id; a partner's client_id is the same."""
DEPLOYMENT = Collection("deployment")
ASSERTIONS = Collection(
    "assertions", indexes=(Index("expires", "expires_at_s"),), silent=True, passing=True
)
"""Client assertions that were used. Document id: hash of client and jti."""
ROUNDS = Collection("rounds", silent=True, passing=True)
"""When what is done now and then was done last. Document id: what."""

COLLECTIONS = (
    ACCESS,
    DIRECTORY,
    TENANTS,
    RESELLERS,
    PRINCIPALS,
    DEPLOYMENT,
    ASSERTIONS,
    ROUNDS,
)
