"""Every page speaks every language, with the same words to say."""

import re
from importlib.resources import files

from voicefile.portal.languages import LANGUAGES, catalogues, preferred
from voicefile.portal.pages import Pages
from voicefile.portal.settings import PortalSettings

USED = re.compile(r"\bt\.(\w+)")


def test_all_languages_have_the_same_texts_and_none_is_empty():
    found = catalogues()
    keys = {language: set(catalogue.texts) for language, catalogue in found.items()}
    assert keys["de"] == keys["en"]
    assert all(text.strip() for each in found.values() for text in each.texts.values())


def test_every_text_a_template_names_exists():
    texts = catalogues()["de"].texts
    folder = files("voicefile.portal") / "templates"
    named = {name for page in folder.iterdir() for name in USED.findall(page.read_text("utf-8"))}
    assert named
    assert named <= set(texts)


def test_every_template_parses():
    Pages.load(PortalSettings())


def test_the_browser_gets_the_best_language_there_is():
    assert preferred("fr, en;q=0.8, de;q=0.5", default="de") == "en"
    assert preferred("de-AT,en;q=0.9", default="en") == "de"
    assert preferred("", default="de") == "de"
    assert preferred("xx;q=nonsense, en;q=oops", default="de") == "en"
    assert set(LANGUAGES) == {"de", "en"}
