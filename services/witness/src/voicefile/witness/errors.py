"""Why a witness does not cosign, named after what happened.

WitnessError
├── RequestInvalid    not a request, or it contradicts itself
├── LogUnknown        no such log is witnessed here
├── NotSigned         the log's key did not sign the checkpoint
├── SizeDiffers       the old size is not that of the last checkpoint cosigned; says which is
├── NotConsistent     the checkpoint does not continue the one cosigned last
├── LogKnown          the log is witnessed already, perhaps under another key
└── MemoryLost        what was cosigned last is missing or damaged: nothing is cosigned any more
"""


class WitnessError(Exception):
    """What this package raises on purpose."""


class RequestInvalid(WitnessError):
    """It can't be read, or names an old size above the new one."""


class LogUnknown(WitnessError):
    """Nobody configured a log of that origin."""


class NotSigned(WitnessError):
    """No signature, or a wrong one, by the key that was configured."""


class SizeDiffers(WitnessError):
    """The log has to prove from `size` on: that is what was cosigned last."""

    def __init__(self, size: int) -> None:
        super().__init__("another size was cosigned last")
        self.size = size


class NotConsistent(WitnessError):
    """The log has signed a tree of which it can't prove that it only grew."""


class LogKnown(WitnessError):
    """A log's key is never exchanged: what it signs from now on might be another log."""


class MemoryLost(WitnessError):
    """Who has forgotten might cosign a fork, so it stops. The text says what is wrong."""
