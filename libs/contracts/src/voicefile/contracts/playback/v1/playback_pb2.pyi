from voicefile.contracts.deed.v1 import deed_pb2 as _deed_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlaybackEvent(_message.Message):
    __slots__ = ("event_id", "deed", "listening_ended")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DEED_FIELD_NUMBER: _ClassVar[int]
    LISTENING_ENDED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    deed: _deed_pb2.Deed
    listening_ended: ListeningEnded
    def __init__(self, event_id: _Optional[str] = ..., deed: _Optional[_Union[_deed_pb2.Deed, _Mapping]] = ..., listening_ended: _Optional[_Union[ListeningEnded, _Mapping]] = ...) -> None: ...

class ListeningEnded(_message.Message):
    __slots__ = ("tenant", "release_id", "bytes_sent")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    release_id: str
    bytes_sent: int
    def __init__(self, tenant: _Optional[str] = ..., release_id: _Optional[str] = ..., bytes_sent: _Optional[int] = ...) -> None: ...
