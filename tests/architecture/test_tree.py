"""The tree itself: names, references, locks, documents, and the reach of the checks."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = {".git", ".venv", "var", "node_modules", "__pycache__", ".hypothesis", ".engines"}
TEXTS = {
    ".py", ".md", ".toml", ".proto", ".yml", ".yaml", ".html", ".js", ".css", ".in", ".lock",
    ".typ", ".tpl", ".json", ".txt", ".lua", ".xml", ".sh", "",
}  # fmt: skip
DRAWERS = {"common", "utils", "util", "helpers", "helper", "shared", "core", "base", "misc"}


def files() -> Iterator[Path]:
    waiting = [ROOT]
    while waiting:
        for path in waiting.pop().iterdir():
            if path.name in LEFT_OUT or path.name.endswith(("_cache", ".egg-info")):
                continue
            if path.is_dir():
                waiting.append(path)
            elif path.suffix in TEXTS and path.stat().st_size < 1_000_000:
                yield path


def is_drawer(path: Path) -> bool:
    """Whether a file or folder has a name under which everything fits."""
    return any(part.removesuffix(".py") in DRAWERS for part in path.parts)


def test_there_is_no_drawer():
    """In `utils.py` the second, wrong way to compare a PIN was found after a year."""
    inside = ("libs", "services", "cli", "tests", "proto", "deploy")
    found = [
        path.relative_to(ROOT)
        for place in inside
        for path in (ROOT / place).rglob("*")
        if not LEFT_OUT & set(path.parts[len(ROOT.parts) :]) and is_drawer(path.relative_to(ROOT))
    ]
    assert found == []


@pytest.mark.parametrize("name", ["libs/x/utils.py", "services/common/a.py", "tests/base/b.py"])
def test_a_planted_drawer_is_found(name: str):
    assert is_drawer(Path(name))


# In parts, so that this file does not refer to them either.
OUTSIDE = re.compile(r"(?<!\w)\.\./sha" + r"red\b|(?<![\w.])/wo" + r"rk/")
TICKET = re.compile(r"(?<![\w&/#])#\d{1,5}\b(?![\w-])")
TICKETS_ARE_WORDS = {".py", ".md", ".toml", ".proto"}


def references(path: Path, text: str) -> list[str]:
    """What points out of the project: a workplace's folders, tickets nobody else can open."""
    found = [match.group() for match in OUTSIDE.finditer(text)]
    if path.suffix in TICKETS_ARE_WORDS:
        # The form in which a TODO has to be written is described with an example.
        found += [match.group() for match in TICKET.finditer(text.replace("TODO(#123)", ""))]
    return found


def test_nothing_points_out_of_the_project():
    """A comment named a folder on somebody's machine for its reason: the reason was lost."""
    found = {
        str(path.relative_to(ROOT)): what
        for path in files()
        if (what := references(path, path.read_text(errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text", ["see ../sha" + "red/DESIGN.md", "in /wo" + "rk/main", "fixes #" + "12", "(#" + "7)"]
)
def test_a_planted_reference_is_found(text: str):
    assert references(Path("x.md"), text)


@pytest.mark.parametrize("text", ["colour: #333333", "homework/x", "[a](#1-what)", "x#12", "&#39;"])
def test_what_looks_like_a_reference_is_none(text: str):
    assert references(Path("x.md"), text) == []


def lock_faults(text: str) -> list[str]:
    """Requirements without a hash, and addresses: a lock must hold whatever mirror serves it."""
    blocks = re.split(r"\n(?=\S)", "\n".join(re.sub(r"\\\n", " ", text).split("\n")))
    required = [block for block in blocks if re.match(r"[A-Za-z0-9]", block)]
    faults = [
        block.split()[0]
        for block in required
        if "==" not in block.split()[0] or "--hash=sha256:" not in block
    ]
    return faults + re.findall(r"https?:\S*", text) + re.findall(r"--\S*index\S*|-f \S+", text)


@pytest.mark.parametrize("lock", ["run.lock", "dev.lock"])
def test_a_lock_has_hashes_and_no_addresses(lock: str):
    """A package was exchanged on a mirror; without hashes, the next set-up took it."""
    text = (ROOT / "requirements" / lock).read_text()
    assert text.count("==") > 10
    assert lock_faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "a==1.0\n    # via b\n",
        "a>=1 \\\n    --hash=sha256:00\n",
        "a==1 \\\n    --hash=sha256:00\nb==2\n",
        "--index-url http://x\na==1 \\\n    --hash=sha256:00\n",
        "a @ https://x/a.whl \\\n    --hash=sha256:00\n",
    ],
)
def test_a_planted_fault_of_a_lock_is_found(text: str):
    assert lock_faults(text)


PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages() -> set[str]:
    places = [*(ROOT / "libs").iterdir(), *(ROOT / "services").iterdir(), ROOT / "cli"]
    return {
        f"voicefile.{package.name}"
        for place in places
        for package in (place / "src" / "voicefile").glob("*")
        if package.is_dir() and package.name != "__pycache__"
    }


def test_the_type_check_reads_every_package():
    """Of a namespace it read the first portion, and `Success` was said over 14 files of 150."""
    assert set(PYPROJECT["tool"]["mypy"]["packages"]) == packages()


def test_the_import_rules_know_every_package():
    """A new service was in no contract, so it could import any other."""
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == packages()


def test_the_namespace_has_no_init():
    """One `voicefile/__init__.py` hides the packages of all other folders."""
    assert list(ROOT.glob("*/*/src/voicefile/__init__.py")) == []


LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of a page that lead nowhere."""
    targets = [target for target in LINK.findall(FENCE.sub("", text)) if ":" not in target]
    return [
        target
        for target in targets
        if (where := target.partition("#")[0]) and not (page.parent / where).exists()
    ]


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("services/*/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path):
    """The runbook for a lost key pointed to a page that had been renamed."""
    assert broken_links(page, page.read_text()) == []


def test_a_planted_broken_link_is_found():
    text = "[a](nowhere.md) [b](http://x) [c](#d) [e](test_tree.py#f)\n```\n[g](h)\n```"
    assert broken_links(Path(__file__), text) == ["nowhere.md"]


TARGET = re.compile(r"`make ([a-z-]+)[^`]*`|^(?:    |\$ )?make ([a-z-]+)", re.MULTILINE)


def unknown_targets(text: str, makefile: str) -> set[str]:
    """Targets that a page names and the Makefile does not have."""
    named = {first or second for first, second in TARGET.findall(text)}
    return named - set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_target_a_page_names_exists(page: Path):
    """The first thing a newcomer typed was `make start`, and it was not there."""
    assert unknown_targets(page.read_text(), (ROOT / "Makefile").read_text()) == set()


def test_the_readme_names_how_to_run_and_how_to_test():
    readme = (ROOT / "README.md").read_text()
    assert {"run", "test"} <= {first or second for first, second in TARGET.findall(readme)}


def test_a_planted_target_is_found():
    assert unknown_targets("say `make start` or\n\nmake go\n", "run: x\n") == {"start", "go"}


def test_every_target_of_the_makefile_says_what_it_is_for():
    """`make help` is the only page that everybody reads."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):(.*)$", makefile, re.MULTILINE)
    assert [name for name, rest in targets if "## " not in rest] == []
