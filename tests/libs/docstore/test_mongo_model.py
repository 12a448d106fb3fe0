"""MongoDB against a dictionary: whatever is done to both, both say the same."""

import contextlib

import pytest
from hypothesis import HealthCheck, settings
from tests.engines import running
from tests.libs.docstore.mongo_places import shared_place
from tests.libs.docstore.store_model import THINGS, StoreAndDictionary

from voicefile.docstore.mongo import MongoDocStore
from voicefile.docstore.port import DocStore


@pytest.fixture(autouse=True)
def needs_a_server() -> None:
    running.engine("mongo")


class MongoAndDictionary(StoreAndDictionary):
    def begin(self) -> None:
        self.stack = contextlib.ExitStack()
        self.place = self.stack.enter_context(shared_place())

    async def opened(self) -> DocStore:
        return await MongoDocStore.open(
            self.place.uri, self.place.database, [THINGS], tls_ca=self.place.ca
        )

    def clear(self) -> None:
        self.stack.close()


TestMongoAndDictionary = MongoAndDictionary.TestCase
TestMongoAndDictionary.settings = settings(
    max_examples=6,
    stateful_step_count=15,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
