"""The verifier as one page for the browser: no network, no library, nothing but what it holds.

Its parts lie in `parts`; `page_html` joins them. The page's own policy allows exactly the script
and the style in it, and no connection.
"""

import base64
import hashlib
import json
from importlib.resources import files
from typing import Final

from voicefile.verify.deed_wire import ACTIONS, OUTCOMES, PURPOSES, ROLES
from voicefile.verify.guide import GUIDE_TEXT

_WORDS: Final = {"role": ROLES, "action": ACTIONS, "purpose": PURPOSES, "outcome": OUTCOMES}


def page_html() -> str:
    """The page, the same text each time."""
    words = json.dumps(_WORDS, separators=(",", ":"))
    script = _part("verify.js") + _part("show.js")
    script = script.replace("/*@WORDS@*/{}/*@*/", words)
    script = script.replace("@GUIDE_SHA256@", hashlib.sha256(GUIDE_TEXT.encode()).hexdigest())
    style = _part("page.css")
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _part("page.html").replace("@POLICY@", policy)
    return page.replace("@STYLE@", style).replace("@SCRIPT@", script)


def _part(name: str) -> str:
    return (files(__package__) / "parts" / name).read_text("utf-8")


def _source(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
