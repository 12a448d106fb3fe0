"""What goes wrong in audit, named after what happened.

AuditError
├── Unreadable    an event holds no deed that can be taken in
├── AppendStopped the sequencer has ended: the bus keeps what it brought
├── LogDamaged    what is stored contradicts itself: nothing more is signed
├── LogMoved      another sequencer appended: what is in memory is behind
└── NotFound      no such log, tile, entry or proof, or not for this caller
"""


class AuditError(Exception):
    """What this service raises on purpose."""


class Unreadable(AuditError):
    """The event is kept aside: it can be neither appended nor dropped."""


class AppendStopped(AuditError):
    """The sequencer has ended; nothing was written."""


class LogDamaged(AuditError):
    """Stored parts of a log contradict each other; the text says which, and no content."""


class LogMoved(AuditError):
    """Somebody else appended to the log; the state is read again and the batch comes again."""


class NotFound(AuditError):
    """It is not there, or belongs to somebody else; nobody can tell which."""
