"""Apache Kafka's jars, fetched by Maven once, and only those whose sums are written down here."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from tests.engines.environment import NotToBeHad, cache
from tests.engines.one_at_a_time import alone

POM = Path(__file__).parent / "kafka" / "pom.xml"
SUMS = POM.with_name("jars.sha256")
JAVA_MIN = 17


class OtherJars(Exception):
    """Maven brought something else than what is written down: nothing of it is run."""


def java() -> str:
    """The path of a Java that Kafka runs on."""
    found = shutil.which("java")
    if found is None:
        raise NotToBeHad(f"there is no java; Kafka needs {JAVA_MIN} or newer")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_MIN:
        raise NotToBeHad(f"java is older than {JAVA_MIN}")
    return found


def jars() -> Path:
    """The folder of jars; fetched if this list of sums has none yet."""
    java()
    digest = hashlib.sha256(POM.read_bytes() + SUMS.read_bytes()).hexdigest()[:16]
    whole = cache() / f"kafka-{digest}"
    with alone(whole.with_suffix(".lock")):
        if not whole.exists():
            _fetch(whole)
    return whole


def version() -> str:
    found = re.search(r"<artifactId>kafka_.*?<version>([^<]+)", POM.read_text(), re.DOTALL)
    return found[1] if found else "?"


def _fetch(whole: Path) -> None:
    """Into a folder beside, which is renamed when all of it is what it should be."""
    maven = shutil.which("mvn")
    if maven is None:
        raise NotToBeHad("there is no mvn to fetch Kafka with")
    building = whole.with_suffix(".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    shutil.copy(POM, building / "pom.xml")
    command = [
        *(maven, "--quiet", "--batch-mode", "--file", str(building / "pom.xml")),
        *("dependency:copy-dependencies", f"-DoutputDirectory={building / 'lib'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(building, ignore_errors=True)
        raise NotToBeHad(f"mvn could not fetch Kafka: {done.stdout[-500:].strip()}")
    compare(building / "lib")
    (building / "lib").rename(whole)
    shutil.rmtree(building)


def compare(folder: Path) -> None:
    """Exactly the jars that are written down, each byte for byte."""
    wanted = dict(reversed(line.split()) for line in SUMS.read_text().splitlines())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    if found != wanted:
        other = sorted(name for name, _ in set(found.items()) ^ set(wanted.items()))
        raise OtherJars(f"not as written down in {SUMS.name}: {', '.join(dict.fromkeys(other))}")
