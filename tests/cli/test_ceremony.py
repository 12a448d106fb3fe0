"""The key ceremony: any three sheets give the key back, two give nothing."""

import itertools

import pytest

from voicefile.cli.backup import _joined
from voicefile.cli.ceremony import SheetsRefused, joined, make_sheets, words_of
from voicefile.dumps.errors import RecipientInvalid


@pytest.fixture(scope="module")
def made():
    return make_sheets("archive-north")


def test_any_three_of_five_sheets_give_the_key_back(made):
    recipient, sheets = made
    assert len(sheets) == 5
    for chosen in itertools.combinations(sheets, 3):
        assert joined([words_of(sheet.as_text()) for sheet in chosen]).public == recipient.public


def test_two_sheets_are_refused_and_so_is_a_foreign_one(made):
    _, sheets = made
    _, others = make_sheets("archive-south")
    for wrong in (sheets[:2], [*sheets[:2], others[2]], [sheets[0]] * 3, []):
        with pytest.raises(SheetsRefused):
            joined([words_of(sheet.as_text()) for sheet in wrong])


def test_a_wrong_word_is_found(made):
    _, sheets = made
    words = words_of(sheets[0].as_text()).split()
    words[5], words[6] = words[6], words[5]
    texts = [" ".join(words), *(words_of(sheet.as_text()) for sheet in sheets[1:3])]
    if words[5] != words[6]:
        with pytest.raises(SheetsRefused):
            joined(texts)


def test_a_sheet_shows_itself_to_nobody_by_accident(made):
    _, sheets = made
    word = words_of(sheets[0].as_text()).split()[4]
    assert word not in repr(sheets[0])


def test_a_sheet_for_a_browser_has_the_same_words(made):
    _, sheets = made
    words = words_of(sheets[0].as_text()).split()
    page = sheets[0].as_html()
    assert [word for word in words if f"<li>{word}</li>" not in page] == []


def test_sheets_of_both_kinds_are_joined(made):
    recipient, sheets = made
    saved = sheets[1].as_html().replace("<li>", '\n<LI class="a">')
    texts = [sheets[0].as_html(), saved, sheets[2].as_text()]
    assert joined([words_of(text) for text in texts]).public == recipient.public
    with pytest.raises(SheetsRefused):
        words_of(sheets[0].as_html().replace("<li>", "", 1))


def test_sheets_are_joined_from_their_files(made, tmp_path):
    recipient, sheets = made
    files = [tmp_path / f"{sheet.number}.html" for sheet in sheets[:3]]
    for sheet, file in zip(sheets[:3], files, strict=True):
        file.write_text(sheet.as_html())
    assert _joined(files).public == recipient.public


def test_a_sheet_that_is_no_text_is_refused_in_words(tmp_path):
    sheet = tmp_path / "sheet.txt"
    sheet.write_bytes("1. academic".encode("utf-16"))
    with pytest.raises(SystemExit, match="no text in UTF-8"):
        _joined([sheet] * 3)


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "a" * 33, "1a"])
def test_a_name_is_plain(name: str):
    with pytest.raises(RecipientInvalid):
        make_sheets(name)
