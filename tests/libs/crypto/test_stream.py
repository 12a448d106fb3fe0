"""The sealed stream: any length, in any pieces, opened at any place."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.crypto.envelope import Context, Kind, Suite, object_id, preferred_suite
from voicefile.crypto.errors import Malformed, OutOfOrder, Reason, Tampered
from voicefile.crypto.primitives import aes_in_hardware
from voicefile.crypto.secret import DataKey
from voicefile.crypto.stream import (
    CHUNK,
    CHUNKS_MAX,
    HEADER,
    SEALED_CHUNK,
    TAG,
    Opener,
    Sealer,
    open_whole,
    seal,
)

KEY = DataKey.random()
AUDIO = Context(b"house", "a1" * 16, object_id("b2" * 16, "original"), Kind.AUDIO)
BOUNDARIES = sorted(
    {
        max(0, chunks * CHUNK + off)
        for chunks in range(4)
        for off in (-CHUNK // 2, -17, -16, -1, 0, 1, 16, 17)
    }
)
# No four bytes of it stand twice, so a chunk in a wrong place shows.
PLAIN = b"".join(number.to_bytes(4, "big") for number in range(CHUNK + 20))

suites = st.sampled_from(Suite)
lengths = st.one_of(st.sampled_from(BOUNDARIES), st.integers(0, len(PLAIN)))
buffers = st.sampled_from([bytes, bytearray, memoryview])


def opened(content: bytes, order=None) -> dict[int, bytes]:
    opener = Opener(KEY, AUDIO, content[:HEADER], len(content))
    return {
        index: opener.open(index, content[slice(*opener.span(index))])
        for index in (opener.last, *(order or range(opener.chunks)))
    }


@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("length", BOUNDARIES)
def test_every_boundary_length_comes_back(length, suite, pad):
    content = seal(KEY, AUDIO, PLAIN[:length], suite=suite, pad=pad)
    whole = open_whole(KEY, AUDIO, content)
    assert whole[:length] == PLAIN[:length]
    assert whole[length:] == bytes(-length % CHUNK if pad else 0)


@settings(deadline=None, max_examples=150)
@given(lengths, suites, st.booleans(), st.lists(st.integers(0, 3 * CHUNK), max_size=8), buffers)
def test_the_pieces_it_arrives_in_do_not_matter(length, suite, pad, cuts, buffer):
    plain = PLAIN[:length]
    borders = [0, *sorted(min(cut, length) for cut in cuts), length]
    sealer = Sealer(KEY, AUDIO, suite=suite, pad=pad)
    pieces = [sealer.update(buffer(plain[a:b])) for a, b in itertools.pairwise(borders)]
    content = b"".join((sealer.header, *pieces, sealer.finish()))
    assert open_whole(KEY, AUDIO, content)[:length] == plain
    # Whatever came out before the end was whole chunks.
    assert all(len(piece) % SEALED_CHUNK == 0 for piece in pieces)


@settings(deadline=None, max_examples=100)
@given(lengths, suites, st.data())
def test_chunks_open_in_any_order_and_any_number_of_times(length, suite, data):
    content = seal(KEY, AUDIO, PLAIN[:length], suite=suite)
    chunks = length // CHUNK + 1
    order = data.draw(st.lists(st.integers(0, chunks - 1), max_size=6))
    for index, plain in opened(content, order).items():
        assert plain == PLAIN[:length][index * CHUNK : (index + 1) * CHUNK]


@pytest.mark.parametrize("length", BOUNDARIES)
def test_the_arithmetic_is_right_before_a_byte_is_read(length):
    content = seal(KEY, AUDIO, PLAIN[:length])
    opener = Opener(KEY, AUDIO, content[:HEADER], len(content))
    assert len(content) == HEADER + length + TAG * opener.chunks
    assert (opener.plain_bytes, opener.chunks) == (length, length // CHUNK + 1)
    spans = [opener.span(index) for index in range(opener.chunks)]
    assert spans[0][0] == HEADER
    assert spans[-1][1] == len(content)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))


def test_a_full_final_chunk_is_followed_by_an_empty_one():
    content = seal(KEY, AUDIO, bytes(CHUNK))
    assert len(content) == HEADER + SEALED_CHUNK + TAG
    assert opened(content)[1] == b""


def test_padding_hides_the_length():
    sizes = {len(seal(KEY, AUDIO, bytes(n), pad=True)) for n in (1, 2, 1000, CHUNK - 1, CHUNK)}
    assert sizes == {HEADER + SEALED_CHUNK + TAG}


def test_writers_prefer_aes_where_the_processor_has_it():
    suite = seal(KEY, AUDIO, b"")[4]
    assert suite == preferred_suite() == (Suite.AES_GCM if aes_in_hardware() else Suite.XCHACHA)


def test_the_header_lies_as_the_format_says():
    content = seal(KEY, AUDIO, b"", suite=Suite.XCHACHA)
    assert content[:12] == b"VFE1" + bytes((1, 1, 0, 76, 0, 1, 0, 0))
    assert len(content) == 92


def test_two_sealings_of_the_same_share_nothing_but_fixed_fields():
    one, other = (seal(KEY, AUDIO, PLAIN[:CHUNK]) for _ in range(2))
    assert one[:12] == other[:12]
    assert one[12:44] != other[12:44]
    assert one[44:76] != other[44:76]
    assert sum(a == b for a, b in zip(one[HEADER:], other[HEADER:], strict=True)) < 600


def test_the_last_chunk_must_be_opened_first():
    content = seal(KEY, AUDIO, PLAIN[: CHUNK + 1])
    opener = Opener(KEY, AUDIO, content[:HEADER], len(content))
    with pytest.raises(OutOfOrder):
        opener.open(0, content[slice(*opener.span(0))])


@pytest.mark.parametrize("off", [-17, -16, -1, 1, 16, CHUNK, SEALED_CHUNK])
def test_a_claimed_length_is_found_out_by_the_last_chunk(off):
    content = seal(KEY, AUDIO, PLAIN[: 2 * CHUNK + 99])
    claimed = len(content) + off
    opener = Opener(KEY, AUDIO, content[:HEADER], claimed)
    start, stop = opener.span(opener.last)
    with pytest.raises(Tampered):
        opener.open(opener.last, content[start:stop].ljust(stop - start, b"\0"))


def test_a_foreign_header_is_refused_before_any_chunk_is_given():
    content = bytearray(seal(KEY, AUDIO, PLAIN[:99]))
    content[75] ^= 1
    with pytest.raises(Tampered, match=Reason.COMMITMENT):
        Opener(KEY, AUDIO, bytes(content[:HEADER]), len(content))


def test_after_one_failure_nothing_opens():
    content = seal(KEY, AUDIO, PLAIN[: CHUNK + 1])
    opener = Opener(KEY, AUDIO, content[:HEADER], len(content))
    last = content[slice(*opener.span(1))]
    with pytest.raises(Tampered):
        opener.open(1, last[:-1] + b"?")
    with pytest.raises(Tampered):
        opener.open(1, last)


@pytest.mark.parametrize("index", [-1, 2, 10**9])
def test_there_is_no_chunk_outside(index):
    content = seal(KEY, AUDIO, PLAIN[: CHUNK + 1])
    opener = Opener(KEY, AUDIO, content[:HEADER], len(content))
    with pytest.raises(Malformed):
        opener.span(index)
    with pytest.raises(Malformed):
        opener.open(index, b"")


def test_the_largest_object_is_a_quarter_of_a_pebibyte():
    header = seal(KEY, AUDIO, b"")[:HEADER]
    largest = HEADER + CHUNKS_MAX * SEALED_CHUNK - 1
    assert Opener(KEY, AUDIO, header, largest).chunks == CHUNKS_MAX == 2**32
    with pytest.raises(Tampered, match=Reason.SIZE):
        Opener(KEY, AUDIO, header, largest + 1 + TAG)


def test_a_writer_stops_where_a_reader_would():
    sealer = Sealer(KEY, AUDIO)
    sealer._next = CHUNKS_MAX - 1
    with pytest.raises(Malformed):
        sealer.update(bytes(CHUNK))


def test_a_field_has_one_chunk_only():
    field = dataclasses.replace(AUDIO, kind=Kind.FIELD)
    assert open_whole(KEY, field, seal(KEY, field, bytes(CHUNK - 1))) == bytes(CHUNK - 1)
    with pytest.raises(Malformed):
        seal(KEY, field, bytes(CHUNK))


def test_a_finished_sealer_takes_nothing_more():
    sealer = Sealer(KEY, AUDIO)
    sealer.finish()
    with pytest.raises(OutOfOrder):
        sealer.update(b"")
    with pytest.raises(OutOfOrder):
        sealer.finish()


def test_a_refusal_repeats_no_byte_of_what_it_was_given():
    content = bytearray(seal(KEY, AUDIO, b"spoken words"))
    content[-1] ^= 1
    with pytest.raises(Tampered) as raised:
        open_whole(KEY, AUDIO, bytes(content))
    assert raised.value.args == (Reason.LAST_CHUNK,)
    assert raised.value.__suppress_context__
