"""A server's own time of a change, as the driver knows it; of the driver nothing else is here."""

from typing import Final

from bson.timestamp import Timestamp as ServerTime

__all__ = ["UNTIMED", "ServerTime", "before"]

UNTIMED: Final = ServerTime(0, 0)
"""In an insert: the server puts its own time in this one's place."""


def before(at: ServerTime, seconds: int) -> ServerTime:
    """So long before that time; UNTIMED if that is before all time."""
    return ServerTime(max(at.time - seconds, 0), 0)
