"""The engines that tests of one checkout share: which there are, and what is told about each."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.engines.certificates import certificate
from tests.engines.collector import Collector
from tests.engines.environment import ROOT
from tests.engines.kafka import Kafka
from tests.engines.mongo import Mongo
from tests.engines.openbao import OpenBao
from tests.engines.process import Engine, write_private
from tests.engines.provision import provision_kafka, provision_mongo, provision_s3
from tests.engines.s3 import REGION, S3
from tests.engines.softhsm import SoftHsm
from tests.engines.tansu import Tansu

HOME = ROOT / ".engines"
STATE = HOME / "state.json"
CERTIFICATES = HOME / "certificates"
SERVICES = ("auth", "audit", "ingest", "playback", "portal", "backup")
AnyEngine = Engine | SoftHsm
Entry = dict[str, Any]


def engines() -> dict[str, AnyEngine]:
    """All there could be, whether they run or not. Not tied to this process: they outlive it."""
    kinds: tuple[type[Engine], ...] = (Kafka, Mongo, S3, OpenBao, Collector, Tansu)
    made: dict[str, AnyEngine] = {
        kind.name: kind(HOME / kind.name, CERTIFICATES, leash=False) for kind in kinds
    }
    made[SoftHsm.name] = SoftHsm(HOME / SoftHsm.name, CERTIFICATES)
    return made


def make_certificates() -> None:
    """For whoever serves or calls: all services, and the operator of the engines."""
    # What engines store here is as good as their passwords.
    HOME.mkdir(exist_ok=True)
    HOME.chmod(0o700)
    for name in (*SERVICES, "operator"):
        certificate(CERTIFICATES, name)


def running(engine: AnyEngine) -> bool:
    if isinstance(engine, SoftHsm):
        return engine.configuration.exists()
    return engine.pid is not None


def told(engine: AnyEngine) -> Entry:
    """What tests are told about an engine: addresses and credentials for this machine alone."""
    entry: Entry = DESCRIBED[engine.name](engine)
    folder = str(engine.folder)
    return {**entry, "kind": engine.kind, "lacks": list(engine.lacks), "folder": folder}


def _mongo(mongo: Mongo) -> Entry:
    return {
        "uri_admin": mongo.uri_admin,
        "host": mongo.host,
        "ca": str(mongo.authority),
        "users": provision_mongo(mongo),
    }


def _kafka(kafka: Kafka) -> Entry:
    provision_kafka(kafka)
    return {"bootstrap": kafka.bootstrap, "ca": str(kafka.authority)}


def _s3(s3: S3) -> Entry:
    provision_s3(s3)
    return {
        "endpoint": s3.endpoint,
        "region": REGION,
        "bucket": s3.bucket,
        "access_key": s3.access_key,
        "secret_key": s3.secret_key,
        "services": {
            who: {"access_key": who, "secret_key": s3.secret_key_of(who)}
            for who in ("ingest", "playback", "backup")
        },
        "ca": str(s3.authority),
    }


def _openbao(openbao: OpenBao) -> Entry:
    mounts = {service: openbao.mount_of(service) for service in openbao.rooted}
    return {
        "url": openbao.url,
        "mount": openbao.mount,
        "token": openbao.token,
        "ca": str(openbao.authority),
        "services": {
            service: {"mount": mount, "token": openbao.token_for(mount)}
            for service, mount in mounts.items()
        },
    }


def _softhsm(softhsm: SoftHsm) -> Entry:
    labels = {service: softhsm.label_of(service) for service in softhsm.rooted}
    return {
        "module": str(softhsm.module),
        "conf": str(softhsm.configuration),
        "token": softhsm.label,
        "pin": softhsm.pin,
        "services": {
            service: {"token": label, "pin": softhsm.pin_for(label)}
            for service, label in labels.items()
        },
    }


def _tansu(tansu: Tansu) -> Entry:
    return {"bootstrap": tansu.bootstrap, "ca": str(tansu.authority)}


def _collector(collector: Collector) -> Entry:
    return {
        "endpoint": collector.endpoint,
        "endpoint_grpc": collector.endpoint_grpc,
        "received": str(collector.received),
        "ca": str(collector.authority),
    }


DESCRIBED: Mapping[str, Callable[[Any], Entry]] = {
    "kafka": _kafka,
    "mongo": _mongo,
    "s3": _s3,
    "openbao": _openbao,
    "softhsm": _softhsm,
    "tansu": _tansu,
    "collector": _collector,
}


def read_state() -> Entry:
    """As `up` left it; nothing runs and nothing is missing where nobody said `up`."""
    try:
        found: Entry = json.loads(STATE.read_text())
    except FileNotFoundError:
        return {"certificates": str(CERTIFICATES), "missing": {}}
    return found


def write_state(state: Entry) -> None:
    write_private(STATE, json.dumps(state, indent=2))


def log_of(name: str) -> Path:
    return HOME / name / "log.txt"
