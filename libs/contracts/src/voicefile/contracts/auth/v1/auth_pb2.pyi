from voicefile.contracts.deed.v1 import deed_pb2 as _deed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECORDING_STATE_UNSPECIFIED: _ClassVar[RecordingState]
    RECORDING_STATE_PLAYABLE: _ClassVar[RecordingState]
    RECORDING_STATE_HELD: _ClassVar[RecordingState]
    RECORDING_STATE_QUARANTINED: _ClassVar[RecordingState]
    RECORDING_STATE_SUPERSEDED: _ClassVar[RecordingState]
    RECORDING_STATE_ERASED: _ClassVar[RecordingState]

class LetterState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LETTER_STATE_UNSPECIFIED: _ClassVar[LetterState]
    LETTER_STATE_WANTED: _ClassVar[LetterState]
    LETTER_STATE_PRINTED: _ClassVar[LetterState]
    LETTER_STATE_SENT: _ClassVar[LetterState]
    LETTER_STATE_RETURNED: _ClassVar[LetterState]
RECORDING_STATE_UNSPECIFIED: RecordingState
RECORDING_STATE_PLAYABLE: RecordingState
RECORDING_STATE_HELD: RecordingState
RECORDING_STATE_QUARANTINED: RecordingState
RECORDING_STATE_SUPERSEDED: RecordingState
RECORDING_STATE_ERASED: RecordingState
LETTER_STATE_UNSPECIFIED: LetterState
LETTER_STATE_WANTED: LetterState
LETTER_STATE_PRINTED: LetterState
LETTER_STATE_SENT: LetterState
LETTER_STATE_RETURNED: LetterState

class AuthEvent(_message.Message):
    __slots__ = ("event_id", "deed", "tenant_published", "recording_issued", "recording_changed", "access_erased", "tenant_erased")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DEED_FIELD_NUMBER: _ClassVar[int]
    TENANT_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    RECORDING_ISSUED_FIELD_NUMBER: _ClassVar[int]
    RECORDING_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ACCESS_ERASED_FIELD_NUMBER: _ClassVar[int]
    TENANT_ERASED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    deed: _deed_pb2.Deed
    tenant_published: TenantPublished
    recording_issued: RecordingIssued
    recording_changed: RecordingChanged
    access_erased: AccessErased
    tenant_erased: TenantErased
    def __init__(self, event_id: _Optional[str] = ..., deed: _Optional[_Union[_deed_pb2.Deed, _Mapping]] = ..., tenant_published: _Optional[_Union[TenantPublished, _Mapping]] = ..., recording_issued: _Optional[_Union[RecordingIssued, _Mapping]] = ..., recording_changed: _Optional[_Union[RecordingChanged, _Mapping]] = ..., access_erased: _Optional[_Union[AccessErased, _Mapping]] = ..., tenant_erased: _Optional[_Union[TenantErased, _Mapping]] = ...) -> None: ...

class TenantPublished(_message.Message):
    __slots__ = ("tenant", "version", "open", "recording_allowed", "epoch", "sealing_key", "sealing_key_signature", "retention_classes", "default_retention_class", "scopes")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    RECORDING_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RETENTION_CLASSES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_RETENTION_CLASS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    version: int
    open: bool
    recording_allowed: bool
    epoch: str
    sealing_key: bytes
    sealing_key_signature: bytes
    retention_classes: _containers.RepeatedScalarFieldContainer[str]
    default_retention_class: str
    scopes: _containers.RepeatedCompositeFieldContainer[Scope]
    def __init__(self, tenant: _Optional[str] = ..., version: _Optional[int] = ..., open: _Optional[bool] = ..., recording_allowed: _Optional[bool] = ..., epoch: _Optional[str] = ..., sealing_key: _Optional[bytes] = ..., sealing_key_signature: _Optional[bytes] = ..., retention_classes: _Optional[_Iterable[str]] = ..., default_retention_class: _Optional[str] = ..., scopes: _Optional[_Iterable[_Union[Scope, _Mapping]]] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("department", "project", "recording_allowed")
    DEPARTMENT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    RECORDING_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    department: str
    project: str
    recording_allowed: bool
    def __init__(self, department: _Optional[str] = ..., project: _Optional[str] = ..., recording_allowed: _Optional[bool] = ...) -> None: ...

class RecordingIssued(_message.Message):
    __slots__ = ("tenant", "recording_id", "partner", "state", "blobs")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RECORDING_ID_FIELD_NUMBER: _ClassVar[int]
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    recording_id: str
    partner: str
    state: RecordingState
    blobs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., recording_id: _Optional[str] = ..., partner: _Optional[str] = ..., state: _Optional[_Union[RecordingState, str]] = ..., blobs: _Optional[_Iterable[str]] = ...) -> None: ...

class RecordingChanged(_message.Message):
    __slots__ = ("tenant", "recording_id", "partner", "state", "letter", "blobs", "left")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RECORDING_ID_FIELD_NUMBER: _ClassVar[int]
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    recording_id: str
    partner: str
    state: RecordingState
    letter: LetterState
    blobs: _containers.RepeatedScalarFieldContainer[str]
    left: bytes
    def __init__(self, tenant: _Optional[str] = ..., recording_id: _Optional[str] = ..., partner: _Optional[str] = ..., state: _Optional[_Union[RecordingState, str]] = ..., letter: _Optional[_Union[LetterState, str]] = ..., blobs: _Optional[_Iterable[str]] = ..., left: _Optional[bytes] = ...) -> None: ...

class AccessErased(_message.Message):
    __slots__ = ("tenant", "credential", "left")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    credential: str
    left: bytes
    def __init__(self, tenant: _Optional[str] = ..., credential: _Optional[str] = ..., left: _Optional[bytes] = ...) -> None: ...

class TenantErased(_message.Message):
    __slots__ = ("tenant", "left")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    left: bytes
    def __init__(self, tenant: _Optional[str] = ..., left: _Optional[bytes] = ...) -> None: ...
