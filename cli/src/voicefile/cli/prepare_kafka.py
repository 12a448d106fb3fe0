"""Makes topics and the rules about them."""

from dataclasses import dataclass

from voicefile.chassis.calls import client_context
from voicefile.cli.prepare_plan import SPEAKS, dead_letters, hears
from voicefile.cli.prepare_settings import NotPrepared, PrepareSettings, shown, told
from voicefile.crypto.secret import SecretText
from voicefile.eventbus.kafka_client import AWAY, Connection
from voicefile.eventbus.kafka_topics import May, NoAuthorizer, Of, Rule, Topic, allow, make_topics


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of every topic."""

    partitions: int
    copies: int
    retention_days: int


async def prepare_kafka(settings: PrepareSettings, sizes: Sizes, principal: str) -> str:
    """Says what was made. Raises NotPrepared."""
    wanted = topics(sizes)
    kept = rules(principal)
    try:
        connection = operators_connection(settings, "voicefile-prepare")
        made = await make_topics(connection, wanted)
        await allow(connection, kept)
    except NoAuthorizer:
        raise NotPrepared(
            "The brokers have no authorizer: everybody may read and write every topic."
        ) from None
    except AWAY as error:
        raise NotPrepared(f"The brokers can't be reached, or refuse: {error}") from None
    said = told((each.name, each.name in made) for each in wanted)
    return f"{said}{len(kept)} rules: each service speaks and hears only where it must\n"


def operators_connection(settings: PrepareSettings, client: str) -> Connection:
    """To the brokers, as somebody who may do more than a service."""
    sasl = None
    if settings.admin_kafka_username is not None:
        password = SecretText(shown(settings.admin_kafka_password))
        sasl = (settings.admin_kafka_username, password)
    trust = client_context(settings.admin_kafka_certificate, authority=settings.kafka_ca)
    return Connection(settings.kafka_bootstrap or "", client, trust, sasl)


def topics(sizes: Sizes) -> list[Topic]:
    """All there are. Dead letters are few and read by people: one partition."""
    spoken = [(name, sizes.partitions) for name in SPEAKS.values()]
    dead = [(dead_letters(service), 1) for service in hears()]
    return [
        Topic(name, partitions, sizes.copies, sizes.retention_days)
        for name, partitions in (*spoken, *dead)
    ]


def rules(principal: str) -> list[Rule]:
    """The least each service can do its work with."""
    found = []
    for service, own in SPEAKS.items():
        who = principal.format(service=service)
        found.append(Rule(who, May.WRITE, Of.TOPIC, own))
        heard = hears().get(service, ())
        found += [Rule(who, May.READ, Of.TOPIC, topic) for topic in heard]
        if heard:
            found.append(Rule(who, May.READ, Of.GROUP, service))
            found.append(Rule(who, May.WRITE, Of.TOPIC, dead_letters(service)))
    return found
