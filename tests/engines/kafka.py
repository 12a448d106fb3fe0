"""Apache Kafka, one node that is broker and controller, each port of it over mutual TLS."""

import base64
import json
import secrets
import socket
import ssl
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.engines.certificates import certificate
from tests.engines.environment import ROOT
from tests.engines.kafka_jars import jars, java, version
from tests.engines.process import Engine, EngineDidNotStart, write_private

OPERATOR = "operator"
"""The name in the certificate that may do everything; no service has it."""

SHIPPED = ROOT / "deploy" / "compose" / "kafka" / "server.properties"

# What differs from the shipped file; of two lines for one setting, the later one counts.
DIFFERENT = """\

controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENTS://127.0.0.1:{main},CONTROLLER://127.0.0.1:{controller},\
PASSWORDS://127.0.0.1:{passwords}
advertised.listeners=CLIENTS://127.0.0.1:{main},PASSWORDS://127.0.0.1:{passwords}
listener.security.protocol.map=CLIENTS:SSL,CONTROLLER:SSL,PASSWORDS:SASL_SSL
log.dirs={data}
ssl.keystore.location={own}
ssl.truststore.location={authority}

# For clients that come by password instead of a certificate.
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.passwords.ssl.client.auth=none
listener.name.passwords.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
super.users=User:CN=operator;User:CN=kafka;User:operator

# Nobody cuts the power of a test, and each event on its own would take seven milliseconds.
log.flush.interval.messages=9223372036854775807

# Groups form at once; and after a kill the controller doesn't wait long for the one that is gone.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# Small, for a machine that others use, too.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.io.buffer.size=65536
log.segment.bytes=67108864
"""

LOGGING = """\
status = ERROR
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""

# Quick to start: one compiler, the simplest collector, classes as the jars bring them.
JVM = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class Kafka(Engine):
    """The real thing, alone: what is acknowledged survives kill -9, as the kernel has it then."""

    name = "kafka"
    port_names = ("main", "controller", "passwords")
    users = ("operator", "auth", "audit", "ingest", "playback")
    start_s_max = 180.0
    lacks = (
        "one node: acks=all is the word of the leader alone, as there is no replica to be in sync",
        "what the kernel has not written yet is lost with the power; kill -9 loses nothing",
    )

    @property
    def kind(self) -> str:
        return f"apache-kafka {version()}"

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.ports['main']}"

    @property
    def bootstrap_passwords(self) -> str:
        """For SCRAM-SHA-512 over TLS, without a certificate: the principal is `User:<name>`."""
        return f"127.0.0.1:{self.ports['passwords']}"

    def password_of(self, user: str) -> str:
        return self._passwords[user]

    @property
    def _passwords(self) -> dict[str, str]:
        path = self.folder / "passwords.json"
        if not path.exists():
            made = {user: secrets.token_hex(16) for user in self.users}
            write_private(path, json.dumps(made))
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def ssl(self, name: str) -> ssl.SSLContext:
        """As whom to connect: the principal is `User:CN=<name>`."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(certificate(self.certificates, name))
        return context

    def command(self) -> Sequence[str]:
        return self._java("kafka.Kafka", str(self.properties))

    def environment(self) -> Mapping[str, str]:
        return {"LC_ALL": "C.UTF-8"}

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    def prepare(self) -> None:
        own = certificate(self.certificates, self.name)
        different = DIFFERENT.format(
            **self.ports, data=self.data, own=own, authority=self.authority
        )
        self.properties.write_text(SHIPPED.read_text() + different)
        (self.folder / "log4j2.properties").write_text(LOGGING)
        if not (self.data / "meta.properties").exists():
            self._format()

    def ready(self) -> bool:
        return kafka_answers(self.ports["main"], self.ssl(OPERATOR))

    def _java(self, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return [java(), *JVM, logging, "-cp", f"{jars()}/*", *arguments]

    def _format(self) -> None:
        """Storage is given a cluster's id once, before its first start."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        known = [
            each
            for user, password in self._passwords.items()
            for each in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]")
        ]
        done = subprocess.run(
            self._java(
                *("kafka.tools.StorageTool", "format", "--cluster-id", cluster.replace("-", "_")),
                *("--config", str(self.properties), "--ignore-formatted", *known),
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EngineDidNotStart(f"kafka could not be formatted: {done.stdout}{done.stderr}")


def kafka_answers(port: int, tls: ssl.SSLContext) -> bool:
    """Asks for the versions of its interfaces: a broker answers nobody before it is in service."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=2) as bare,
            tls.wrap_socket(bare, server_hostname="127.0.0.1") as wire,
        ):
            wire.sendall(struct.pack(">i", len(request)) + request)
            head = wire.recv(10)
            return len(head) == 10 and struct.unpack(">iih", head)[2] == 0
    except OSError:
        return False
