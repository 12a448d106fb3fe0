"""The engines of a cluster, and what they have to know: users, databases, topics, who may what."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.kafka import Kafka
from tests.engines.mongo import Mongo
from tests.engines.openbao import OpenBao
from tests.engines.process import Engine
from tests.engines.provision import provision_kafka, provision_mongo, provision_s3
from tests.engines.s3 import REGION, S3

from voicefile.cli.prepare_plan import SPEAKS

WITH_BLOBS = ("ingest", "playback", "backup")
ROOTED = ("auth", "audit")
TARGET = "voicefile-backup"
"""The bucket that backups go to; in earnest it is somebody else's."""


@dataclass
class Engines:
    """Private ones: a cluster's own broker, document store and blob store."""

    kafka: Kafka
    mongo: Mongo
    s3: S3
    proxied: dict[str, int] = field(default_factory=dict)
    """Where a proxy before an engine has to listen, if the engine tells its clients."""

    @staticmethod
    def private(folder: Path, certificates: Path) -> "Engines":
        return Engines(
            Kafka(folder / "kafka", certificates),
            Mongo(folder / "mongo", certificates),
            S3(folder / "s3", certificates),
        )

    @property
    def all(self) -> dict[str, Engine]:
        return {"kafka": self.kafka, "mongo": self.mongo, "s3": self.s3}

    @property
    def ports(self) -> dict[str, int]:
        """Where clients find each."""
        return {
            "kafka": self.kafka.ports["main"],
            "mongo": self.mongo.ports["main"],
            "s3": self.s3.ports["s3"],
        }

    def start(self) -> None:
        with ThreadPoolExecutor(len(self.all)) as hands:
            for each in [hands.submit(engine.start) for engine in self.all.values()]:
                each.result()

    def stop(self) -> None:
        with ThreadPoolExecutor(len(self.all)) as hands:
            for each in [hands.submit(engine.stop) for engine in self.all.values()]:
                each.result()


class Furniture:
    """Arranged by the product's own commands; once more where an engine has lost everything."""

    def __init__(self, engines: Engines, bao: OpenBao | None = None) -> None:
        self._engines = engines
        self._bao = bao
        self._documents: Mapping[str, Mapping[str, str]] = {}

    @property
    def root(self) -> Path:
        """The root keys, if they are in files; a folder for each service that has one."""
        return self._engines.mongo.folder.parent / "root"

    def arrange(self) -> None:
        with ThreadPoolExecutor(2) as hands:
            topics = hands.submit(self.arrange_topics)
            bucket = hands.submit(self._arrange_buckets)
            self._documents = provision_mongo(self._engines.mongo)
            topics.result()
            bucket.result()

    def _arrange_buckets(self) -> None:
        provision_s3(self._engines.s3)
        with self._engines.s3.client() as client:
            client.create_bucket(Bucket=TARGET)

    def arrange_topics(self) -> None:
        provision_kafka(self._engines.kafka)

    def settings(self, service: str, own: str, doors: Mapping[str, int]) -> dict[str, str]:
        """How the service finds its engines, and who it is to them."""
        mongo, s3 = self._engines.mongo, self._engines.s3
        found: dict[str, str] = {}
        if service in SPEAKS:
            documents = self._documents[service]
            uri = documents["uri"].replace(mongo.host, f"127.0.0.1:{doors['mongo']}")
            found |= {
                # A node that names itself would lead its clients past the proxy.
                "VOICEFILE_MONGO_URI": f"{uri}{'&' if '?' in uri else '?'}directConnection=true",
                "VOICEFILE_MONGO_DATABASE": documents["database"],
                "VOICEFILE_MONGO_CA": str(mongo.authority),
                "VOICEFILE_KAFKA_BOOTSTRAP": f"127.0.0.1:{doors['kafka']}",
                "VOICEFILE_KAFKA_CA": str(mongo.authority),
                "VOICEFILE_KAFKA_CERTIFICATE": own,
            }
        if service in WITH_BLOBS:
            found |= {
                "VOICEFILE_S3_ENDPOINT": f"https://127.0.0.1:{doors['s3']}",
                "VOICEFILE_S3_REGION": REGION,
                "VOICEFILE_S3_BUCKET": s3.bucket,
                "VOICEFILE_S3_ACCESS_KEY": s3.access_key,
                "VOICEFILE_S3_SECRET_KEY": s3.secret_key,
                "VOICEFILE_S3_CA": str(s3.authority),
            }
        if service == "backup":
            found |= {
                "VOICEFILE_BACKUP_S3_ENDPOINT": f"https://127.0.0.1:{doors['s3']}",
                "VOICEFILE_BACKUP_S3_REGION": REGION,
                "VOICEFILE_BACKUP_S3_BUCKET": TARGET,
                "VOICEFILE_BACKUP_S3_ACCESS_KEY": s3.access_key,
                "VOICEFILE_BACKUP_S3_SECRET_KEY": s3.secret_key,
                "VOICEFILE_BACKUP_S3_CA": str(s3.authority),
            }
        return found | (self._root_of(service) if service in ROOTED else {})

    def _root_of(self, service: str) -> dict[str, str]:
        if self._bao is None:
            return {"VOICEFILE_ROOT": "file", "VOICEFILE_ROOT_DIR": str(self.root / service)}
        mount = self._bao.mount_of(service)
        return {
            "VOICEFILE_ROOT": "transit",
            "VOICEFILE_TRANSIT_URL": self._bao.url,
            "VOICEFILE_TRANSIT_MOUNT": mount,
            "VOICEFILE_TRANSIT_TOKEN": self._bao.token_for(mount),
            "VOICEFILE_TRANSIT_CA": str(self._bao.authority),
        }
