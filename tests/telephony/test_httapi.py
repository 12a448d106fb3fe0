"""The telephone client does what FreeSWITCH was seen to do: a test for each thing it was seen to
do, against a service of a few lines that answers what a test has written down."""

import io
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telephony.call import HANG_UP, Call, End, Operator, Profile
from tests.telephony.httapi import NotModelled

EDGE = "http://127.0.0.1:8470"
URL = f"{EDGE}/playback/v1/telephone"
ALL_KEYS = "".join(f"<bind>{key}</bind>" for key in "0123456789*#")
ID = '<bind strip="#">~^\\d{4,10}#$</bind>'
OPEN = Profile()
"""As FreeSWITCH is when nobody confines it."""
NO_STORE = {"Cache-Control": "no-store"}


def wav(seconds: float, *, first: int = 1, rate_hz: int = 8000) -> bytes:
    """Samples that count, so that each says where it stands."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        numbers = range(first, first + round(seconds * rate_hz))
        file.writeframes(b"".join((each % 32768).to_bytes(2, "little") for each in numbers))
    return written.getvalue()


def work(inner: str) -> str:
    return f'<document type="xml/freeswitch-httapi"><work>{inner}</work></document>'


def playback(file: str, *, binds: str = "", more: str = "", address: str = "") -> str:
    where = address or f"http://(nohead=true)127.0.0.1:8470/{file}.wav"
    return f'<playback name="key" file="{where}" {more}>{binds}</playback>'


class CutOff(httpx.AsyncByteStream):
    """A body whose connection breaks."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._piece
        raise httpx.RemoteProtocolError("cut")


class Service(httpx.AsyncBaseTransport):
    """Answers with the documents in turn, the last one for ever; has a few files."""

    def __init__(self, *answers: str | httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.files = {"/prompt.wav": wav(2), "/bad.wav": wav(1), "/chunk.wav": wav(10)}
        self.headers = dict(NO_STORE)
        self.cut = False
        self.asked: list[tuple[str, str]] = []
        self.forms: list[dict[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, request.url.path))
        if request.method != "POST":
            return self._file(request)
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["user-agent"] == "mod_httapi/1.0"
        assert not request.url.query
        self.forms.append(dict(parse_qsl((await request.aread()).decode())))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, text=answer, headers={"Content-Type": "text/xml; charset=utf-8"})

    def _file(self, request: httpx.Request) -> httpx.Response:
        body = self.files.get(request.url.path)
        if body is None:
            return httpx.Response(404)
        if self.cut:
            return httpx.Response(200, stream=CutOff(body[: len(body) // 2]), headers=self.headers)
        content = b"" if request.method == "HEAD" else body
        headers = {"Content-Type": "audio/wav", **self.headers}
        return httpx.Response(200, content=content, headers=headers)

    @property
    def fetched(self) -> list[tuple[str, str]]:
        return [each for each in self.asked if each[0] != "POST"]


BYE = work('<hangup cause="NORMAL_CLEARING"/>')


def call(service: Service, **more) -> Call:
    more.setdefault("profile", OPEN)
    return Call(httpx.AsyncClient(transport=service), URL, **more)


def answered(form: dict[str, str], *names: str) -> dict[str, str]:
    return {name: form[name] for name in names if name in form}


# ---- requests ----


async def test_every_request_says_whose_call_it_is():
    service = Service(work(playback("prompt")), BYE)
    params = {"edge": "one"}
    async with call(service, caller="+4930555", dialled="+49800", params=params) as made:
        await made.wait(3)
    first, second, last = service.forms
    assert first["session_id"] == first["Caller-Unique-ID"] == made.session_id
    assert first["Caller-Caller-ID-Number"] == "+4930555"
    assert first["Caller-Destination-Number"] == "+49800"
    assert first["url"] == URL
    assert first["httapi_profile"] == "default"
    assert first["edge"] == "one"
    assert {"Caller-ANI", "Caller-Network-Addr", "Caller-Channel-Answered-Time"} <= set(first)
    assert first == second == {k: v for k, v in last.items() if k != "exiting"}
    assert made.posts == service.forms


async def test_each_call_has_its_own_session():
    async with call(Service(BYE)) as one, call(Service(BYE)) as other:
        assert one.session_id != other.session_id


async def test_only_fields_of_the_profile_are_sent():
    service = Service(BYE)
    profile = Profile(fields=frozenset({"session_id", "exiting"}))
    async with call(service, profile=profile) as made:
        pass
    assert service.forms == [
        {"session_id": made.session_id},
        {"session_id": made.session_id, "exiting": "true"},
    ]


async def test_the_shipped_profile_sends_what_the_service_reads_and_no_more():
    service = Service(work(playback("prompt")), BYE)
    async with Call(httpx.AsyncClient(transport=service), URL) as made:
        await made.wait(3)
    expected = {"session_id", "Caller-Caller-ID-Number", "Caller-Destination-Number"}
    assert set(service.forms[0]) == expected
    assert set(service.forms[-1]) == expected | {"exiting"}


async def test_the_last_request_says_so_whoever_hangs_up():
    for service, seconds in ((Service(BYE), 0), (Service(work(playback("chunk"))), 1)):
        async with call(service) as made:
            await made.wait(seconds)
        assert service.forms[-1]["exiting"] == "true"
        assert [form for form in service.forms if "exiting" in form] == [service.forms[-1]]
        assert made.ended is (End.CALLER if seconds else End.SERVICE)


async def test_a_leftover_entry_comes_with_the_last_request():
    service = Service(work(playback("prompt", binds=ID)))
    async with call(service) as made:
        await made.press("1234#", hanging_up=True)
    assert len(service.forms) == 2
    assert answered(service.forms[-1], "key", "exiting") == {"key": "1234", "exiting": "true"}


async def test_an_edge_that_dies_says_nothing():
    service = Service(work(playback("chunk")))
    async with call(service) as made:
        await made.wait(1)
        await made.vanish()
    assert len(service.forms) == 1
    assert made.ended is End.VANISHED


async def test_the_next_request_goes_where_continue_says():
    service = Service(work(f'{playback("prompt")}<continue action="{EDGE}/other"/>'), BYE)
    async with call(service) as made:
        await made.wait(3)
    assert [path for _, path in service.asked if "wav" not in path] == [
        "/playback/v1/telephone",
        "/other",
        "/other",
    ]


async def test_an_address_with_an_at_sign_or_of_another_host_fails_the_test():
    for where in ("http://u:p@127.0.0.1:8470/other", "http://127.0.0.1:9/other"):
        service = Service(work(f'<continue action="{where}"/>'))
        with pytest.raises(AssertionError):
            async with call(service):
                pass


# ---- answers that are none ----


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(503), "status 503"),
        (httpx.Response(204), "status 204"),
        (httpx.Response(200, json={}), "content type"),
        (httpx.ReadTimeout("late"), "no answer"),
        (httpx.ConnectError("refused"), "no answer"),
        ("<document><work>", "bad XML"),
        (work(""), "no instructions"),
        ("<document/>", "no instructions"),
        (work("<answer/>"), "<answer> ends it"),
        (work("<dance/>"), "<dance> unknown"),
        (work(f"<continue>{1024 * 1024 * 'a'}</continue>"), "too long an answer"),
    ],
)
async def test_anything_but_a_document_ends_in_the_apology(answer, why):
    service = Service(answer)
    async with call(service) as made:
        await made.wait(120)
    assert made.apology == why
    assert (made.ended, made.cause) == (End.APOLOGY, "NORMAL_TEMPORARY_FAILURE")
    assert len(service.forms) == 2
    assert service.forms[-1]["exiting"] == "true"


async def test_a_service_that_does_not_answer_is_waited_for_as_the_profile_says():
    async with call(Service(httpx.ReadTimeout("late")), profile=Profile(timeout_s=7)) as made:
        await made.wait(6.9)
        assert made.apology is None
        await made.wait(0.2)
        assert made.apology == "no answer"


async def test_answers_are_added_up_and_from_a_megabyte_on_posts_are_logged():
    long = work(f"<continue>{600 * 1024 * 'a'}</continue>{playback('prompt', binds=ID)}")
    service = Service(long)
    async with call(service) as made:
        await made.press("4711#")
        assert made.apology == "too long an answer"
    assert [form.get("key") for form in made.logged] == ["4711", None]


async def test_what_stands_before_an_unknown_tag_is_done():
    service = Service(work(f"{playback('prompt')}<dance/>"))
    async with call(service) as made:
        await made.wait(3)
        assert made.apology == "<dance> unknown"
    assert made.heard[0].stop == 16000


async def test_a_tag_that_nobody_looked_into_fails_the_test():
    with pytest.raises(NotModelled):
        async with call(Service(work("<record/>"))):
            pass


async def test_edge_and_service_do_not_go_round_in_circles():
    with pytest.raises(AssertionError, match="circles"):
        async with call(Service(work("<continue/>"))):
            pass


async def test_who_hangs_up_during_a_request_hears_nothing_of_its_answer():
    service = Service(work(playback("prompt")))
    async with call(service, request_s=0.5) as made:
        await made.wait(0.2)
    assert made.heard == []
    assert made.apology is None
    assert len(service.forms) == 2


# ---- keys ----


async def test_a_prompt_without_binds_is_heard_to_its_end():
    service = Service(work(playback("prompt")), work(playback("chunk", binds=ALL_KEYS)))
    async with call(service) as made:
        await made.press("7")
        await made.wait(1.7)
        assert len(service.forms) == 1
        await made.wait(0.3)
    # Typed ahead, the key is there for the next prompt that wants one.
    assert made.heard[0].stop == 16000
    assert [form.get("key") for form in service.forms[:3]] == [None, None, "7"]


async def test_a_prompt_with_binds_is_broken_into_at_once():
    service = Service(work(playback("prompt", binds=ALL_KEYS)), BYE)
    async with call(service) as made:
        await made.wait(1)
        await made.press("7")
    assert answered(service.forms[1], "key", "input_type") == {"key": "7", "input_type": "dtmf"}
    assert made.heard[-1].stop == 8000


async def test_the_rest_of_a_prompt_is_silent_while_an_entry_is_typed():
    service = Service(work(playback("prompt", binds=ID, more='digit-timeout="5000"')), BYE)
    async with call(service) as made:
        await made.wait(0.5)
        await made.press("1234#", gap_s=0.2)
    assert [(each.start, each.stop, each.muted) for each in made.heard] == [
        (0, 4000, False),
        (4000, 10400, True),
    ]
    assert made.heard[1].pcm == bytes(2 * 6400)
    assert service.forms[1]["key"] == "1234"


async def test_entries_typed_ahead_in_one_go_reach_their_prompts():
    service = Service(
        work('<playback name="id" file="http://127.0.0.1:8470/prompt.wav">' + ID + "</playback>"),
        work('<playback name="pin" file="http://127.0.0.1:8470/prompt.wav">' + ID + "</playback>"),
        BYE,
    )
    async with call(service) as made:
        await made.press("123456#4711#", gap_s=0)
        await made.wait(1)
    assert [answered(form, "id", "pin") for form in service.forms] == [
        {},
        {"id": "123456"},
        {"pin": "4711"},
        {},
    ]


@pytest.mark.parametrize(("binds", "sent"), [(ID.replace("^", ""), "12345678901"), (ID, None)])
async def test_a_regex_without_anchors_takes_what_is_too_long(binds, sent):
    service = Service(work(playback("prompt", binds=binds)), BYE)
    async with call(service) as made:
        await made.press("12345678901#")
    assert service.forms[1].get("key") == sent


async def test_one_key_that_is_not_bound_stops_the_prompt_and_is_told_nobody():
    service = Service(work(playback("prompt", binds="<bind>1</bind><bind>2</bind>")), BYE)
    async with call(service) as made:
        await made.wait(1)
        await made.press("9")
    assert made.heard[0].stop == 8000
    assert "key" not in service.forms[1]
    assert "input_type" not in service.forms[1]
    assert made.ended is End.SERVICE


async def test_a_literal_beside_a_regex_waits_for_the_digit_timeout():
    binds = ID + "<bind>*</bind>"
    service = Service(work(playback("chunk", binds=binds, more='digit-timeout="2000"')), BYE)
    async with call(service) as made:
        await made.press("*")
        await made.wait(1.8)
        assert len(service.forms) == 1
        await made.wait(0.2)
        assert service.forms[1]["key"] == "*"


async def test_an_entry_with_too_long_a_pause_is_invalid():
    more = 'digit-timeout="3000" error-file="http://(nohead=true)127.0.0.1:8470/bad.wav"'
    service = Service(work(playback("chunk", binds=ID, more=more)), BYE)
    async with call(service) as made:
        await made.press("12")
        await made.wait(3)
        assert made.heard[-1].file.endswith("bad.wav")
        await made.wait(1)
    assert answered(service.forms[1], "key", "input_type") == {
        "key": "invalid",
        "input_type": "invalid",
    }


@pytest.mark.parametrize(
    ("more", "sent"),
    [('error-file="http://(nohead=true)127.0.0.1:8470/bad.wav"', "invalid"), ("", None)],
)
async def test_no_entry_is_told_of_only_with_an_error_file(more, sent):
    service = Service(work(playback("prompt", binds=ID, more=f'input-timeout="3000" {more}')), BYE)
    async with call(service) as made:
        await made.wait(4.9)
        assert len(service.forms) == 1
        await made.wait(1.2)
    assert service.forms[1].get("key") == sent


async def test_the_time_for_an_entry_is_for_the_whole_of_it_and_begins_with_the_silence():
    more = 'digit-timeout="5000" input-timeout="3000"'
    service = Service(work(playback("prompt", binds=ID, more=more)), BYE)
    async with call(service) as made:
        await made.wait(2)
        for _ in range(6):
            await made.press("1", gap_s=0.5)
        assert made.ended is None
        # Still typing, half a second after the last key.
        await made.wait(0.1)
        assert made.ended is End.SERVICE
    assert "key" not in service.forms[1]


async def test_one_key_is_swallowed_when_the_time_is_over_in_the_middle_of_an_entry():
    bad = "http://(nohead=true)127.0.0.1:8470/bad.wav"
    more = f'digit-timeout="5000" input-timeout="3000" loops="2" error-file="{bad}"'
    service = Service(work(playback("prompt", binds=ID, more=more)), BYE)
    async with call(service) as made:
        await made.wait(2)
        await made.press("12345", gap_s=0.65)
        await made.press("678#")
    assert service.forms[1]["key"] == "1234578"


async def test_a_prompt_is_played_once_and_as_often_again_as_its_loops_say():
    service = Service(work(playback("prompt", binds=ID, more='loops="2" input-timeout="1"')), BYE)
    async with call(service) as made:
        await made.wait(10)
    assert [(each.start, each.stop) for each in made.heard] == [(0, 16000)] * 3


async def test_a_valid_entry_takes_the_place_of_an_invalid_one():
    bad = "http://(nohead=true)127.0.0.1:8470/bad.wav"
    more = f'loops="2" input-timeout="1000" error-file="{bad}"'
    service = Service(work(playback("prompt", binds=ID, more=more)), BYE)
    async with call(service) as made:
        await made.wait(4.5)
        await made.press("1234#")
    assert answered(service.forms[1], "key", "input_type") == {"key": "1234", "input_type": "dtmf"}


async def test_strip_cuts_off_at_the_first():
    binds = '<bind strip="*">~^[\\d*]+#$</bind>'
    service = Service(work(playback("prompt", binds=binds)), BYE)
    async with call(service) as made:
        await made.press("12*34#")
    assert service.forms[1]["key"] == "12"


async def test_a_match_is_said_again_by_a_prompt_without_binds_in_the_same_document():
    pin = '<playback name="pin" file="http://127.0.0.1:8470/prompt.wav">' + ID + "</playback>"
    service = Service(work(pin + '<playback file="http://127.0.0.1:8470/bad.wav"/>'), BYE)
    async with call(service) as made:
        await made.press("4711#")
        await made.wait(2)
    assert answered(service.forms[1], "pin", "dialed_digits") == {
        "pin": "4711",
        "dialed_digits": "4711",
    }


async def test_a_pause_takes_keys_too_and_says_nothing_when_none_came():
    pause = f'<pause name="key" milliseconds="60000" digit-timeout="200">{ALL_KEYS}</pause>'
    service = Service(work(pause), work(pause), BYE)
    async with call(service) as made:
        await made.wait(10)
        await made.press("5")
        await made.wait(70)
    assert [form.get("key") for form in service.forms] == [None, "5", None, None]
    assert made.heard == []


# ---- audio ----


async def test_the_offset_is_that_of_the_last_packet():
    get = '<getVariable name="playback_last_offset_pos"/>'
    service = Service(work(playback("chunk", binds=ALL_KEYS) + get), BYE)
    async with call(service) as made:
        await made.wait(3.21)
        await made.press("5")
    at = int(service.forms[1]["playback_last_offset_pos"])
    assert at == made.heard[-1].stop
    assert abs(at - 3.21 * 8000) <= 160
    assert made.pcm == wav(10)[44:][: 2 * at]


async def test_the_offset_of_a_whole_chunk_is_its_length_to_the_sample():
    get = '<getVariable name="playback_last_offset_pos"/>'
    service = Service(work(playback("chunk", binds=ALL_KEYS, more='input-timeout="1"') + get), BYE)
    service.files["/chunk.wav"] = wav(1.001)
    async with call(service) as made:
        await made.wait(2)
    assert service.forms[1]["playback_last_offset_pos"] == "8008"
    assert "key" not in service.forms[1]


async def test_a_connection_that_is_cut_plays_its_stump_as_if_it_were_whole():
    get = '<getVariable name="playback_last_offset_pos"/>'
    service = Service(work(playback("chunk") + get), BYE)
    service.cut = True
    async with call(service) as made:
        await made.wait(11)
    assert made.apology is None
    assert service.forms[1]["playback_last_offset_pos"] == str((80000 * 2 + 44) // 4 - 22)


@pytest.mark.parametrize("content", [None, b"", b"no sound at all"])
async def test_what_cannot_be_played_is_passed_over_in_silence(content):
    get = '<getVariable name="playback_last_offset_pos"/>'
    service = Service(work(playback("prompt") + get), work(playback("chunk") + get), BYE)
    if content is None:
        del service.files["/chunk.wav"]
    else:
        service.files["/chunk.wav"] = content
    async with call(service) as made:
        await made.press("7")
        await made.wait(3)
    assert made.ended is End.SERVICE
    # The offset is still that of what was played before.
    assert [form.get("playback_last_offset_pos") for form in service.forms[1:3]] == ["16000"] * 2


async def test_with_binds_what_cannot_be_played_ends_in_the_apology():
    service = Service(work(playback("nowhere", binds=ALL_KEYS)))
    async with call(service) as made:
        await made.wait(1)
        assert made.apology is not None
    assert made.apology.endswith("nowhere.wav: unplayable")


async def test_typed_ahead_keys_are_gone_with_what_cannot_be_played():
    service = Service(
        work(playback("prompt")), work(playback("nowhere")), work(playback("chunk", binds=ALL_KEYS))
    )
    async with call(service) as made:
        await made.press("7")
        await made.wait(5)
        assert "key" not in service.forms[-1]
        assert len(service.forms) == 3


@pytest.mark.parametrize(
    ("address", "methods"),
    [
        ("http://(nohead=true)127.0.0.1:8470/chunk.wav", ["GET"]),
        ("http://127.0.0.1:8470/chunk.wav", ["HEAD", "GET"]),
    ],
)
async def test_an_address_is_asked_for_twice_unless_it_says_nohead(address, methods):
    service = Service(work(playback("", address=address)), BYE)
    async with call(service) as made:
        await made.wait(11)
    assert service.fetched == [(method, "/chunk.wav") for method in methods]


async def test_audio_is_kept_only_while_it_plays_if_it_is_not_to_be_stored():
    service = Service(work(playback("chunk")), BYE)
    async with call(service) as made:
        await made.wait(5)
        assert made.left_behind == [f"{EDGE}/chunk.wav"]
        await made.hang_up()
        assert made.left_behind == []
    assert made.held_bytes_max == len(service.files["/chunk.wav"])


async def test_other_audio_stays_and_is_not_fetched_again_for_five_minutes():
    service = Service(*[work(playback("chunk"))] * 40)
    service.headers = {}
    async with call(service) as made:
        await made.wait(299)
        assert len(service.fetched) == 1
        await made.wait(20)
        assert len(service.fetched) == 2
        await made.hang_up()
    assert made.left_behind == [f"{EDGE}/chunk.wav"]


async def test_files_of_the_edge_need_no_request(tmp_path: Path):
    (tmp_path / "greet.wav").write_bytes(wav(1))
    service = Service(work('<playback file="/greet.wav"/>'), BYE)
    async with call(service, local=tmp_path) as made:
        await made.wait(2)
    assert made.heard[0].stop == 8000
    assert service.fetched == []


async def test_audio_of_another_rate_fails_the_test():
    service = Service(work(playback("chunk")), BYE)
    service.files["/chunk.wav"] = wav(1, rate_hz=16000)
    with pytest.raises(NotModelled, match="drift"):
        async with call(service):
            pass


# ---- what a document may do ----


@pytest.mark.parametrize(
    "data", ["application='system' data='id'", "application='transfer' data='${x}'"]
)
async def test_an_application_that_is_not_allowed_hangs_up(data):
    service = Service(work(f"<execute {data}/>"))
    profile = Profile(applications=frozenset({"transfer"}))
    async with call(service, profile=profile) as made:
        pass
    assert (made.ended, made.cause) == (End.FORBIDDEN, "DESTINATION_OUT_OF_ORDER")
    assert len(service.forms) == 2


async def test_a_variable_that_is_not_allowed_ends_in_the_apology():
    service = Service(work('<getVariable name="sip_from_uri"/>'))
    async with call(service, profile=Profile(variables=frozenset())) as made:
        assert made.apology == "variable sip_from_uri denied"


async def test_a_number_that_is_dialled_gets_the_call_and_nothing_is_asked_until_it_is_over():
    service = Service(work("<dial>+4930222</dial>"))
    async with Call(httpx.AsyncClient(transport=service), URL) as made:
        await made.wait(300)
        assert made.transferred == "+4930222"
        assert len(service.forms) == 1
    assert service.forms[-1]["exiting"] == "true"


async def test_the_operator_may_hang_up_first():
    service = Service(work("<dial>+4930222</dial>"))
    async with call(service, operator=Operator(talks_s=30)) as made:
        await made.wait(31)
        assert made.ended is End.OPERATOR


async def test_dialling_may_be_forbidden_and_so_is_everything_else_as_shipped():
    service = Service(work("<dial>+4930222</dial>"))
    async with call(service, profile=Profile(dials=False)) as made:
        assert made.transferred is None
    assert made.ended is End.FORBIDDEN
    service = Service(work('<execute application="transfer" data="x inline"/>'))
    async with Call(httpx.AsyncClient(transport=service), URL) as made:
        assert made.transferred is None
    assert made.ended is End.FORBIDDEN


async def test_after_a_transfer_nothing_is_asked_until_the_call_is_over():
    service = Service(work('<execute application="transfer" data="operator XML operators"/>'))
    async with call(service) as made:
        await made.press("123")
        await made.wait(300)
        assert made.transferred == "operator XML operators"
        assert len(service.forms) == 1
    assert service.forms[-1]["exiting"] == "true"
    assert made.apology is None


async def test_after_a_bridge_the_dialogue_goes_on():
    service = Service(work('<execute application="bridge" data="sofia/x/1"/>'), BYE)
    async with call(service, operator=Operator(talks_s=30)) as made:
        await made.wait(29)
        assert len(service.forms) == 1
        await made.wait(2)
    assert len(service.forms) == 3
    assert made.ended is End.SERVICE


# ---- a whole call ----


async def test_a_script_is_played_and_ends_the_call():
    service = Service(work(playback("chunk", binds=ALL_KEYS)))
    async with call(service) as made:
        await made.run([(1, "5"), (2, "12"), (1.5, HANG_UP)])
        assert made.ended is End.CALLER
        assert 4.5 <= made.now_s <= 5
    assert [form.get("key") for form in service.forms] == [None, "5", "1", "2", None]


async def test_somebody_is_told_of_all_time_that_passes():
    passed = []
    async with call(Service(work(playback("chunk"))), passes=passed.append) as made:
        await made.wait(5)
    assert sum(passed) == pytest.approx(made.now_s) == pytest.approx(5)


async def test_a_client_with_a_base_address_is_asked_for_paths_there():
    service = Service(work(playback("prompt")), BYE)
    client = httpx.AsyncClient(transport=service, base_url="https://vault.internal")
    async with Call(client, URL) as made:
        await made.wait(3)
    assert service.asked[:2] == [("POST", "/playback/v1/telephone"), ("GET", "/prompt.wav")]


SCRIPTS = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda tenths: tenths / 10), st.text("0123456789*#", max_size=6)
    ),
    max_size=12,
)


async def heard_and_told(script: Sequence[tuple[float, str]]) -> tuple[list, list]:
    service = Service(
        work(playback("prompt", binds=ID, more='loops="1" digit-timeout="500"')),
        work(playback("chunk", binds=ALL_KEYS)),
    )
    async with call(service) as made:
        await made.run(script, patience_s=5)
    heard = [(each.file, each.start, each.stop, each.at_ms, each.muted) for each in made.heard]
    return heard, [form.get("key") for form in service.forms]


@settings(max_examples=20, deadline=None)
@given(script=SCRIPTS)
async def test_the_same_keys_make_the_same_call(script):
    assert await heard_and_told(script) == await heard_and_told(script)
