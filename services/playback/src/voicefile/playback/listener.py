"""Who listens: a customer with a session, or a care agent with a purpose."""

import hashlib
from dataclasses import dataclass, field

from voicefile.identity.principal import Role


@dataclass(frozen=True)
class Listener:
    """Somebody who listens, as far as it is kept: nothing that opens a door."""

    role: Role
    who: str
    """The same for all that one agent, or one customer's session, asks for: a hash."""
    principal: str = ""
    """A care agent's id; empty for a customer, whose id only auth knows."""
    purpose: str = ""

    def listening_key(self, recording_id: str) -> str:
        """What makes two requests one listening: this session or agent, purpose and recording."""
        parts = ("voicefile/listening", self.who, self.purpose, recording_id)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Caller:
    """Who asks in one request; the bearer goes to auth, which decides, and is kept by nobody."""

    role: Role
    bearer: str = field(repr=False)
    principal: str = ""
    purpose: str = ""

    @property
    def listener(self) -> Listener:
        """Who that is, without the bearer."""
        told = self.principal or self.bearer
        who = hashlib.sha256(f"voicefile/listener\0{told}".encode()).hexdigest()
        return Listener(self.role, who, self.principal, self.purpose)
