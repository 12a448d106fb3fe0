"""Brokers: the shared one, and own ones that a test may harm."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.engines import running
from tests.engines.environment import NotToBeHad
from tests.engines.kafka import Kafka
from tests.engines.process import Engine
from tests.engines.tansu import Tansu

Start = Callable[[type[Engine]], Engine]


@pytest.fixture(scope="session")
def kafka() -> Kafka:
    """Apache Kafka, shared with all other tests: nobody stops it."""
    return Kafka(Path(running.engine("kafka")["folder"]), running.certificates())


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts an engine of the module's own."""
    begun: list[Engine] = []

    def start(kind: type[Engine]) -> Engine:
        folder = tmp_path_factory.mktemp(kind.name)
        engine = kind(folder, folder / "certificates")
        try:
            engine.start()
        except NotToBeHad as reason:
            pytest.skip(str(reason))
        begun.append(engine)
        return engine

    yield start
    for engine in begun:
        engine.resume()
        engine.kill()


@pytest.fixture(scope="module")
def tansu(start: Start) -> Tansu:
    engine = start(Tansu)
    assert isinstance(engine, Tansu)
    return engine
