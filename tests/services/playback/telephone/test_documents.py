"""Documents: each is what mod_httapi takes, and none of its traps is in one."""

import re
from xml.etree import ElementTree as ET

import pytest
from tests.telephony.digits import Bind, DigitParser, Outcome

from voicefile.playback.telephone import documents
from voicefile.playback.telephone.call_state import Step
from voicefile.playback.telephone.documents import KEYS, Sound

WORDS = Sound("http://(nohead=true)127.0.0.1:8321/words/a_-b.wav")
CHUNK = Sound("http://(nohead=true)127.0.0.1:8321/chunk/c.wav")
ALL = {
    "access id": documents.asked(Step.ACCESS_ID, WORDS),
    "pin": documents.asked(Step.PIN, WORDS),
    "question": documents.asked(Step.QUESTION, WORDS),
    "offer": documents.offered(WORDS),
    "chunk": documents.played(CHUNK, None),
    "words and chunk": documents.played(CHUNK, WORDS),
    "chunk once more": documents.played(CHUNK, None, after_ms=4_000),
    "pause": documents.waited(WORDS),
    "end": documents.ended(WORDS),
    "silent end": documents.ended(None),
    "transfer": documents.transferred(WORDS, "+49301234"),
}
KNOWN_TAGS = {"playback", "pause", "getVariable", "hangup", "dial"}
ENTRIES = ("access id", "pin", "question")


def work(name):
    document = ET.fromstring(ALL[name])
    assert document.tag == "document"
    assert document.get("type") == "xml/freeswitch-httapi"
    [found] = document
    return found


def binds(name):
    return [bind.text for bind in work(name).iter("bind")]


@pytest.mark.parametrize("name", ALL)
def test_no_tag_is_one_that_ends_the_dialogue(name):
    assert {each.tag for each in work(name)} <= KNOWN_TAGS


@pytest.mark.parametrize("name", ALL)
def test_no_address_has_credentials_and_each_is_fetched_without_a_head(name):
    for playback in work(name).iter("playback"):
        assert "@" not in playback.get("file")
        assert playback.get("file").startswith("http://(nohead=true)")


@pytest.mark.parametrize("name", ["offer", "chunk", "words and chunk", "chunk once more", "pause"])
def test_where_a_key_counts_all_twelve_are_bound(name):
    assert binds(name) == list(KEYS)


@pytest.mark.parametrize("name", ENTRIES)
def test_patterns_of_entries_are_anchored_and_entries_have_time(name):
    for bind in binds(name):
        assert bind.removeprefix("=").startswith("~^")
        assert bind.endswith("$")
    [playback] = work(name).iter("playback")
    assert int(playback.get("input-timeout")) >= 30_000
    assert playback.get("error-file") is None


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_played_again_by_itself(name):
    assert not [each for each in work(name).iter() if "loops" in each]


@pytest.mark.parametrize(
    ("name", "keyed", "taken"),
    [
        ("access id", "123456789012", True),
        ("access id", "12345#", True),
        ("access id", "1234567890123", False),
        ("pin", "12345678#", True),
        ("pin", "#12345678#", True),
        ("pin", "#", False),
        ("pin", "12345678", True),
        ("pin", "123", False),
        ("question", "01021950", True),
    ],
)
def test_an_entry_is_taken_when_it_is_whole(name, keyed, taken):
    patterns = [bind.removeprefix("=").removeprefix("~") for bind in binds(name)]
    assert any(re.search(pattern, keyed) for pattern in patterns) is taken


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("keyed", ["12345678#", "12345678*", "#12345678#", "*"])
def test_an_entry_that_was_closed_is_understood_at_once(name, keyed):
    parser = DigitParser([Bind(text) for text in binds(name)], digit_timeout_ms=5_000)
    came_of = [parser.feed(key, 100 * n) for n, key in enumerate(keyed)]
    assert came_of == [*[Outcome.GOING] * (len(keyed) - 1), Outcome.FOUND]
    assert parser.found[1] == keyed


@pytest.mark.parametrize(("name", "keyed"), [("access id", "123456789012"), ("pin", "12345678")])
def test_an_entry_that_was_not_closed_is_waited_for(name, keyed):
    parser = DigitParser([Bind(text) for text in binds(name)], digit_timeout_ms=5_000)
    for key in keyed:
        assert parser.feed(key, 0) is Outcome.GOING
    assert parser.ping(5_000) is Outcome.GOING
    assert parser.ping(5_001) is Outcome.FOUND


def test_beside_a_chunk_its_position_is_asked_for():
    [variable] = work("chunk").iter("getVariable")
    assert variable.get("name") == "playback_last_offset_pos"


def test_words_before_a_chunk_come_first_and_take_no_key():
    first, second = work("words and chunk").iter("playback")
    assert first.get("file") == WORDS.url
    assert len(first) == 0
    assert second.get("file") == CHUNK.url


def test_a_chunk_that_broke_off_is_waited_for_without_taking_its_keys():
    first, second, _ = work("chunk once more")
    assert (first.tag, first.get("milliseconds"), len(first)) == ("pause", "4000", 0)
    assert second.get("file") == CHUNK.url


def test_nothing_makes_a_document_as_long_as_an_edge_can_not_bear():
    assert max(map(len, ALL.values())) < documents.BYTES_MAX // 4
    with pytest.raises(documents.DocumentTooLong):
        documents.transferred(WORDS, "1" * documents.BYTES_MAX)


def test_an_end_hangs_up():
    assert [each.tag for each in work("end")] == ["playback", "hangup"]
    assert [each.tag for each in work("silent end")] == ["hangup"]
