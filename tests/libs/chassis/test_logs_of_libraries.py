"""What libraries would say of what they handle: addresses with passwords, documents, bodies, ids.

Whatever makes them speak, by whichever way Python has for speaking, no word of it gets out.
"""

import asyncio
import gc
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from concurrent.futures import Future
from pathlib import Path

import botocore.session
import pytest
import structlog
import urllib3
import uvloop
from prometheus_client import REGISTRY

from voicefile.chassis.logs import configure

# In parts, because what stands in a source letter by letter counts as no value.
URI = "mongodb://auth:" + "h0chgeheim" + "@10.1.2.3/?authSource=admin"
DOCUMENT = "{'_id': 'a1', 'customer': '" + "Erika Mustermann" + "'}"
PIN = "8475" + "1023"
SENTENCE = f"to {URI}: {DOCUMENT} {PIN}"
CANARIES = ("h0chgeheim", "Erika Mustermann", PIN)
LIBRARIES = (
    "motor",
    "pymongo",
    "pymongo.command",
    "pymongo.connection",
    "pymongo.serverSelection",
    "aiokafka",
    "aiokafka.conn",
    "aiokafka.consumer.group_coordinator",
    "aiobotocore",
    "botocore",
    "botocore.endpoint",
    "botocore.auth",
    "botocore.hooks",
    "aiohttp.client",
    "urllib3",
    "urllib3.connectionpool",
    "requests",
    "opentelemetry",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "httpx",
    "httpcore",
    "uvicorn.error",
    "asyncio",
    "concurrent.futures",
    "py.warnings",
    "pkcs11",
)
LEVELS = (1, logging.DEBUG, logging.INFO, logging.WARNING, 35, logging.ERROR, logging.CRITICAL, 99)


def fail() -> None:
    held = {"pin": PIN}
    raise ConnectionError(URI, held)


def chained() -> None:
    try:
        fail()
    except ConnectionError as error:
        error.add_note(DOCUMENT)
        raise ValueError(DOCUMENT) from error


def with_exception(logger: logging.Logger, level: int) -> None:
    try:
        chained()
    except ValueError:
        logger.log(level, SENTENCE, exc_info=True)


WAYS = {
    "arguments": lambda logger, level: logger.log(level, "to %s: %s", URI, DOCUMENT),
    "a mapping": lambda logger, level: logger.log(level, "%(uri)s", {"uri": URI}),
    "formatted": lambda logger, level: logger.log(level, SENTENCE),
    "the value alone": lambda logger, level: logger.log(level, URI),
    "an object": lambda logger, level: logger.log(level, {"document": DOCUMENT}),
    "an exception": with_exception,
    "an exception as message": lambda logger, level: logger.log(level, ValueError(URI)),
    "the stack": lambda logger, level: logger.log(level, PIN, stack_info=True),
    "extra": lambda logger, level: logger.log(level, "x", extra={"customer": DOCUMENT, "n": PIN}),
    "extra under an allowed name": lambda logger, level: logger.log(
        level, "x", extra={"topic": URI, "request": PIN, "status": DOCUMENT}
    ),
    "a record of its own": lambda logger, level: logger.handle(
        logging.LogRecord(logger.name, level, URI, 1, DOCUMENT, (PIN,), None, URI, DOCUMENT)
    ),
}


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def configured(out, capfd):
    """As a process has it; nothing may reach the terminal beside the log either."""
    root = logging.getLogger()
    before = {
        logger: (logger.handlers[:], logger.level, logger.propagate)
        for logger in (root, *map(logging.getLogger, LIBRARIES))
    }
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    raising = logging.raiseExceptions
    with warnings.catch_warnings():
        configure("ingest", stream=out)
        yield
        logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.raiseExceptions = raising
    for logger, (handlers, level, propagate) in before.items():
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
    structlog.reset_defaults()
    said = capfd.readouterr()
    assert [word for word in CANARIES if word in said.out + said.err] == []


@pytest.fixture
def lines(configured, out):
    def read():
        text = out.getvalue()
        assert [word for word in CANARIES if word in text] == []
        return [json.loads(line) for line in text.splitlines()]

    return read


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_says_that_it_spoke_and_not_what(lines, name, way):
    logger = logging.getLogger(name)
    for level in LEVELS:
        way(logger, level)
    found = lines()
    assert [line["level"] for line in found] == [
        "warning",
        "warning",
        "error",
        "critical",
        "critical",
    ]
    for line in found:
        assert line["event"] == "foreign_log"
        assert line["logger"] == name
        assert line.keys() <= {
            *("event", "level", "logger", "service", "time", "dropped"),
            *("frames", "error_type", "message"),
        }


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_level_that_was_turned_down_changes_nothing(lines, name):
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    for way in WAYS.values():
        way(logger, logging.DEBUG)
        way(logger, logging.INFO)
    assert lines() == []


def untouched(logger):
    """As a library's logger is before anybody gave it something to write with."""
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def test_what_a_library_was_given_to_write_with_is_taken_away(out, capfd, request):
    for logger in map(logging.getLogger, ("botocore", "urllib3", "pymongo")):
        logger.propagate = False
        request.addfinalizer(lambda logger=logger: untouched(logger))
    botocore.session.Session().set_debug_logger("botocore")
    urllib3.add_stderr_logger()
    request.getfixturevalue("configured")
    for name in ("botocore", "botocore.endpoint", "urllib3", "pymongo"):
        logging.getLogger(name).debug("to %s: %s", URI, DOCUMENT)
        logging.getLogger(name).error("to %s: %s", URI, DOCUMENT)
    found = request.getfixturevalue("lines")()
    assert [line["logger"] for line in found] == [
        "botocore",
        "botocore.endpoint",
        "urllib3",
        "pymongo",
    ]
    # The fixture looks at the terminal.


def test_a_handler_that_fails_does_not_print_what_it_was_given(configured, request):
    class Broken(logging.StreamHandler):
        def emit(self, record):
            try:
                fail()
            except ConnectionError:
                self.handleError(record)

    logger = logging.getLogger("pymongo.command")
    broken = Broken()
    logger.addHandler(broken)
    request.addfinalizer(lambda: logger.removeHandler(broken))
    logger.error("to %s: %s", URI, DOCUMENT)


LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@LOOPS
def test_a_slow_callback_says_no_argument(lines, run):
    async def work(_uri: str) -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.001
        until_s = loop.time() + 0.02
        while loop.time() < until_s:
            pass

    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)
        await asyncio.create_task(work(URI), name=DOCUMENT)

    run(main())
    assert any(line.get("logger") == "asyncio" for line in lines())


@LOOPS
def test_what_nobody_retrieved_says_no_word(lines, run):
    async def main() -> None:
        async def broken() -> None:
            fail()

        task = asyncio.create_task(broken(), name=DOCUMENT)
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError(DOCUMENT))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task, future
        gc.collect()

    run(main())
    kinds = [line["error_type"] for line in lines() if line.get("logger") == "asyncio"]
    assert sorted(kinds) == ["ConnectionError", "ValueError"]


@LOOPS
def test_a_callback_that_breaks_says_no_word(lines, run):
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda _uri: fail(), URI)
        await asyncio.sleep(0.01)

    run(main())
    assert any(line.get("error_type") == "ConnectionError" for line in lines())


@LOOPS
def test_a_task_that_was_forgotten_says_no_word(lines, run):
    async def main() -> None:
        async def waiting(_uri: str) -> None:
            await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(waiting(URI), name=DOCUMENT)
        await asyncio.sleep(0)
        del task
        gc.collect()

    run(main())
    assert any(line.get("logger") == "asyncio" for line in lines())


def test_a_coroutine_nobody_awaited_and_a_warning_say_no_word(lines):
    warnings.simplefilter("always")

    async def work(uri: str) -> None:
        del uri

    work(URI)
    gc.collect()
    warnings.warn(f"cannot reach {URI}", ResourceWarning, stacklevel=1)
    warnings.warn_explicit(DOCUMENT, UserWarning, URI, 7)
    assert {line["logger"] for line in lines()} == {"py.warnings"}


def test_a_callback_of_a_thread_pool_says_no_word(lines):
    future: Future[None] = Future()
    future.add_done_callback(lambda _done: fail())
    future.set_result(None)
    assert lines()[0]["error_type"] == "ConnectionError"


# A process of its own: what ends it can't be tried in here.

DYING = f"""
import faulthandler, logging, os, sys, threading
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.libs.chassis.test_logs_of_libraries import URI, DOCUMENT, fail, chained
from voicefile.chassis.logs import configure
configure("ingest")
def end(uri, document):
    HOW
end(URI, DOCUMENT)
"""


@pytest.mark.parametrize(
    ("how", "shows"),
    [
        ("os.abort()", "Fatal Python error: Aborted"),
        ("os.kill(os.getpid(), 11)", "Fatal Python error: Segmentation fault"),
        ("faulthandler.dump_traceback(all_threads=True)", "most recent call first"),
        ("chained()", '"event": "uncaught"'),
        ("t = threading.Thread(target=chained, name=uri); t.start(); t.join()", '"uncaught"'),
        ("import atexit; atexit.register(fail)", '"event": "unraisable"'),
        (
            "import asyncio; asyncio.run(asyncio.wait_for(asyncio.to_thread(chained), 9))",
            "uncaught",
        ),
    ],
)
def test_a_process_that_dies_says_where_and_no_word(how, shows):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-X", "dev", "-c", DYING.replace("HOW", how)],
        env={"PATH": "/usr/bin:/bin", "SOME_URI": URI},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert shows in said
    assert [word for word in CANARIES if word in said] == []


def test_the_control_without_our_logging_the_words_get_out():
    plain = DYING.replace('configure("ingest")', "").replace("HOW", "chained()")
    done = subprocess.run(
        [sys.executable, "-c", plain], capture_output=True, text=True, check=False, timeout=60
    )
    assert all(word in done.stderr for word in CANARIES)


# The end of the log.


class Full(io.StringIO):
    """A disk without room."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Closed(io.StringIO):
    """A reader that has gone, found out when the line is flushed."""

    def flush(self) -> None:
        raise BrokenPipeError


def lost() -> float:
    return REGISTRY.get_sample_value("voicefile_log_lines_lost_total") or 0.0


@pytest.mark.parametrize("stream", [Full, Closed])
def test_a_line_that_cannot_be_written_is_lost_and_counted_and_nobodys_error(configured, stream):
    configure("ingest", stream=stream())
    before = lost()
    structlog.get_logger().info("recording_stored")
    logging.getLogger("pymongo").error("to %s", URI)
    assert lost() - before == 2


def test_what_is_dropped_is_counted_by_name(lines):
    def dropped(field: str) -> float:
        found = REGISTRY.get_sample_value("voicefile_log_values_dropped_total", {"field": field})
        return found or 0.0

    before = dropped("unnamed"), dropped("request"), dropped("event")
    structlog.get_logger().info(f"stored {URI}", customer=DOCUMENT, request=PIN)
    lines()
    after = dropped("unnamed"), dropped("request"), dropped("event")
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]


def test_the_canaries_are_what_the_ways_would_show():
    """The control: an ordinary handler shows them all."""
    shown = io.StringIO()
    logger = logging.getLogger("control")
    logger.propagate = False
    handler = logging.StreamHandler(shown)
    handler.setFormatter(logging.Formatter("%(message)s %(pathname)s %(args)s"))
    logger.addHandler(handler)
    for way in WAYS.values():
        way(logger, logging.ERROR)
    assert all(word in shown.getvalue() for word in CANARIES)
