"""What goes wrong in audit, named after what happened.

AuditError
├── Unreadable    an event holds no deed that can be taken in
├── AppendStopped the sequencer has ended, or another instance's is at work: the bus keeps the deeds
├── AppendFailed  the deeds could not be written, whatever they are: they come again
├── LogDamaged    what is stored contradicts itself: nothing more is signed
├── LogMoved      another sequencer appended: what is in memory is behind
├── CursorUnknown no search of ours goes on there
└── NotFound      no such log, tile, entry or proof, or not for this caller

No deed is ever to blame for what keeps it from being appended: what can't be a deed was put aside
before. So all that goes wrong then says `NotNow` to the bus, and it gives none up.
"""

from voicefile.eventbus.port import NotNow


class AuditError(Exception):
    """What this service raises on purpose."""


class Unreadable(AuditError):
    """The event is kept aside: it can be neither appended nor dropped."""


class AppendStopped(AuditError, NotNow):
    """The sequencer has ended; nothing was written that anybody was told of."""


class AppendFailed(AuditError, NotNow):
    """It was not written, or nobody knows; what hindered it is the cause."""


class LogDamaged(AuditError):
    """Stored parts of a log contradict each other; the text says which, and no content."""


class LogMoved(AuditError, NotNow):
    """Somebody else appended to the log; the state is read again and the batch comes again."""


class CursorUnknown(AuditError):
    """What was given as a cursor is none."""


class NotFound(AuditError):
    """It is not there, or belongs to somebody else; nobody can tell which."""
