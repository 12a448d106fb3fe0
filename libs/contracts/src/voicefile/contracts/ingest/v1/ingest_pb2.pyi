from voicefile.contracts.deed.v1 import deed_pb2 as _deed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestEvent(_message.Message):
    __slots__ = ("event_id", "deed", "recording_stored")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DEED_FIELD_NUMBER: _ClassVar[int]
    RECORDING_STORED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    deed: _deed_pb2.Deed
    recording_stored: RecordingStored
    def __init__(self, event_id: _Optional[str] = ..., deed: _Optional[_Union[_deed_pb2.Deed, _Mapping]] = ..., recording_stored: _Optional[_Union[RecordingStored, _Mapping]] = ...) -> None: ...

class RecordingStored(_message.Message):
    __slots__ = ("tenant", "recording_id", "blobs")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RECORDING_ID_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    recording_id: str
    blobs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., recording_id: _Optional[str] = ..., blobs: _Optional[_Iterable[str]] = ...) -> None: ...
