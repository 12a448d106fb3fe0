"""Engines for a cluster with proxies: a broker tells its clients where it is, so it tells them
where its proxy is."""

from pathlib import Path

from tests.cluster.furniture import Engines
from tests.engines.kafka import Kafka
from tests.engines.mongo import Mongo
from tests.engines.ports import choose_ports
from tests.engines.s3 import S3


class KafkaBehindProxy(Kafka):
    """The same broker; whoever asks it for its address is sent through the proxy."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        super().__init__(folder, certificates)
        [self.advertised] = choose_ports(["proxy"]).values()

    def prepare(self) -> None:
        super().prepare()
        told = "advertised.listeners=CLIENTS://127.0.0.1:"
        usual = f"{told}{self.ports['main']}"
        properties = self.properties.read_text()
        assert usual in properties
        self.properties.write_text(properties.replace(usual, f"{told}{self.advertised}"))


def engines_behind_proxies(folder: Path, certificates: Path) -> Engines:
    kafka = KafkaBehindProxy(folder / "kafka", certificates)
    mongo, s3 = Mongo(folder / "mongo", certificates), S3(folder / "s3", certificates)
    return Engines(kafka, mongo, s3, proxied={"kafka": kafka.advertised})
