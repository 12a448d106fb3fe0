"""A store against a dictionary: whatever is done to both, both say the same."""

import asyncio
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    DocumentExists,
    Index,
    PendingEvent,
    VersionConflict,
)

THINGS = Collection(
    "things",
    indexes=(Index("label", "label"), Index("serial", "parts.serial", unique=True)),
)
LABELS = [None, "a", b"a", 1, -1, 2**63 - 1, "ä", True]
SERIALS = ["x", "y", "z", 7]

names = st.sampled_from(["", "a", "b", "ab", "ü", "\x00"])
tenants = st.sampled_from(["t1", "t2"])
bodies = st.fixed_dictionaries(
    {"label": st.sampled_from(LABELS)},
    optional={
        "parts": st.lists(
            st.fixed_dictionaries({}, optional={"serial": st.sampled_from(SERIALS)}), max_size=3
        ),
        "other": st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    },
)


def serials(body: object) -> set[object]:
    return {each["serial"] for each in body.get("parts", []) if "serial" in each}


def is_label(body: object, value: object) -> bool:
    label = body["label"]
    return type(label) is type(value) and label == value


class StoreAndDictionary(RuleBasedStateMachine):
    """An adapter's test says where a store begins, how it is opened, and what is cleared away."""

    versions = Bundle("versions")

    def begin(self) -> None:
        raise NotImplementedError

    async def opened(self) -> DocStore:
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.begin()
        self.model: dict[str, Document] = {}
        self.left_behind: set[str] = set()
        self.events = 0
        self.open()

    def open(self) -> None:
        self.store = self.runner.run(self.opened())

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.clear()

    def new_events(self, count: int) -> tuple[PendingEvent, ...]:
        self.events += count
        numbers = range(self.events - count, self.events)
        return tuple(PendingEvent(f"e{n}", "topic", "key", b"%d" % n) for n in numbers)

    def collides(self, document: Document) -> bool:
        return any(
            serials(each.body) & serials(document.body)
            for each in self.model.values()
            if each.id != document.id
        )

    @rule(target=versions, name=names, tenant=tenants, body=bodies, count=st.integers(0, 2))
    def insert(self, name: str, tenant: str, body: dict[str, object], count: int) -> object:
        document = Document(name, tenant, body, pending=self.new_events(count))
        refused = name in self.model or self.collides(document)
        try:
            stored = self.runner.run(self.store.insert(THINGS, document))
        except DocumentExists:
            assert refused
            return multiple()
        assert not refused
        assert stored == replace(document, version=1)
        self.model[name] = stored
        return stored

    @rule(target=versions, base=versions, body=bodies, count=st.integers(0, 2))
    def replace(self, base: Document, body: dict[str, object], count: int) -> object:
        document = replace(base, body=body, pending=self.new_events(count))
        held = self.model.get(base.id)
        lost = held is None or (held.version, held.tenant) != (base.version, base.tenant)
        try:
            stored = self.runner.run(self.store.replace(THINGS, document))
        except VersionConflict:
            assert lost
            return multiple()
        except DocumentExists:
            assert not lost
            assert self.collides(document)
            return multiple()
        assert not lost
        assert not self.collides(document)
        pending = held.pending + document.pending
        assert stored == replace(document, version=base.version + 1, pending=pending)
        self.model[base.id] = stored
        return stored

    @rule(target=versions, bases=st.lists(versions, max_size=4), body=bodies)
    def replace_many(self, bases: list[Document], body: dict[str, object]) -> object:
        each = list({base.id: base for base in bases}.values())
        wanted = [replace(base, body=body, pending=self.new_events(1)) for base in each]
        stored = self.runner.run(self.store.replace_many(THINGS, wanted))
        for document, answer in zip(wanted, stored, strict=True):
            held = self.model.get(document.id)
            if held is None or (held.version, held.tenant) != (document.version, document.tenant):
                assert isinstance(answer, VersionConflict)
            elif self.collides(document):
                assert isinstance(answer, DocumentExists)
            else:
                pending = held.pending + document.pending
                assert answer == replace(document, version=held.version + 1, pending=pending)
                self.model[document.id] = answer
        return multiple(*(answer for answer in stored if isinstance(answer, Document)))

    @rule(base=consumes(versions))
    def delete(self, base: Document) -> None:
        held = self.model.get(base.id)
        lost = held is None or (held.version, held.tenant) != (base.version, base.tenant)
        try:
            self.runner.run(self.store.delete(THINGS, base))
        except VersionConflict:
            assert lost
            return
        assert not lost
        self.left_behind |= {each.id for each in held.pending}
        del self.model[base.id]

    @rule(limit=st.integers(1, 3))
    def publish(self, limit: int) -> None:
        for collection, document in self.runner.run(self.store.pending(limit)):
            first = document.pending[0].id
            self.runner.run(self.store.settle(collection, document.id, {first}))
            if collection == THINGS:
                held = self.model[document.id]
                self.model[document.id] = replace(held, pending=held.pending[1:])
            else:
                self.left_behind.remove(first)

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self.open()

    @invariant()
    def both_hold_the_same(self) -> None:
        by_id = sorted(self.model.values(), key=lambda each: each.id.encode())
        found = self.runner.run(self.store.scan(THINGS))
        assert found == [each for each in by_id if each.id]
        for document in by_id:
            assert self.runner.run(self.store.get(THINGS, document.id)) == document

    @invariant()
    def both_find_the_same(self) -> None:
        for label in ["a", b"a", 1]:
            for tenant in (None, "t1"):
                query = self.store.find(THINGS, "label", label, tenant=tenant)
                assert {each.id for each in self.runner.run(query)} == {
                    each.id
                    for each in self.model.values()
                    if each.id and is_label(each.body, label) and tenant in {None, each.tenant}
                }
        for serial in SERIALS:
            found = self.runner.run(self.store.find(THINGS, "serial", serial))
            assert {each.id for each in found} == {
                each.id for each in self.model.values() if each.id and serial in serials(each.body)
            }
        named = self.runner.run(self.store.find_any(THINGS, "serial", ["z", "x"]))
        assert [each.id for each in named] == sorted(
            each.id for each in self.model.values() if {"x", "z"} & set(serials(each.body))
        )

    @invariant()
    def both_wait_for_the_same_events(self) -> None:
        waiting = self.runner.run(self.store.pending())
        things = {each.id: each for collection, each in waiting if collection == THINGS}
        assert things == {name: each for name, each in self.model.items() if each.pending}
        left = {
            event.id
            for collection, each in waiting
            if collection != THINGS
            for event in each.pending
        }
        assert left == self.left_behind
