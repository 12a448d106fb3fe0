from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_PARTNER: _ClassVar[Role]
    ROLE_CUSTOMER: _ClassVar[Role]
    ROLE_CARE: _ClassVar[Role]
    ROLE_TENANT_ADMIN: _ClassVar[Role]
    ROLE_AUDITOR: _ClassVar[Role]
    ROLE_OPERATOR: _ClassVar[Role]
    ROLE_SERVICE: _ClassVar[Role]
    ROLE_UNKNOWN: _ClassVar[Role]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_DONE: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_CUSTOMER_REQUEST: _ClassVar[Purpose]
    PURPOSE_COMPLAINT: _ClassVar[Purpose]
    PURPOSE_DISPUTE: _ClassVar[Purpose]
    PURPOSE_QUALITY: _ClassVar[Purpose]
    PURPOSE_LEGAL: _ClassVar[Purpose]
    PURPOSE_AUTHORITY: _ClassVar[Purpose]

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_UNSPECIFIED: _ClassVar[Action]
    ACTION_VOID: _ClassVar[Action]
    ACTION_RECORDING_STORED: _ClassVar[Action]
    ACTION_UPLOAD_REFUSED: _ClassVar[Action]
    ACTION_ACCESS_ISSUED: _ClassVar[Action]
    ACTION_TOKEN_ISSUED: _ClassVar[Action]
    ACTION_STAFF_SIGNED_IN: _ClassVar[Action]
    ACTION_CUSTOMER_SIGNED_IN: _ClassVar[Action]
    ACTION_CUSTOMER_SIGNED_OUT: _ClassVar[Action]
    ACTION_QUESTION_ANSWERED: _ClassVar[Action]
    ACTION_RECORDINGS_LISTED: _ClassVar[Action]
    ACTION_RELEASE_GRANTED: _ClassVar[Action]
    ACTION_RELEASE_JOINED: _ClassVar[Action]
    ACTION_LISTENING_ENDED: _ClassVar[Action]
    ACTION_RECORDING_DOWNLOADED: _ClassVar[Action]
    ACTION_CUSTOMERS_SEARCHED: _ClassVar[Action]
    ACTION_CREDENTIAL_REISSUED: _ClassVar[Action]
    ACTION_CREDENTIAL_FROZEN: _ClassVar[Action]
    ACTION_CREDENTIAL_REVOKED: _ClassVar[Action]
    ACTION_CREDENTIAL_UNDELIVERED: _ClassVar[Action]
    ACTION_CREDENTIAL_RESTORED: _ClassVar[Action]
    ACTION_LETTER_CHANGED: _ClassVar[Action]
    ACTION_TENANT_OPENED: _ClassVar[Action]
    ACTION_TENANT_CHANGED: _ClassVar[Action]
    ACTION_TENANT_CLOSED: _ClassVar[Action]
    ACTION_SCOPE_ADDED: _ClassVar[Action]
    ACTION_PRINCIPAL_ADDED: _ClassVar[Action]
    ACTION_PRINCIPAL_REMOVED: _ClassVar[Action]
    ACTION_EPOCH_OPENED: _ClassVar[Action]
    ACTION_EPOCH_DESTROYED: _ClassVar[Action]
    ACTION_RECORDING_READ: _ClassVar[Action]
    ACTION_CHANGES_READ: _ClassVar[Action]
    ACTION_LOG_READ: _ClassVar[Action]
    ACTION_PROOF_READ: _ClassVar[Action]
    ACTION_RECORDING_HELD: _ClassVar[Action]
    ACTION_RECORDING_ERASED: _ClassVar[Action]
    ACTION_INTEGRITY_FAILED: _ClassVar[Action]
    ACTION_RECORDING_JOINED: _ClassVar[Action]
    ACTION_QUESTION_ASKED: _ClassVar[Action]
    ACTION_ADMINISTRATION_READ: _ClassVar[Action]
    ACTION_EVENT_REPLAYED: _ClassVar[Action]
    ACTION_LOG_EXPORTED: _ClassVar[Action]
    ACTION_HEARINGS_READ: _ClassVar[Action]
    ACTION_DOOR_REFUSED: _ClassVar[Action]
    ACTION_MANIFEST_READ: _ClassVar[Action]
    ACTION_RELEASE_RETURNED: _ClassVar[Action]
    ACTION_MANIFEST_SIGNED: _ClassVar[Action]
    ACTION_CALL_ANSWERED: _ClassVar[Action]
    ACTION_CALL_ENDED: _ClassVar[Action]
    ACTION_CALL_TRANSFERRED: _ClassVar[Action]
    ACTION_SIGNING_KEY_ADDED: _ClassVar[Action]
    ACTION_ROOT_CHANGED: _ClassVar[Action]
    ACTION_KEYS_REWRAPPED: _ClassVar[Action]
    ACTION_ROOT_DESTROYED: _ClassVar[Action]
    ACTION_OBJECTION_SETTLED: _ClassVar[Action]
    ACTION_HOLD_LIFTED: _ClassVar[Action]
    ACTION_ERASURE_ASKED: _ClassVar[Action]
    ACTION_ERASURE_WITHDRAWN: _ClassVar[Action]
    ACTION_CUSTOMER_ERASED: _ClassVar[Action]
    ACTION_TENANT_ERASED: _ClassVar[Action]
    ACTION_RETENTION_APPLIED: _ClassVar[Action]
    ACTION_CERTIFICATE_READ: _ClassVar[Action]
    ACTION_DOCUMENTS_DUMPED: _ClassVar[Action]
    ACTION_BACKUP_TAKEN: _ClassVar[Action]
    ACTION_BACKUP_DRILLED: _ClassVar[Action]
    ACTION_BACKUP_RESTORED: _ClassVar[Action]
ROLE_UNSPECIFIED: Role
ROLE_PARTNER: Role
ROLE_CUSTOMER: Role
ROLE_CARE: Role
ROLE_TENANT_ADMIN: Role
ROLE_AUDITOR: Role
ROLE_OPERATOR: Role
ROLE_SERVICE: Role
ROLE_UNKNOWN: Role
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_DONE: Outcome
OUTCOME_REFUSED: Outcome
OUTCOME_FAILED: Outcome
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_CUSTOMER_REQUEST: Purpose
PURPOSE_COMPLAINT: Purpose
PURPOSE_DISPUTE: Purpose
PURPOSE_QUALITY: Purpose
PURPOSE_LEGAL: Purpose
PURPOSE_AUTHORITY: Purpose
ACTION_UNSPECIFIED: Action
ACTION_VOID: Action
ACTION_RECORDING_STORED: Action
ACTION_UPLOAD_REFUSED: Action
ACTION_ACCESS_ISSUED: Action
ACTION_TOKEN_ISSUED: Action
ACTION_STAFF_SIGNED_IN: Action
ACTION_CUSTOMER_SIGNED_IN: Action
ACTION_CUSTOMER_SIGNED_OUT: Action
ACTION_QUESTION_ANSWERED: Action
ACTION_RECORDINGS_LISTED: Action
ACTION_RELEASE_GRANTED: Action
ACTION_RELEASE_JOINED: Action
ACTION_LISTENING_ENDED: Action
ACTION_RECORDING_DOWNLOADED: Action
ACTION_CUSTOMERS_SEARCHED: Action
ACTION_CREDENTIAL_REISSUED: Action
ACTION_CREDENTIAL_FROZEN: Action
ACTION_CREDENTIAL_REVOKED: Action
ACTION_CREDENTIAL_UNDELIVERED: Action
ACTION_CREDENTIAL_RESTORED: Action
ACTION_LETTER_CHANGED: Action
ACTION_TENANT_OPENED: Action
ACTION_TENANT_CHANGED: Action
ACTION_TENANT_CLOSED: Action
ACTION_SCOPE_ADDED: Action
ACTION_PRINCIPAL_ADDED: Action
ACTION_PRINCIPAL_REMOVED: Action
ACTION_EPOCH_OPENED: Action
ACTION_EPOCH_DESTROYED: Action
ACTION_RECORDING_READ: Action
ACTION_CHANGES_READ: Action
ACTION_LOG_READ: Action
ACTION_PROOF_READ: Action
ACTION_RECORDING_HELD: Action
ACTION_RECORDING_ERASED: Action
ACTION_INTEGRITY_FAILED: Action
ACTION_RECORDING_JOINED: Action
ACTION_QUESTION_ASKED: Action
ACTION_ADMINISTRATION_READ: Action
ACTION_EVENT_REPLAYED: Action
ACTION_LOG_EXPORTED: Action
ACTION_HEARINGS_READ: Action
ACTION_DOOR_REFUSED: Action
ACTION_MANIFEST_READ: Action
ACTION_RELEASE_RETURNED: Action
ACTION_MANIFEST_SIGNED: Action
ACTION_CALL_ANSWERED: Action
ACTION_CALL_ENDED: Action
ACTION_CALL_TRANSFERRED: Action
ACTION_SIGNING_KEY_ADDED: Action
ACTION_ROOT_CHANGED: Action
ACTION_KEYS_REWRAPPED: Action
ACTION_ROOT_DESTROYED: Action
ACTION_OBJECTION_SETTLED: Action
ACTION_HOLD_LIFTED: Action
ACTION_ERASURE_ASKED: Action
ACTION_ERASURE_WITHDRAWN: Action
ACTION_CUSTOMER_ERASED: Action
ACTION_TENANT_ERASED: Action
ACTION_RETENTION_APPLIED: Action
ACTION_CERTIFICATE_READ: Action
ACTION_DOCUMENTS_DUMPED: Action
ACTION_BACKUP_TAKEN: Action
ACTION_BACKUP_DRILLED: Action
ACTION_BACKUP_RESTORED: Action

class Event(_message.Message):
    __slots__ = ("event_id", "deed")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DEED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    deed: Deed
    def __init__(self, event_id: _Optional[str] = ..., deed: _Optional[_Union[Deed, _Mapping]] = ...) -> None: ...

class Deed(_message.Message):
    __slots__ = ("deed_id", "tenant", "actor", "role", "action", "object_id", "purpose", "outcome", "at_ms", "request_id", "boot_id", "n", "commitment", "stored_through", "related_id", "bytes_sent")
    DEED_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    STORED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    RELATED_ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    deed_id: str
    tenant: str
    actor: str
    role: Role
    action: Action
    object_id: str
    purpose: Purpose
    outcome: Outcome
    at_ms: int
    request_id: str
    boot_id: str
    n: int
    commitment: bytes
    stored_through: int
    related_id: str
    bytes_sent: int
    def __init__(self, deed_id: _Optional[str] = ..., tenant: _Optional[str] = ..., actor: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., action: _Optional[_Union[Action, str]] = ..., object_id: _Optional[str] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., at_ms: _Optional[int] = ..., request_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., n: _Optional[int] = ..., commitment: _Optional[bytes] = ..., stored_through: _Optional[int] = ..., related_id: _Optional[str] = ..., bytes_sent: _Optional[int] = ...) -> None: ...
