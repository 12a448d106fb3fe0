"""The same person at two tenants: nothing in any store says that it is the same.

Everything equal is searched, not what somebody thought of: the values of all documents are joined
on any eight bytes they have in common. What a vault of other people holds as well is schema.
"""

import base64
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from tests.isolation.join import Heap, Leaf, leaves_of, windows
from tests.isolation.lives import ERIKA, SOMEBODY, Person, lived
from tests.stand import stand

from voicefile.cli.embedded import STORES
from voicefile.cli.place import Place
from voicefile.cli.stores import open_store
from voicefile.docstore.port import Document
from voicefile.identity.ids import new_id
from voicefile.ingest.store import FEED

pytestmark = pytest.mark.asyncio(loop_scope="module")
OTHERS = ("ingest", "playback", "audit")
OF_THE_PLATFORM = (
    "auth/tenants.keys.epochs.root_version",
    "auth/tenants.keys.identity_versions.wrapped.root_version",
    "auth/tenants.keys.receipt_versions.wrapped.root_version",
    "auth/releases.instances.key",
    "audit/segments.entries.boot_id",
)
"""What is neither tenant's: root versions, and which process did the work."""
IDS = {
    "tenant": "auth/tenants.",
    "principal": "auth/principals.",
    "recording": "auth/access.recordings.id",
    "credential": "auth/access.",
    "release": "auth/releases.",
    "epoch": "auth/tenants.keys.epochs.id",
    "sealing key": "auth/tenants.keys.epochs.sealing_public",
    "blob": "auth/access.blob_names",
}
SHARED = {
    "ingest": ("tenant", "principal", "recording", "epoch", "sealing key", "blob"),
    "playback": ("tenant", "principal", "release"),
    "audit": ("tenant", "principal", "recording", "credential", "release", "epoch"),
}
"""The random ids that auth and another service both know. None of them identifies a person."""
OF_PERSONS = (
    "auth/access.tokens",
    "auth/access.locator",
    "auth/access.pin_verifier",
    "auth/access.pin_salt",
    "auth/access.question.verifier",
    "auth/access.subject.id",
    "auth/access.subject.fields.name",
    "auth/access.subject.fields.phone",
    "auth/access.subject.key.sealed",
    "auth/access.recordings.request_digest",
    "auth/access.recordings.answer.sealed",
    "auth/access.recordings.details",
    "auth/directory.",
    "auth/sessions.",
    "auth/challenges.",
    "auth/principals.login",
    "auth/principals.name",
    "audit/segments.entries.actor",
    "audit/segments.entries.commitment",
    "ingest/reservations.",
    "playback/listenings.",
    "playback/listenings.release",
)


@dataclass
class Dumps:
    """Two tenants with one person, as they lie on disk; and a vault of others for comparison."""

    raw: Path
    """A copy of the running vault's files: logs and free pages included."""
    tenants: list[str]
    leaves: list[Leaf] = field(repr=False)
    schema: Heap = field(repr=False)

    def at(self, tenant: str) -> list[Leaf]:
        return [leaf for leaf in self.leaves if leaf.tenant == tenant]

    def values(self, place: str, tenant: str) -> set[bytes]:
        return {leaf.value for leaf in self.at(tenant) if leaf.place == place}

    def heap(self, *places: str) -> Heap:
        return Heap(leaf for leaf in self.leaves if leaf.place in places)

    def of(self, service: str) -> Heap:
        return Heap(leaf for leaf in self.leaves if leaf.place.startswith(f"{service}/"))

    def private(self) -> Heap:
        """What only auth may hold of anything."""
        return self.of("auth").without(self.schema, self.heap(*IDS.values()))


async def filled(data: Path, person: Person, *, companies: int, copied_to: Path) -> list[str]:
    """The tenants of a vault in which that person has lived, copied while it runs."""
    async with stand(data, companies=companies) as s:
        for company in s.companies:
            await lived(s, company, person)
        await s.settled()
        await s.copied_to(copied_to)
        return [company.id for company in s.companies]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dumps(tmp_path_factory):
    place = tmp_path_factory.mktemp("relation")
    raw, schema = place / "raw", place / "schema"
    # First the others: of what is nobody's tenant's, nothing of Erika's is there yet.
    await filled(place / "other", SOMEBODY, companies=1, copied_to=schema)
    tenants = await filled(place / "one", ERIKA, companies=2, copied_to=raw)
    read = shutil.copytree(raw, place / "read")
    leaves, other = [
        [leaf for service in STORES for leaf in await leaves_of(each, service)]
        for each in (read, schema)
    ]
    return Dumps(raw, tenants, leaves, Heap(other))


async def test_one_person_at_two_tenants_leaves_nothing_equal(dumps):
    here, there = (Heap(dumps.at(tenant)) for tenant in dumps.tenants)
    platform = dumps.heap(*OF_THE_PLATFORM)
    assert here.joined(there), "root versions at least are equal: the join sees something"
    known = dumps.schema, platform
    assert here.without(*known).joined(there.without(*known)) == set()


@pytest.mark.parametrize("place", OF_PERSONS)
async def test_what_stands_for_a_person_differs_from_tenant_to_tenant(dumps, place):
    here, there = (dumps.values(place, tenant) for tenant in dumps.tenants)
    assert here
    assert there
    assert not here & there


@pytest.mark.parametrize("service", OTHERS)
async def test_auth_shares_random_ids_with_the_others_and_nothing_else(dumps, service):
    other = dumps.of(service).without(dumps.schema)
    declared = dumps.heap(*(IDS[name] for name in SHARED[service]))
    auth = dumps.of("auth").without(dumps.schema)
    assert auth.without(declared).joined(other) == set()
    assert declared.joined(other), "the join sees what is shared"


async def test_no_raw_file_of_another_service_and_no_blob_holds_anything_of_auths(dumps):
    private, ids = dumps.private(), dumps.heap(IDS["recording"])
    files = [path for service in OTHERS for path in dumps.raw.glob(f"documents/{service}.db*")]
    blobs = [path for path in (dumps.raw / "blobs").rglob("*") if path.is_file()]
    assert len(files) >= len(OTHERS)
    assert len(blobs) >= 3
    seen = set()
    for path in (*files, *blobs):
        content = path.read_bytes()
        assert private.found_in(content) == set(), path.name
        assert private.found_in(path.name.encode()) == set()
        seen |= ids.found_in(content)
    assert seen, "the search sees recording ids in raw files"


async def test_the_same_audio_is_stored_twice_without_a_common_word(dumps):
    sealed = []
    for tenant in dumps.tenants:
        names = {
            leaf.value.decode()
            for leaf in dumps.at(tenant)
            if leaf.place == "auth/access.recordings.blobs.original.name"
        }
        assert len(names) > 1
        paths = [next((dumps.raw / "blobs").rglob(name)) for name in sorted(names)[:2]]
        sealed += [set(windows(path.read_bytes())) for path in paths]
    for number, one in enumerate(sealed):
        for another in sealed[number + 1 :]:
            assert not one & another


@pytest.mark.parametrize(
    "written",
    [
        lambda value: value,
        lambda value: value.hex(),
        lambda value: base64.b64encode(value).decode(),
        lambda value: base64.urlsafe_b64encode(value).rstrip(b"=").decode(),
        lambda value: f"seen as {value.hex()} before",
        lambda value: b"\x0a\x10" + value[:9] + b"\x12",
    ],
    ids=["raw", "hexadecimal", "base64", "base64url", "in a text", "a part, in a message"],
)
async def test_a_planted_relation_is_found(dumps, tmp_path, written):
    # The control: ingest's store gets one of auth's values, and both ways of looking find it.
    token = next(iter(dumps.values("auth/access.tokens", dumps.tenants[0])))
    place = tmp_path / "planted"
    shutil.copytree(dumps.raw, place)
    path = Place(place).documents("ingest")
    store, _ = await open_store(path, STORES["ingest"])
    entry = {"event": new_id(), "recording": written(token)}
    body = {"partner": new_id(), "entries": [entry]}
    await store.insert(FEED, Document(new_id(), dumps.tenants[1], body))
    await store.close()
    planted = Heap(await leaves_of(place, "ingest")).without(dumps.schema)
    assert ("auth/access.tokens", "ingest/feed.entries.recording") in dumps.private().joined(
        planted
    )
    assert "auth/access.tokens" in dumps.private().found_in(path.read_bytes())
