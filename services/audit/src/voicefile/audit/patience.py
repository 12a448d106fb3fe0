"""Patience: pauses that double while somebody elsewhere is away, and end with the first answer."""

from dataclasses import dataclass


@dataclass
class Patience:
    """How long to leave somebody alone. Times are a monotonic clock's."""

    first_s: float
    most_s: float
    pause_s: float = 0.0
    """0 while all is well."""
    until_s: float = float("-inf")

    def resting(self, now_s: float) -> bool:
        """Whether it is too early to ask again."""
        return now_s < self.until_s

    def failed(self, now_s: float) -> bool:
        """Pauses for twice as long as before; whether this is the first failure in a row."""
        first = not self.pause_s
        self.pause_s = min(self.pause_s * 2 or self.first_s, self.most_s)
        self.until_s = now_s + self.pause_s
        return first

    def worked(self) -> None:
        """All is well again."""
        self.pause_s = 0.0
        self.until_s = float("-inf")
