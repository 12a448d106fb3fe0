"""Makes engines ready as an operator does: by the product's own commands, as processes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.engines.certificates import certificate
from tests.engines.kafka import OPERATOR, Kafka
from tests.engines.mongo import Mongo
from tests.engines.s3 import S3

VOICEFILE = Path(sys.executable).with_name("voicefile")


def provision_kafka(kafka: Kafka) -> None:
    """Topics and rules for all services; one copy of each, as there is one broker."""
    prepare(
        ("kafka", "--copies", "1", "--partitions", "3"),
        VOICEFILE_KAFKA_BOOTSTRAP=kafka.bootstrap,
        VOICEFILE_KAFKA_CA=str(kafka.authority),
        VOICEFILE_ADMIN_KAFKA_CERTIFICATE=str(certificate(kafka.certificates, OPERATOR)),
    )


def provision_mongo(mongo: Mongo) -> dict[str, dict[str, Any]]:
    """A user for each service; answers their addresses."""
    folder = mongo.folder / "secrets"
    prepare(
        ("mongo", str(folder)),
        VOICEFILE_ADMIN_MONGO_URI=mongo.uri_admin,
        VOICEFILE_MONGO_CA=str(mongo.authority),
    )
    return {
        each.name: {
            "uri": (each / "voicefile_mongo_uri").read_text(),
            "database": f"voicefile_{each.name}",
        }
        for each in sorted(folder.iterdir())
    }


def provision_s3(s3: S3) -> None:
    """The bucket, and the promises it has to keep."""
    prepare(
        ("s3",),
        VOICEFILE_S3_ENDPOINT=s3.endpoint,
        VOICEFILE_S3_BUCKET=s3.bucket,
        VOICEFILE_S3_CA=str(s3.authority),
        VOICEFILE_ADMIN_S3_ACCESS_KEY=s3.access_key,
        VOICEFILE_ADMIN_S3_SECRET_KEY=s3.secret_key,
    )


class NotProvisioned(Exception):
    """A command of the product failed; the text is what it said."""


def prepare(arguments: tuple[str, ...], **told: str) -> str:
    kept: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if not name.startswith("VOICEFILE_")
    }
    done = subprocess.run(
        [str(VOICEFILE), "prepare", *arguments],
        env={**kept, **told},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise NotProvisioned(f"voicefile prepare {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
