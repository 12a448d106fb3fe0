"""`voicefile prepare` against real engines: each service may do what it must, and nothing else."""

import asyncio
import secrets
import ssl
import stat

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from pymongo.errors import OperationFailure
from tests.engines import running
from tests.engines.certificates import certificate
from tests.engines.environment import NotToBeHad
from tests.engines.kafka import OPERATOR, Kafka
from tests.engines.mongo import Mongo
from tests.engines.provision import NotProvisioned, prepare
from tests.services.backup.house import two_recipients

from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import Fittings, embedded
from voicefile.cli.place import Place
from voicefile.cli.prepare_plan import SPEAKS, dead_letters, hears
from voicefile.docstore.mongo_users import Account, NoMongoUri, password_in, uri_of

# Two of them start engines of their own, on a machine that has other things to do.
pytestmark = pytest.mark.timeout(300)
REFUSED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


def started(kind, tmp_path_factory):
    """One of the module's own: what is prepared on the one that all share would be felt by all."""
    folder = tmp_path_factory.mktemp(kind.name)
    engine = kind(folder / kind.name, folder / "certificates")
    try:
        engine.start()
    except NotToBeHad as why:
        pytest.skip(f"no {kind.name}: {why}")
    return engine


# ---- Kafka ----


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    kafka = started(Kafka, tmp_path_factory)
    kafka.said = [prepare_kafka(kafka), prepare_kafka(kafka)]
    yield kafka
    kafka.stop()


def prepare_kafka(kafka, *options):
    return prepare(
        ("kafka", "--copies", "1", "--partitions", "2", *options),
        VOICEFILE_KAFKA_BOOTSTRAP=kafka.bootstrap,
        VOICEFILE_KAFKA_CA=str(kafka.authority),
        VOICEFILE_ADMIN_KAFKA_CERTIFICATE=str(certificate(kafka.certificates, OPERATOR)),
    )


def options_of(kafka, who):
    """By certificate; `password:<name>` by password."""
    if who.startswith("password:"):
        user = who.partition(":")[2]
        return {
            "bootstrap_servers": kafka.bootstrap_passwords,
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=str(kafka.authority)),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": kafka.password_of(user),
        }
    return {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": "SSL",
        "ssl_context": kafka.ssl(who),
    }


async def may_write(kafka, who, topic):
    producer = AIOKafkaProducer(**options_of(kafka, who), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        await asyncio.wait_for(producer.send_and_wait(topic, b"{}"), timeout=20)
    except REFUSED:
        return False
    finally:
        await producer.stop()
    return True


async def may_read(kafka, who, topic, group):
    consumer = AIOKafkaConsumer(
        topic, group_id=group, enable_auto_commit=False, **options_of(kafka, who)
    )
    try:
        await consumer.start()
        await asyncio.wait_for(consumer.getmany(timeout_ms=500), timeout=20)
    except (*REFUSED, GroupAuthorizationFailedError):
        return False
    finally:
        await consumer.stop()
    return True


def test_topics_are_made_once(broker):
    first, again = broker.said
    assert first.count("made ") == len(SPEAKS) + len(hears())
    assert again.count("there ") == len(SPEAKS) + len(hears())
    assert "made " not in again


@pytest.mark.parametrize("who", sorted(SPEAKS))
async def test_a_service_speaks_on_its_own_topic_alone(broker, who):
    for owner, topic in SPEAKS.items():
        assert await may_write(broker, who, topic) == (owner == who), topic


async def test_dead_letters_are_written_by_who_could_not_work_them_off(broker):
    assert await may_write(broker, "ingest", dead_letters("ingest"))
    assert not await may_write(broker, "ingest", dead_letters("audit"))
    assert not await may_read(broker, "ingest", dead_letters("ingest"), "ingest")


async def test_a_service_hears_what_it_must_and_in_its_own_group_alone(broker):
    for topic in SPEAKS.values():
        assert await may_read(broker, "audit", topic, "audit"), topic
    assert await may_read(broker, "ingest", SPEAKS["auth"], "ingest")
    assert not await may_read(broker, "ingest", SPEAKS["playback"], "ingest")
    assert not await may_read(broker, "ingest", SPEAKS["auth"], "audit")
    for heard in ("ingest", "auth"):
        assert await may_read(broker, "backup", SPEAKS[heard], "backup")
    assert not await may_read(broker, "backup", SPEAKS["audit"], "backup")
    assert not await may_read(broker, "playback", SPEAKS["auth"], "playback")
    assert not await may_read(broker, "auth", SPEAKS["auth"], "auth")


async def test_nobody_makes_a_topic_by_speaking_on_it(broker):
    with pytest.raises((KafkaError, TimeoutError)):
        await asyncio.wait_for(may_write(broker, OPERATOR, "voicefile.other.v1"), timeout=3)


async def test_a_service_makes_no_topics(broker):
    admin = AIOKafkaAdminClient(**options_of(broker, "auth"))
    await admin.start()
    answer = await admin.create_topics([NewTopic("voicefile.mine.v1", 1, 1)])
    await admin.close()
    assert [code for _, code, _ in answer.topic_errors] == [TopicAuthorizationFailedError.errno]


async def test_services_that_come_by_password_get_rules_of_their_own(broker):
    assert not await may_write(broker, "password:ingest", SPEAKS["ingest"])
    said = await asyncio.to_thread(
        prepare,
        ("kafka", "--copies", "1", "--principal", "User:{service}"),
        VOICEFILE_KAFKA_BOOTSTRAP=broker.bootstrap_passwords,
        VOICEFILE_KAFKA_CA=str(broker.authority),
        VOICEFILE_ADMIN_KAFKA_USERNAME=OPERATOR,
        VOICEFILE_ADMIN_KAFKA_PASSWORD=broker.password_of(OPERATOR),
    )
    assert broker.password_of(OPERATOR) not in said
    assert await may_write(broker, "password:ingest", SPEAKS["ingest"])
    assert not await may_write(broker, "password:ingest", SPEAKS["auth"])


def test_a_service_prepares_nothing(broker):
    with pytest.raises(NotProvisioned, match="refuse"):
        prepare(
            ("kafka", "--copies", "1"),
            VOICEFILE_KAFKA_BOOTSTRAP=broker.bootstrap,
            VOICEFILE_KAFKA_CA=str(broker.authority),
            VOICEFILE_ADMIN_KAFKA_CERTIFICATE=str(certificate(broker.certificates, "auth")),
        )


async def test_what_was_acknowledged_outlives_a_kill(broker):
    producer = AIOKafkaProducer(**options_of(broker, "playback"), acks="all")
    await producer.start()
    mark = secrets.token_bytes(16)
    place = await producer.send_and_wait(SPEAKS["playback"], mark, partition=0)
    await producer.stop()
    broker.kill()
    await asyncio.to_thread(broker.start)
    consumer = AIOKafkaConsumer(**options_of(broker, OPERATOR))
    await consumer.start()
    consumer.assign([place.topic_partition])
    consumer.seek(place.topic_partition, place.offset)
    found = await asyncio.wait_for(consumer.getone(), timeout=30)
    await consumer.stop()
    assert found.value == mark


@pytest.fixture
def backed_up():
    """Where nobody is named who could read backups, there are none."""
    with two_recipients():
        yield


async def test_what_is_planned_is_what_services_subscribe_to(tmp_path, backed_up):
    """A service that is taught to hear another topic has to be allowed to."""
    heard = {}

    class Listed:
        def __init__(self, service, bus):
            self.service, self.bus = service, bus

        def subscribe(self, topic, *, group, handler):
            assert group == self.service
            heard.setdefault(self.service, set()).add(topic)
            self.bus.subscribe(topic, group=group, handler=handler)

        def __getattr__(self, name):
            return getattr(self.bus, name)

    place = Place(tmp_path / "vault")
    with place.held():
        async with embedded(
            DeploymentSettings(), place, on_failure=pytest.fail, fittings=Fittings(bus=Listed)
        ):
            pass
    assert heard == {service: set(topics) for service, topics in hears().items()}


# ---- MongoDB ----


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    mongo = started(Mongo, tmp_path_factory)
    mongo.secrets = tmp_path_factory.mktemp("secrets")
    mongo.said = [prepare_mongo(mongo)]
    yield mongo
    mongo.stop()


def prepare_mongo(mongo):
    return prepare(
        ("mongo", str(mongo.secrets)),
        VOICEFILE_ADMIN_MONGO_URI=mongo.uri_admin,
        VOICEFILE_MONGO_CA=str(mongo.authority),
    )


def kept(mongo, service):
    return mongo.secrets / service / "voicefile_mongo_uri"


@pytest.mark.parametrize("service", sorted(SPEAKS))
def test_a_service_has_its_own_database_alone(store, service):
    with store.client(kept(store, service).read_text()) as client:
        own = client[f"voicefile_{service}"].things
        own.create_index("x")
        own.insert_one({"x": 1})
        assert own.find_one({"x": 1})
        for other in {"admin", "local", *(f"voicefile_{each}" for each in SPEAKS)}:
            if other != own.database.name:
                with pytest.raises(OperationFailure):
                    client[other].things.insert_one({"x": 1})
                with pytest.raises(OperationFailure):
                    client[other].things.find_one({})


@pytest.mark.parametrize(
    "command",
    [
        {"createUser": "friend", "pwd": "x", "roles": []},
        {"updateUser": "auth", "roles": [{"role": "root", "db": "admin"}]},
        {"grantRolesToUser": "auth", "roles": [{"role": "root", "db": "admin"}]},
        {"dropDatabase": 1},
    ],
    ids=lambda command: next(iter(command)),
)
def test_a_service_changes_no_rights(store, command):
    with store.client(kept(store, "auth").read_text()) as client, pytest.raises(OperationFailure):
        client.voicefile_auth.command(command)


def test_said_again_everybody_keeps_the_password(store):
    before = {service: kept(store, service).read_text() for service in SPEAKS}
    assert prepare_mongo(store).count("there ") == len(SPEAKS)
    assert {service: kept(store, service).read_text() for service in SPEAKS} == before
    assert len({password_in(each) for each in before.values()}) == len(SPEAKS)


def test_a_user_without_a_kept_password_gets_a_new_one(store):
    old = kept(store, "playback").read_text()
    kept(store, "playback").unlink()
    prepare_mongo(store)
    with store.client(kept(store, "playback").read_text()) as client:
        client.voicefile_playback.things.find_one({})
    with store.client(old) as client, pytest.raises(OperationFailure):
        client.voicefile_playback.things.find_one({})


def test_what_is_kept_is_nobody_elses_and_nothing_of_it_is_printed(store):
    for service in SPEAKS:
        path = kept(store, service)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert password_in(path.read_text()) not in "".join(store.said)


def test_a_wrong_administrator_is_refused_without_a_word_of_the_password(store):
    secret = "not-the-password"
    with pytest.raises(NotProvisioned) as refused:
        prepare(
            ("mongo", str(store.secrets / "other")),
            VOICEFILE_ADMIN_MONGO_URI=store.uri("admin", secret, "admin"),
            VOICEFILE_MONGO_CA=str(store.authority),
        )
    assert "can't be reached, or refuses" in str(refused.value)
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "admin",
    [
        "mongodb://root:p%40ss@a:27017,b:27017/?replicaSet=rs0&authSource=admin",
        "mongodb://a:27017,b:27017/admin?replicaSet=rs0&tls=true",
        "mongodb://root:x@a:27017,b:27017?replicaSet=rs0",
    ],
)
def test_a_services_address_is_the_administrators_but_for_who_it_is(admin):
    account = Account("auth", "voicefile_auth", "p/ä@:")
    uri = uri_of(admin, account)
    assert uri == (
        "mongodb://auth:p%2F%C3%A4%40%3A@a:27017,b:27017/"
        "?authSource=voicefile_auth&tls=true&replicaSet=rs0"
    )
    assert password_in(uri) == account.password


@pytest.mark.parametrize("admin", ["", "postgres://root:secret@a/", "mongodb://"])
def test_what_is_no_address_is_refused_without_showing_it(admin):
    with pytest.raises(NoMongoUri) as refused:
        uri_of(admin, Account("auth", "voicefile_auth", "x"))
    assert "secret" not in str(refused.value)


# ---- S3 ----


@pytest.fixture
def bucket():
    entry = running.engine("s3")
    return {
        "VOICEFILE_S3_ENDPOINT": entry["endpoint"],
        "VOICEFILE_S3_BUCKET": f"prepared-{secrets.token_hex(6)}",
        "VOICEFILE_S3_CA": entry["ca"],
        "VOICEFILE_ADMIN_S3_ACCESS_KEY": entry["access_key"],
        "VOICEFILE_ADMIN_S3_SECRET_KEY": entry["secret_key"],
    }


def test_the_bucket_is_made_once(bucket):
    assert prepare(("s3",), **bucket).startswith("made ")
    assert prepare(("s3",), **bucket).startswith("there ")


def test_a_wrong_key_is_refused_in_one_line(bucket):
    with pytest.raises(NotProvisioned, match="can't be reached, or refuses"):
        prepare(("s3",), **bucket | {"VOICEFILE_ADMIN_S3_SECRET_KEY": "other"})


def test_an_address_in_plain_is_refused(bucket):
    with pytest.raises(NotProvisioned, match="VOICEFILE_S3_ENDPOINT"):
        prepare(("s3",), **bucket | {"VOICEFILE_S3_ENDPOINT": "http://127.0.0.1:1"})


def test_what_is_missing_is_named():
    with pytest.raises(NotProvisioned, match="VOICEFILE_S3_BUCKET, VOICEFILE_ADMIN_S3_ACCESS_KEY"):
        prepare(("s3",), VOICEFILE_S3_ENDPOINT="https://127.0.0.1:1")
