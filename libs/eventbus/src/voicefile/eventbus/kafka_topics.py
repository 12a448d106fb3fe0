"""Topics, and who may speak and hear on them: what an operator prepares, and no service may.

Everything may be asked for again: what is there already stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # ships no types
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]  # ships no types
from aiokafka.errors import TopicAlreadyExistsError, for_code  # type: ignore[import-untyped]  # ships no types
from aiokafka.protocol.admin import CreateAclsRequest  # type: ignore[import-untyped]  # ships no types

from voicefile.eventbus.kafka_client import Connection

_SECURITY_DISABLED: Final = 54
"""The broker's code, which the client library doesn't know."""
_LITERAL: Final = 3
_ALLOW: Final = 3
_ANY_HOST: Final = "*"
_DAY_MS: Final = 86_400_000


class NoAuthorizer(Exception):
    """The brokers ask nobody what he may do, so no rule can be kept."""


class Of(IntEnum):
    """What a rule is about, as the protocol numbers it."""

    TOPIC = 2
    GROUP = 3


class May(IntEnum):
    """What a rule allows, as the protocol numbers it; each takes in asking that there is such."""

    READ = 3
    WRITE = 4


@dataclass(frozen=True)
class Topic:
    """A topic and how safe it is."""

    name: str
    partitions: int
    """Fixed for life: events of one key keep their order only while it stays the same."""
    copies: int
    retention_days: int
    """A consumer that is away for longer has missed something."""

    @property
    def settings(self) -> dict[str, str]:
        """An acknowledged event is in all copies but one, and no copy without it may lead."""
        return {
            "cleanup.policy": "delete",
            "min.insync.replicas": str(max(1, self.copies - 1)),
            "retention.ms": str(self.retention_days * _DAY_MS),
            "unclean.leader.election.enable": "false",
        }


@dataclass(frozen=True)
class Rule:
    """One principal may do one thing with one topic or group; all else is refused."""

    principal: str
    may: May
    of: Of
    name: str


async def make_topics(connection: Connection, topics: Sequence[Topic]) -> list[str]:
    """Makes what is missing; answers the names of what was made. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**connection.options())
    try:
        await admin.start()
        answer: Any = await admin.create_topics(
            [
                NewTopic(each.name, each.partitions, each.copies, topic_configs=each.settings)
                for each in topics
            ]
        )
    finally:
        await admin.close()
    made = []
    for name, code, message in answer.topic_errors:
        error = for_code(code)
        if not code:
            made.append(name)
        elif error is not TopicAlreadyExistsError:
            raise error(f"{name}: {message}")
    return made


async def allow(connection: Connection, rules: Sequence[Rule]) -> None:
    """Adds the rules; one that is there already is no second one.

    Raises NoAuthorizer; KafkaError.
    """
    client = AIOKafkaClient(**connection.options())
    try:
        await client.bootstrap()
        for rule in rules:
            await _allow(client, rule)
    finally:
        await client.close()


async def _allow(client: AIOKafkaClient, rule: Rule) -> None:
    request = CreateAclsRequest(
        resource_type=rule.of,
        resource_name=rule.name,
        resource_pattern_type_filter=_LITERAL,
        principal=rule.principal,
        host=_ANY_HOST,
        operation=rule.may,
        permission_type=_ALLOW,
    )
    answer: Any = await client.send(client.get_random_node(), request)
    for code, message in answer.creation_responses:
        if code == _SECURITY_DISABLED:
            raise NoAuthorizer(message)
        if code:
            raise for_code(code)(f"{rule.name}: {message}")
