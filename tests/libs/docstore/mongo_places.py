"""Where the tests of the MongoDB store find a server: databases of their own, gone afterwards."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from tests.engines import running
from tests.engines.mongo import Mongo


@dataclass(frozen=True)
class Place:
    """A database that nobody else uses, as `MongoDocStore.open` is told of it."""

    uri: str
    database: str
    ca: Path

    def driver(self) -> MongoClient[dict[str, Any]]:
        """To look behind the store's back. Close it."""
        return MongoClient(self.uri, tls=True, tlsCAFile=str(self.ca), retryWrites=False)


@contextmanager
def a_place(uri: str, ca: Path) -> Iterator[Place]:
    place = Place(uri, f"test_{secrets.token_hex(6)}", ca)
    yield place
    with place.driver() as client:
        client.drop_database(place.database)


@contextmanager
def shared_place() -> Iterator[Place]:
    """On the server that the tests of this checkout share. Skips the test where there is none."""
    found = running.engine("mongo")
    with a_place(found["uri_admin"], running.certificates() / "ca.pem") as place:
        yield place


def place_on(engine: Mongo) -> Place:
    """On a server of the test's own, which goes with it."""
    return Place(engine.uri_admin, f"test_{secrets.token_hex(6)}", engine.authority)
