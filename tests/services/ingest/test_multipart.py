"""What a body means does not depend on how it was cut into packets."""

import itertools
import re
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.ingest.stand import BOUNDARY, body_of, part

from voicefile.ingest.errors import (
    BoundaryUnfit,
    IngestRefused,
    NotMultipart,
    PartTypeWrong,
    UploadMalformed,
    UploadStalled,
    UploadTruncated,
)
from voicefile.ingest.multipart import (
    BodyEnded,
    PartBegan,
    PartEnded,
    PartsParser,
    Upload,
    boundary_of,
)
from voicefile.ingest.settings import IngestSettings

SETTINGS = IngestSettings()
HEADER = f"multipart/form-data; boundary={BOUNDARY}"
# Sound that looks as much like a boundary as sound can.
NASTY = (
    b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n-" * 3 + b"--" + BOUNDARY.encode() + b"\r\r\n--\r\n"
)


def told(cuts, *, boundary=BOUNDARY):
    """What the parser makes of these pieces, the data joined."""
    parser = PartsParser(boundary, settings=SETTINGS)
    found = [piece for cut in cuts for piece in parser.feed(cut)]
    joined = []
    for piece in found:
        if isinstance(piece, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece if isinstance(piece, bytes | PartBegan) else type(piece))
    return joined


WHOLE = body_of(part("metadata", b'{"a": 1}', "application/json"), part("audio", NASTY, None))
EXPECTED = [
    PartBegan("metadata", "application/json"),
    b'{"a": 1}',
    PartEnded,
    PartBegan("audio", ""),
    NASTY,
    PartEnded,
    BodyEnded,
]


def test_every_single_cut_gives_the_same():
    for at in range(len(WHOLE) + 1):
        assert told([WHOLE[:at], WHOLE[at:]]) == EXPECTED


def test_byte_by_byte_gives_the_same():
    assert told([WHOLE[i : i + 1] for i in range(len(WHOLE))]) == EXPECTED


@given(
    audio=st.binary(max_size=300) | st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--b0undar",
        b"\r\n--", b"y", b"\0"]), max_size=40).map(b"".join),
    cuts=st.lists(st.integers(0, 700), max_size=12),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_audio_cut_anywhere_comes_out_as_it_went_in(audio, cuts):
    if f"\r\n--{BOUNDARY}".encode() in b"\r\n" + audio:
        return  # a sender picks a boundary that its content does not have
    body = body_of(part("metadata", b"{}", None), part("audio", audio, "audio/wav"))
    edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    found = told([body[a:b] for a, b in pairwise(edges)])
    data = [piece for piece in found if isinstance(piece, bytes)]
    assert data == [b"{}", audio][: 2 if audio else 1]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_body_upsets_the_parser_but_by_name(junk, cuts):
    for body in (junk, WHOLE[: len(junk)] + junk, b"--" + BOUNDARY.encode() + b"\r\n" + junk):
        edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
        with suppress(IngestRefused):
            told([body[a:b] for a, b in pairwise(edges)])


def test_half_boundaries_come_as_one_piece_per_feed():
    crumbs = b"\r\n--b0undar" * 5000
    parser = PartsParser(BOUNDARY, settings=SETTINGS)
    parser.feed(part("audio", b"", None)[:-2])
    assert len(parser.feed(crumbs)) == 1


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"", UploadMalformed),
        (b"Content-Disposition: attachment; name=audio\r\n", UploadMalformed),
        (b"Content-Disposition: form-data\r\n", UploadMalformed),
        (b"Content-Disposition: form-data; name=a; name=b\r\n", UploadMalformed),
        (b'Content-Disposition: form-data; name="a\r\n', UploadMalformed),
        (b"Content-Disposition: form-data; name=a\r\n" * 2, UploadMalformed),
        (b"Content-Disposition: form-data; name=a; x=" + b"y" * 2000 + b"\r\n", UploadMalformed),
        (b"Content-Disposition: form-data; name=a\r\nX: " + b"y" * 5000, UploadMalformed),
        (b"Content-Disposition: form-data; name=a\r\n" + b"X-%d: y\r\n" * 9, UploadMalformed),
        (b"Bad Header: x\r\n", UploadMalformed),
        (
            b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n",
            PartTypeWrong,
        ),
    ],
)
def test_heads_that_could_be_read_in_two_ways_are_refused(head, error):
    head = re.sub(rb"X-%d: y\r\n", lambda _, n=iter(range(99)): b"X-%d: y\r\n" % next(n), head)
    with pytest.raises(error):
        told([f"--{BOUNDARY}\r\n".encode() + head + b"\r\n" + b"data"])


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("", NotMultipart),
        ("application/json", NotMultipart),
        ("multipart/mixed; boundary=b", NotMultipart),
        ("multipart/form-data", BoundaryUnfit),
        ("multipart/form-data; boundary=", BoundaryUnfit),
        ("multipart/form-data; boundary=" + "b" * 71, BoundaryUnfit),
        ('multipart/form-data; boundary="b\\"c"', BoundaryUnfit),
        ('multipart/form-data; boundary="ends in a blank "', BoundaryUnfit),
        ("multipart/form-data; boundary=b; boundary=c", UploadMalformed),
        ("multipart/form-data; boundary*=utf-8''b", BoundaryUnfit),
        ("multipart/form-data; boundary=b; x=" + "y" * 2000, UploadMalformed),
    ],
)
def test_a_boundary_has_to_be_one(header, error):
    with pytest.raises(error):
        boundary_of(header)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=b", "b"),
        ('Multipart/Form-Data ; charset=utf-8; Boundary="a b\'()+_,-./:=?c"', "a b'()+_,-./:=?c"),
        ("multipart/form-data; boundary=" + "b" * 70, "b" * 70),
    ],
)
def test_boundaries_of_every_kind_are_taken(header, boundary):
    assert boundary_of(header) == boundary


async def flow(*chunks):
    for chunk in chunks:
        yield chunk


async def read_through(upload):
    await upload.metadata()
    return b"".join([piece async for piece in upload.audio()])


async def test_a_cut_upload_never_passes_for_whole():
    for end in range(len(WHOLE) - 4):
        with pytest.raises(UploadTruncated):
            await read_through(Upload(flow(WHOLE[:end]), HEADER, settings=SETTINGS))


async def test_what_follows_the_end_is_read_and_means_nothing():
    upload = Upload(flow(WHOLE, b"\r\n", b"bye"), HEADER, settings=SETTINGS)
    assert await read_through(upload) == NASTY


async def test_an_epilogue_has_its_limit():
    upload = Upload(flow(WHOLE, *[b"x" * 1000] * 9), HEADER, settings=SETTINGS)
    with pytest.raises(UploadMalformed):
        await read_through(upload)


@pytest.mark.parametrize("cut", [20, 200, len(WHOLE) - 8, len(WHOLE) - 1, len(WHOLE), 3_000])
async def test_an_epilogue_has_its_limit_however_it_arrives(cut):
    """A network hands over the end of the audio and what follows it in one piece."""
    for epilogue, refused in ((b"x" * 3_900, False), (b"x" * 4_300, True)):
        body = WHOLE + epilogue
        upload = Upload(flow(body[:cut], body[cut:]), HEADER, settings=SETTINGS)
        if refused:
            with pytest.raises(UploadMalformed):
                await read_through(upload)
        else:
            assert await read_through(upload) == NASTY


def paced(*chunks, seconds_each):
    """An upload whose sender takes so long for each chunk."""
    clock = itertools.count(0, seconds_each)
    return Upload(flow(*chunks), HEADER, settings=SETTINGS, monotonic_s=lambda: float(next(clock)))


async def test_a_trickle_is_no_upload():
    upload = paced(*(WHOLE[i : i + 1] for i in range(len(WHOLE))), seconds_each=10)
    with pytest.raises(UploadStalled):
        await upload.metadata()


def long_body(*audio):
    start = WHOLE[: WHOLE.index(NASTY) + len(NASTY)]
    return start, *audio, WHOLE[len(start) :]


async def test_a_fast_start_buys_no_slow_rest():
    fast, trickle = [b"x" * 10**6] * 20, [b"x" * 1000] * 20
    with pytest.raises(UploadStalled):
        await read_through(paced(*long_body(*fast, *trickle), seconds_each=10))


async def test_a_slow_but_steady_line_gets_through():
    # Half as much again as it must: the head of the body takes its time and brings next to nothing.
    pieces = [b"x" * SETTINGS.upload_rate_bytes_s_min * 15] * 50
    upload = paced(*long_body(*pieces), seconds_each=10)
    assert len(await read_through(upload)) == len(NASTY) + sum(map(len, pieces))


async def test_who_stumbles_for_less_than_the_window_is_forgiven():
    stumbles = [b"x"] * 2
    upload = paced(*long_body(b"x" * 200_000, *stumbles, b"x" * 200_000), seconds_each=10)
    assert len(await read_through(upload)) > 400_000
