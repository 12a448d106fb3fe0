"""The house rules, as checks over the syntax of every module. Each docstring names the accident
that its rule prevents, and each rule is shown a planted offence that it must find."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from voicefile.chassis.log_fields import allowed_fields

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "libs" / "contracts" / "src"
LINES_MAX, FUNCTION_LINES_MAX = 400, 40


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    path: Path
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def lines(self) -> list[str]:
        return self.source.splitlines()

    @property
    def package(self) -> str:
        """The package under voicefile: crypto, ingest, …"""
        parts = self.path.parts
        return parts[parts.index("voicefile") + 1] if "voicefile" in parts else ""


Finding = tuple[int, str]
Rule = Callable[[Module], Iterator[Finding]]


def name_of(node: ast.AST) -> str:
    """`a.b.c` of such an expression; of a call, what is called."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Each imported module, and each name imported from one, as a dotted name."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def commented(module: Module, line: int) -> bool:
    """Whether a comment stands on the line, above it, or as the first thing below it."""
    around = (line - 1, line, line + 1)
    lines = module.lines
    texts = [lines[each - 1] for each in around if 0 < each <= len(lines)]
    return "#" in texts[1 if line > 1 else 0] or any(
        text.lstrip().startswith("#") for text in texts
    )


def no_spooling(module: Module) -> Iterator[Finding]:
    """An upload over a mebibyte lay in /tmp in plaintext: the framework's form parser put it there.

    A body read as a whole is the same accident in memory, times the number of uploads; where it
    is small by the route's limit, a line `# small: …` above says so.
    """
    banned = (
        "tempfile",
        "fastapi.UploadFile",
        "fastapi.File",
        "starlette.datastructures.UploadFile",
    )
    for line, name in imports(module):
        if name in banned:
            yield line, f"imports {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            called = name_of(node.value)
            small = "# small:" in "\n".join(module.lines[max(0, node.lineno - 3) : node.lineno])
            if called == "request.form" or (called == "request.body" and not small):
                yield node.lineno, f"awaits {called}()"


def one_door_per_library(module: Module) -> Iterator[Finding]:
    """A second import of libsodium sealed with its own idea of a nonce; of the audio decoder, let
    hostile bytes into a process that holds keys."""
    doors = {"nacl": "crypto", "motor": "docstore", "aiokafka": "eventbus", "av": "ingest"}
    for line, name in imports(module):
        door = doors.get(name.split(".")[0])
        if door is not None and module.package != door:
            yield line, f"imports {name}, whose door is {door}"


def one_kind_of_app(module: Module) -> Iterator[Finding]:
    """An app made by hand had no edge: its 422 quoted the customer, its 500 showed a traceback."""
    for call in calls(module):
        if name_of(call).split(".")[-1] == "FastAPI" and module.package != "chassis":
            yield call.lineno, "makes a FastAPI of its own: use new_app"


def streams_that_close(module: Module) -> Iterator[Finding]:
    """A listener hung up, the framework dropped the generator, and how the listening ended was
    never written down. httpx's ASGITransport collects a whole recording in memory."""
    for line, name in imports(module):
        if name.split(".")[-1] in {"StreamingResponse", "ASGITransport"}:
            yield line, f"imports {name}: use StreamedResponse, in_process_client"


EVENT = re.compile(r"[a-z]+(_[a-z]+)*")
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def no_values_in_event_names(module: Module) -> Iterator[Finding]:
    """`log.info(f"stored {recording} for {phone}")`: no filter can see into a sentence."""
    for call in calls(module):
        receiver, _, method = name_of(call).rpartition(".")
        if method not in LOG_METHODS or receiver.split(".")[-1] not in {"log", "logger", "_log"}:
            continue
        event = call.args[0] if call.args else None
        constant = isinstance(event, ast.Constant) and EVENT.fullmatch(str(event.value))
        if len(call.args) != 1 or not constant:
            yield call.lineno, "an event is one name_like_this, everything else a field"


def no_fields_that_get_lost(module: Module) -> Iterator[Finding]:
    """The one number needed on the night of the failure had a name that the allow-list drops."""
    known = {*allowed_fields(), "exc_info", "extra"}
    for call in calls(module):
        receiver, _, method = name_of(call).rpartition(".")
        if method in LOG_METHODS and receiver.split(".")[-1] in {"log", "_log"}:
            lost = {keyword.arg for keyword in call.keywords if keyword.arg} - known
            if lost:
                yield call.lineno, f"the log drops {', '.join(sorted(lost))}"


def no_orphaned_tasks(module: Module) -> Iterator[Finding]:
    """A task nobody held was collected in the middle of a write, and its error went nowhere."""
    spawning = {"asyncio.create_task", "asyncio.ensure_future", "loop.create_task"}
    if module.path.name.endswith("conformance.py"):
        return  # A law is a test: its tasks live as long as its function.
    for call in calls(module):
        called = name_of(call)
        direct = called in spawning or called.endswith("get_running_loop.create_task")
        if direct and "# owned:" not in "\n".join(
            module.lines[max(0, call.lineno - 3) : call.lineno]
        ):
            yield call.lineno, f"{called} without a TaskGroup and without a line `# owned: …`"


def no_silent_catching(module: Module) -> Iterator[Finding]:
    """`except Exception: continue` went on after the audit log had refused an entry."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        wide = node.type is None or name_of(node.type) in {"Exception", "BaseException"}
        raises_on = any(isinstance(each, ast.Raise) for each in ast.walk(node))
        if wide and not raises_on and not commented(module, node.lineno):
            yield node.lineno, "catches everything and does not say why going on is right"


def nothing_made_at_import(module: Module) -> Iterator[Finding]:
    """`settings = Settings()` in a module's first lines read the importer's environment."""
    wide = re.compile(r"(Settings|Client|FastAPI|Service|Store|Bus|new_app|build|connect|open)$")
    for node in module.tree.body:
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and wide.search(name_of(value)):
            yield node.lineno, f"{name_of(value)}() at import"


def a_first_line_for_strangers(module: Module) -> Iterator[Finding]:
    """Somebody new deleted a module, because nothing in it said what it was there for."""
    words = (ast.get_docstring(module.tree) or "").split("\n")[0].split()
    if len(words) < 3 and not (module.path.name == "__init__.py" and not module.source.strip()):
        yield 1, "the first line does not tell the module's place"


def no_long_modules(module: Module) -> Iterator[Finding]:
    """A service of 3,000 lines is read by nobody, so nobody saw the route without a guard."""
    if len(module.lines) > LINES_MAX:
        yield LINES_MAX, f"{len(module.lines)} lines"


def no_long_functions(module: Module) -> Iterator[Finding]:
    """The one early return in a function of 120 lines skipped the deed.

    A function inside another counts for itself; so a router that holds its routes may be long.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = sum(length(each) for each in outermost_functions(node))
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - inside
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {lines} lines"


def length(node: ast.stmt) -> int:
    """Lines with decorators: what an inner function takes of the outer one."""
    decorators = [each.lineno for each in getattr(node, "decorator_list", [])]
    return (node.end_lineno or node.lineno) - min([node.lineno, *decorators]) + 1


def outermost_functions(node: ast.AST) -> Iterator[ast.stmt]:
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each
        else:
            yield from outermost_functions(each)


RULES: dict[Rule, tuple[str, ...]] = {
    no_spooling: (
        "import tempfile",
        "from fastapi import UploadFile",
        "from starlette.datastructures import UploadFile as U",
        "async def f(request):\n    return await request.body()",
        "async def f(request):\n    return await request.form()",
    ),
    one_door_per_library: (
        "import nacl.secret",
        "from motor.motor_asyncio import AsyncIOMotorClient",
        "import aiokafka",
        "def f():\n    import av",
    ),
    one_kind_of_app: ("app = FastAPI()", "import fastapi\napp = fastapi.FastAPI()"),
    streams_that_close: (
        "from starlette.responses import StreamingResponse",
        "from httpx import ASGITransport",
    ),
    no_values_in_event_names: (
        'log.info(f"stored {recording}")',
        'self.log.warning("stored %s" % phone)',
        'logger.error("stored %s", phone)',
        'log.info("stored {}".format(phone))',
        "log.exception(error)",
        'log.info("a sentence in place of a name")',
    ),
    no_fields_that_get_lost: ('log.info("found", phone=phone)', 'log.info("x", n=1, pin=pin)'),
    no_orphaned_tasks: (
        "asyncio.create_task(work())",
        "task = asyncio.ensure_future(work())",
        "asyncio.get_running_loop().create_task(work())",
    ),
    no_silent_catching: (
        "try:\n    work()\nexcept Exception:\n    pass",
        "try:\n    work()\nexcept:\n    go_on()",
        "try:\n    work()\nexcept BaseException as error:\n    log.exception('x')",
    ),
    nothing_made_at_import: ("settings = Settings()", "app: FastAPI = new_app('x')"),
    a_first_line_for_strangers: ("", '"""Things."""', "x = 1"),
    no_long_modules: ("x = 1\n" * (LINES_MAX + 1),),
    no_long_functions: (
        "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX,
        "def f():\n    def g():\n" + "        x = 1\n" * FUNCTION_LINES_MAX,
    ),
}


def sources() -> list[Path]:
    found = [
        path
        for place in ("libs", "services", "cli")
        for path in (ROOT / place).rglob("*.py")
        if GENERATED not in path.parents and "build" not in path.parts
    ]
    assert len(found) > 50, "the checks look in the wrong place"
    return sorted(found)


def findings(rule: Rule, module: Module) -> list[str]:
    return [f"{module.path}:{line}: {what}" for line, what in rule(module)]


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return [Module(path.relative_to(ROOT), path.read_text()) for path in sources()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rule(rule: Rule, modules: list[Module]):
    found = [each for module in modules for each in findings(rule, module)]
    assert not found, "\n".join(found)


PLANTED = [(rule, bad) for rule, sources in RULES.items() for bad in sources]


@pytest.mark.parametrize(("rule", "bad"), PLANTED, ids=lambda each: getattr(each, "__name__", ""))
def test_a_planted_offence_is_found(rule: Rule, bad: str):
    path = Path("services/portal/src/voicefile/portal/planted.py")
    assert findings(rule, Module(path, bad))


GOOD = '''"""Keeps recordings for those who own them."""

import asyncio


async def keep(request, log):
    async with asyncio.TaskGroup() as group:
        group.create_task(work())
    # owned: ends with the response.
    task = asyncio.create_task(work())
    try:
        async for chunk in request.stream():
            log.info("recording_stored", bytes=len(chunk))
    except Exception:
        # The loop's edge: the next one may succeed.
        log.exception("not_kept")
    except BaseException:
        raise
'''


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_good_code_is_left_alone(rule: Rule):
    assert findings(rule, Module(Path("libs/x/src/voicefile/x/good.py"), GOOD)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_tells_its_accident(rule: Rule):
    assert len((rule.__doc__ or "").split()) >= 8
