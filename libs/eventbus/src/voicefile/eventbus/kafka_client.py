"""How to reach the brokers, and which of the client library's many settings are ours."""

import asyncio
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # ships no types
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # ships no types

AWAY: Final = (KafkaError, OSError, TimeoutError)
"""What the client library raises when brokers can't be reached, or don't do what they should."""
_MS: Final = 1000
_ANSWERED_S: Final = 0.1
_NEVER_MS: Final = 2**31 - 1


class Password(Protocol):
    """A secret that shows itself only when asked to."""

    def expose(self) -> str: ...


@dataclass(frozen=True)
class Limits:
    """Times and sizes towards brokers."""

    request_s: float = 10.0
    """A broker that has not answered by then is asked again, by another connection."""
    publish_s: float = 20.0
    """One publish; what is not acknowledged by then counts as not safe."""
    batch_bytes: int = 512 * 1024
    """Records that travel together; below a broker's own limit (1 MiB unless told otherwise)."""
    record_bytes_max: int = 1_000_000
    """A larger event is refused: no broker takes it."""
    session_s: float = 9.0
    """A consumer unheard of for so long is dead, and its partitions go to others. With the two
    seconds until they hear of it, and the join, that is well under fifteen."""
    heartbeat_s: float = 2.0
    rebalance_s: float = 45.0
    """How long a rebalance waits for a member that is finishing its handler; longer than a
    handler may take, or it would be thrown out while it does what it should."""
    poll_records: int = 500
    """Events handled between two commits."""
    fetch_wait_s: float = 0.5
    """How long a broker holds a fetch while there is nothing."""
    metadata_s: float = 60.0
    """How soon a new topic or partition is noticed."""
    close_s: float = 25.0
    """Closing a consumer or producer; a broker that hangs is not waited for any longer."""


@dataclass(frozen=True)
class Connection:
    """Which brokers, and as whom: by certificate in `ssl`, or by name and password over TLS."""

    bootstrap: str
    client: str
    ssl: ssl.SSLContext | None
    sasl: tuple[str, Password] | None = field(default=None, repr=False)
    limits: Limits = field(default=Limits())

    def __post_init__(self) -> None:
        if self.sasl is not None and self.ssl is None:
            raise ValueError("a password goes over TLS or nowhere")

    def options(self) -> dict[str, Any]:
        """What consumers and producers have in common."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client,
            "request_timeout_ms": int(self.limits.request_s * _MS),
            "metadata_max_age_ms": int(self.limits.metadata_s * _MS),
            "security_protocol": "PLAINTEXT" if self.ssl is None else "SSL",
            "ssl_context": self.ssl,
        }
        if self.sasl is not None:
            user, password = self.sasl
            options |= {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": user,
                "sasl_plain_password": password.expose(),
            }
        return options


def quiet() -> None:
    """The library says ten times a second that a broker is away, and quotes records in debugging.

    What matters of it, we say ourselves.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def new_producer(connection: Connection, *, idempotent: bool) -> AIOKafkaProducer:
    """The library has one request per partition under way at most, so order is never at stake."""
    quiet()
    return AIOKafkaProducer(
        **connection.options(),
        acks="all",
        enable_idempotence=idempotent,
        max_batch_size=connection.limits.batch_bytes,
        max_request_size=2 * connection.limits.record_bytes_max,
    )


def new_consumer(connection: Connection, group: str | None) -> AIOKafkaConsumer:
    """Without a group: reads what it is told to, and commits nothing."""
    quiet()
    limits = connection.limits
    return AIOKafkaConsumer(
        **connection.options(),
        group_id=group,
        enable_auto_commit=False,
        # A new group hears everything that is still there.
        auto_offset_reset="earliest",
        session_timeout_ms=int(limits.session_s * _MS),
        heartbeat_interval_ms=int(limits.heartbeat_s * _MS),
        rebalance_timeout_ms=int(limits.rebalance_s * _MS),
        # Whether a handler lives is judged by its own time limit, not by how often we poll: a
        # group that waits for its store keeps its partitions.
        max_poll_interval_ms=_NEVER_MS,
        fetch_max_wait_ms=int(limits.fetch_wait_s * _MS),
    )


async def close_consumer(consumer: AIOKafkaConsumer, limits: Limits) -> None:
    """Leaves its group and its connections; takes `close_s` at most.

    A broker that holds a fetch reads nothing else, not even that the connection is being closed;
    and uvloop, whose farewell crosses the answer then, waits for half a minute. So nothing is
    asked for any more before.
    """
    with suppress(*AWAY):
        async with asyncio.timeout(limits.close_s):
            assigned = consumer.assignment()
            if assigned:
                consumer.pause(*assigned)
                await asyncio.sleep(limits.fetch_wait_s + _ANSWERED_S)
            await consumer.stop()
