"""A dump: sealed for its place, whole or nothing, opened by its recipients alone."""

import base64
from collections.abc import AsyncIterator

import pytest

from voicefile.crypto.errors import Tampered
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Collection, Document, PendingEvent
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.changes import always_whole, documents_of
from voicefile.dumps.dump import Item, LeftOut, sealed_dump
from voicefile.dumps.errors import (
    DumpIncomplete,
    FrameInvalid,
    RecipientInvalid,
    RecipientsMissing,
)
from voicefile.dumps.frames import Begin, End, Frame, SegmentHead, frames, looks_sealed
from voicefile.dumps.recipient import Recipient, fingerprint, unbox
from voicefile.dumps.segment import Whole, open_segment, unpacked
from voicefile.dumps.settings import DumpSettings

DEPLOYMENT = b"test"
THINGS = Collection("things")
NOTES = Collection("notes", ephemeral=True)


@pytest.fixture
def pairs() -> list[SealingKeyPair]:
    return [SealingKeyPair.generate(), SealingKeyPair.generate()]


@pytest.fixture
def recipients(pairs) -> list[Recipient]:
    return [Recipient(f"archive{n}", pair.public) for n, pair in enumerate(pairs)]


async def some(count: int = 10, size: int = 100) -> AsyncIterator[Item | LeftOut]:
    for number in range(count):
        yield Item("things", [number, b"x" * size], "aa" * 16, 1, size)
    yield LeftOut()


async def dumped(recipients, items=some, source=None, since="") -> list[Frame]:
    begun = await (source or always_whole(items))(since)
    stream = sealed_dump("auth", begun, deployment=DEPLOYMENT, to=recipients)
    return [frame async for frame in frames(stream)]


def opened(found: list[Frame], pair: SealingKeyPair, name: str) -> list[tuple[str, list]]:
    begin = found[0].head
    assert isinstance(begin, Begin)
    box = base64.b64decode(begin.boxes[name])
    key = unbox(box, pair, name=name, deployment=DEPLOYMENT, dump=begin.dump)
    return [
        open_segment(
            key, frame.sealed, deployment=DEPLOYMENT, dump=begin.dump, number=frame.head.number
        )
        for frame in found
        if isinstance(frame.head, SegmentHead)
    ]


def checked(service: str, segments: list[tuple[str, list]]) -> None:
    whole = Whole(service)
    for kind, items in segments:
        whole.opened(kind, items)
    whole.check()


async def test_each_recipient_opens_all_of_it(pairs, recipients):
    found = await dumped(recipients)
    for pair, recipient in zip(pairs, recipients, strict=True):
        segments = opened(found, pair, recipient.name)
        assert [kind for kind, _ in segments] == ["things", "end"]
        assert [item[0] for item in segments[0][1]] == list(range(10))
    end = found[-1].head
    assert isinstance(end, End)
    assert (end.documents, end.recordings, end.left_out) == ({"aa" * 16: 10}, {"aa" * 16: 10}, 1)
    assert all(looks_sealed(frame.sealed) for frame in found[1:-1])


async def test_a_long_dump_comes_in_segments_of_bounded_size(recipients):
    found = await dumped(recipients, lambda: some(300, 50_000))
    sizes = [len(frame.sealed) for frame in found]
    assert len(sizes) > 8
    assert max(sizes) < 3 * 1024 * 1024


async def test_nobody_else_opens_it_nor_a_recipient_under_anothers_name(pairs, recipients):
    found = await dumped(recipients)
    with pytest.raises(Tampered):
        opened(found, SealingKeyPair.generate(), "archive0")
    with pytest.raises(Tampered):
        opened(found, pairs[1], "archive0")


async def test_a_segment_opens_at_its_own_place_alone(pairs, recipients):
    found = await dumped(recipients, lambda: some(300, 50_000))
    found[1], found[2] = (
        Frame(found[1].head, found[2].sealed),
        Frame(found[2].head, found[1].sealed),
    )
    with pytest.raises(Tampered):
        opened(found, pairs[0], "archive0")


@pytest.mark.parametrize("missing", [0, 1, -1])
async def test_a_dump_with_a_segment_missing_is_none(pairs, recipients, missing: int):
    segments = opened(await dumped(recipients, lambda: some(300, 50_000)), pairs[0], "archive0")
    del segments[missing]
    with pytest.raises(DumpIncomplete):
        checked("auth", segments)


async def test_a_dump_is_its_own_services_alone(pairs, recipients):
    segments = opened(await dumped(recipients), pairs[0], "archive0")
    with pytest.raises(DumpIncomplete):
        checked("audit", segments)
    checked("auth", segments)


async def test_a_stream_that_breaks_off_anywhere_is_no_dump(recipients):
    begun = await always_whole(some)("")
    stream = sealed_dump("auth", begun, deployment=DEPLOYMENT, to=recipients)
    raw = b"".join([piece async for piece in stream])

    async def cut(at: int) -> AsyncIterator[bytes]:
        yield raw[:at]

    assert [each async for each in frames(cut(len(raw)))]
    for at in range(0, len(raw) - 1, 37):
        with pytest.raises(FrameInvalid):
            _ = [each async for each in frames(cut(at))]


async def test_documents_come_back_as_they_were(tmp_path, pairs, recipients):
    store = await SqliteDocStore.open(tmp_path / "a.db", (THINGS, MIGRATIONS))
    event = PendingEvent("e" * 32, "topic", "key", b"\x00\xff")
    documents = [
        Document(f"{n:03}", "aa" * 16, {"n": n, "bytes": b"\x00", "none": None}, pending=(event,))
        for n in range(250)
    ]
    await store.insert_many(THINGS, documents)
    found = await dumped(recipients, source=documents_of(store, (THINGS,)))
    await store.close()
    segments = opened(found, pairs[0], "archive0")
    items = [unpacked(item) for kind, each in segments if kind == "things" for item in each]
    assert items == documents


def test_a_recipients_key_is_read_as_it_is_written(recipients):
    text = str(recipients[0])
    assert Recipient.parse(text) == recipients[0]
    for wrong in (text[:-3] + "AA=", text.replace("archive0", "archive1"), "x", "", text + "x"):
        with pytest.raises(RecipientInvalid):
            Recipient.parse(wrong)


def test_one_recipient_is_none(recipients):
    one, two = map(str, recipients)
    for named in ((), (one,), (one, one), (one, str(Recipient("other", recipients[0].public)))):
        with pytest.raises(RecipientsMissing):
            DumpSettings(recipients=named).sealed_to()
    assert len(DumpSettings(recipients=(one, two)).sealed_to()) == 2


def test_a_key_that_would_be_everybodys_is_refused():
    with pytest.raises(RecipientInvalid):
        Recipient("weak", bytes(32)).box(SecretKey.random(), deployment=DEPLOYMENT, dump="a" * 32)


def kinds_in(found: list[Frame], pairs) -> dict[str, list]:
    return dict(opened(found, pairs[0], "archive0"))


async def test_a_dump_of_changes_has_what_changed_and_what_is_gone(tmp_path, pairs, recipients):
    store = await SqliteDocStore.open(tmp_path / "a.db", (THINGS, NOTES, MIGRATIONS))
    await store.insert_many(THINGS, [Document(f"{n:03}", "aa" * 16, {}) for n in range(50)])
    await store.insert(NOTES, Document("note", "aa" * 16, {}))
    source = documents_of(store, (THINGS, NOTES))
    first = (await dumped(recipients, source=source))[0].head
    assert (first.since, len(first.mark)) == ("", 32)
    [changed, gone] = await store.get_many(THINGS, ["007", "008"])
    await store.replace(THINGS, changed)
    await store.delete(THINGS, gone)
    await store.insert(THINGS, Document("new", "aa" * 16, {}))
    found = await dumped(recipients, source=source, since=first.mark)
    await store.close()
    kinds = kinds_in(found, pairs)
    assert [item[0] for item in kinds["things"]] == ["007", "new"]
    assert kinds["gone/things"] == ["008"]
    assert [item[0] for item in kinds["notes"]] == ["note"]
    [end] = kinds["end"]
    assert (end["since"], end["mark"]) == (first.mark, found[0].head.mark)
    assert (end["whole"], end["documents"]) == (["notes"], 4)
    assert found[-1].head.documents == {"aa" * 16: 3}


async def test_a_dump_is_whole_where_nobody_knows_what_has_changed(tmp_path, pairs, recipients):
    store = await SqliteDocStore.open(tmp_path / "a.db", (THINGS, MIGRATIONS))
    await store.insert_many(THINGS, [Document(f"{n:03}", "aa" * 16, {}) for n in range(20)])
    source = documents_of(store, (THINGS,))
    assert (await dumped(recipients, source=source, since="f" * 32))[0].head.since == ""
    mark = (await dumped(recipients, source=source))[0].head.mark
    assert (await dumped(recipients, source=source, since=mark))[0].head.since == mark
    for each in await store.scan(THINGS):
        await store.replace(THINGS, each)
    few = documents_of(store, (THINGS,), changes_max=20)
    many = await dumped(recipients, source=few, since=mark)
    await store.close()
    assert many[0].head.since == ""
    assert len(kinds_in(many, pairs)["things"]) == 20


def test_others_who_can_read_are_told_apart(recipients):
    one, two = recipients
    assert fingerprint([one, two]) == fingerprint([two, one])
    third = Recipient("archive1", SealingKeyPair.generate().public)
    assert fingerprint([one, third]) != fingerprint([one, two])
