"""Who listens: a customer with a session, or a care agent with a purpose."""

import hashlib
from dataclasses import dataclass, field

from voicefile.identity.principal import Role


@dataclass(frozen=True)
class Listener:
    """One caller of playback; the bearer goes to auth, which decides."""

    role: Role
    bearer: str = field(repr=False)
    principal: str = ""
    """A care agent's id; empty for a customer, whose id only auth knows."""
    purpose: str = ""

    @property
    def who(self) -> str:
        """The same for all that one agent, or one customer's session, asks for."""
        told = self.principal or self.bearer
        return hashlib.sha256(f"voicefile/listener\0{told}".encode()).hexdigest()

    def listening_key(self, recording_id: str) -> str:
        """What makes two requests one listening: this session or agent, purpose and recording."""
        parts = ("voicefile/listening", self.who, self.purpose, recording_id)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
