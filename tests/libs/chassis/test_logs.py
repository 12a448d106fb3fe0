"""Nothing gets into a log line but what is allowed by name and by shape."""

import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from enum import Enum

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.chassis.log_fields import allowed_fields, is_code, is_id, is_route
from voicefile.chassis.logs import AllowList, configure

# In parts, because what stands in a source letter by letter counts as no value.
PIN = "8475" + "1023"
ACCESS_ID = "6120 3345" + " 9917"
NAME = "Erika" + " Mustermann"
IBAN = "DE893704" + "00440532013000"
PHONE = "+4989" + "123456"
TOKEN = "vs_" + "4ZrK9dQp2xYt7Lw1Bn5Vc8Hm3Js6Gf0Ra"
SECRETS = (PIN, ACCESS_ID, NAME, IBAN, PHONE, TOKEN)
RECORDING = "0f" * 16


class State(Enum):
    PLAYABLE = "playable"


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def allow_list(out: io.StringIO) -> Iterator[AllowList]:
    """The process's logging, as a service has it, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    raising = logging.raiseExceptions
    with warnings.catch_warnings():
        yield configure("auth", stream=out)
        logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.raiseExceptions = raising
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines(allow_list: AllowList, out: io.StringIO):
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def log() -> structlog.stdlib.BoundLogger:
    return structlog.get_logger()


def test_a_line_holds_what_is_allowed(lines):
    log().info("recording_stored", recording=RECORDING, bytes=4711, state=State.PLAYABLE)
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "recording_stored",
        "level": "info",
        "service": "auth",
        "recording": RECORDING,
        "bytes": 4711,
        "state": "playable",
    }


def test_a_name_that_is_not_allowed_is_dropped_and_counted(lines, allow_list: AllowList):
    log().info("customer_found", customer=NAME, phone=PHONE, pin=PIN, recording=RECORDING)
    (line,) = lines()
    assert set(line) == {"event", "level", "service", "time", "recording", "dropped"}
    assert line["dropped"] == 3
    assert allow_list.dropped.total() == 3


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", sorted(allowed_fields()))
def test_a_secret_under_an_allowed_name_is_dropped(lines, out, name: str, secret: str):
    log().info("something_happened", **{name: secret})
    assert secret not in out.getvalue()
    # `level` is set by the logger itself.
    assert name == "level" or name not in lines()[0]


@pytest.mark.parametrize("name", ["message", "service", "time", "level", "dropped"])
def test_a_name_of_ours_cannot_be_filled_by_others(lines, out, name: str):
    log().info("something_happened", **{name: IBAN})
    assert IBAN not in out.getvalue()


@pytest.mark.parametrize(
    "event", [f"stored {RECORDING}", f"pin_{PIN}", NAME, "Stored", "a" * 65, "", "two words"]
)
def test_an_event_with_something_formatted_into_it_loses_its_name(lines, out, event: str):
    log().info(event)
    (line,) = lines()
    assert (line["event"], line["dropped"]) == ("unnamed", 1)
    assert event == "" or event not in out.getvalue()


def test_what_is_bound_is_checked_too(lines, out):
    with structlog.contextvars.bound_contextvars(customer=NAME, request=RECORDING):
        log().bind(phone=PHONE).info("asked")
    (line,) = lines()
    assert (line["request"], line["dropped"]) == (RECORDING, 2)
    assert NAME not in out.getvalue()
    assert PHONE not in out.getvalue()


def raise_with(secret: str) -> None:
    held = {"pin": secret}
    raise ValueError(secret, held)


def raise_from_another(inner: str, outer: str) -> None:
    try:
        raise_with(inner)
    except ValueError as error:
        raise LookupError(outer) from error


def test_an_exception_leaves_its_place_and_not_its_words(lines, out):
    try:
        raise_from_another(PIN, IBAN)
    except LookupError:
        log().exception("lookup_failed")
    (line,) = lines()
    assert line["error_type"] == "LookupError < ValueError"
    assert "test_logs.py:" in line["frames"]
    assert not any(secret in out.getvalue() for secret in SECRETS)


def test_an_exception_group_is_told_by_its_types(lines, out):
    several = ExceptionGroup(IBAN, [ValueError(PIN), KeyError(NAME)])
    log().error("tasks_failed", exc_info=several)
    assert lines()[0]["error_type"] == "ExceptionGroup(ValueError, KeyError)"
    assert not any(secret in out.getvalue() for secret in SECRETS)


def test_a_foreign_logger_speaks_from_warning_up(lines):
    foreign = logging.getLogger("some.library")
    foreign.info("connected")
    foreign.debug("connected")
    logging.getLogger("httpx").info("HTTP Request: %s", "https://vault.test/?pin=1")
    logging.getLogger("uvicorn.access").info("%s", "/x?pin=1")
    assert lines() == []


def test_a_foreign_message_is_kept_as_it_stands_in_the_source(lines, out):
    logging.getLogger("some.library").warning("slow %s after %d", IBAN, int(PIN))
    (line,) = lines()
    assert line["message"] == "slow %s after %d"
    assert (line["event"], line["logger"]) == ("foreign_log", "some.library")
    assert line["frames"].startswith("chassis/test_logs.py:")
    assert not any(secret in out.getvalue() for secret in SECRETS)


def test_a_library_of_ours_speaks_by_events_and_fields(lines, out):
    ours = logging.getLogger("voicefile.eventbus.lane")
    ours.info("lane_started", extra={"topic": "voicefile.auth.v1", "phone": PHONE, "count": PIN})
    (line,) = lines()
    assert (line["event"], line["level"], line["topic"], line["logger"]) == (
        "lane_started",
        "info",
        "voicefile.auth.v1",
        "voicefile.eventbus.lane",
    )
    assert not any(secret in out.getvalue() for secret in SECRETS)


@pytest.mark.parametrize(
    "speak",
    [
        lambda foreign: foreign.error(f"cannot reach {IBAN}"),
        lambda foreign: foreign.error(IBAN),
        lambda foreign: foreign.error("cannot reach " + NAME + " %s", PIN),
        lambda foreign: foreign.error({"iban": IBAN}),
        lambda foreign: foreign.error(ValueError(IBAN)),
        lambda foreign: foreign.error("x", extra={"customer": NAME}),
        lambda foreign: foreign.error("x", stack_info=True),
    ],
)
def test_a_foreign_message_that_was_formatted_is_left_out(lines, out, speak):
    speak(logging.getLogger("some.library"))
    (line,) = lines()
    assert line["level"] == "error"
    assert not any(secret in out.getvalue() for secret in SECRETS)


def test_a_foreign_exception_leaves_its_place(lines, out):
    try:
        raise_with(IBAN)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    (line,) = lines()
    assert (line["error_type"], line["logger"]) == ("ValueError", "uvicorn.error")
    assert IBAN not in out.getvalue()


def test_a_warning_does_not_show_its_value(lines, out):
    warnings.simplefilter("always")
    warnings.warn(f"unexpected value {IBAN}", stacklevel=1)
    assert lines()[0]["logger"] == "py.warnings"
    assert IBAN not in out.getvalue()


def test_a_slow_callback_does_not_show_its_arguments(lines, out):
    async def work(secret: str) -> None:
        deadline = asyncio.get_running_loop().time() + 0.02
        while asyncio.get_running_loop().time() < deadline:
            pass

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.001
        await asyncio.ensure_future(work(IBAN))
        asyncio.get_running_loop().call_soon(lambda _secret: sum(range(300_000)), IBAN)
        await asyncio.sleep(0.01)

    asyncio.run(main(), debug=True)
    slow = [line for line in lines() if line.get("logger") == "asyncio"]
    assert any(line.get("message") == "Executing %s took %.3f seconds" for line in slow)
    assert IBAN not in out.getvalue()


def test_a_task_nobody_awaited_does_not_show_its_words(lines, out):
    async def main() -> None:
        async def fail() -> None:
            raise_with(IBAN)

        task = asyncio.ensure_future(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    asyncio.run(main())
    assert any("ValueError" in line.get("error_type", "") for line in lines())
    assert IBAN not in out.getvalue()


def test_what_nobody_caught_does_not_show_its_words(lines, out):
    try:
        raise_with(IBAN)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    class Bad:
        def __del__(self) -> None:
            raise_with(PIN)

    thread = threading.Thread(target=raise_with, args=(NAME,))
    thread.start()
    thread.join()
    Bad()
    assert [line["event"] for line in lines()] == ["uncaught", "uncaught", "unraisable"]
    assert not any(secret in out.getvalue() for secret in SECRETS)


def test_the_lines_for_people_are_as_strict(allow_list, out):
    structlog.reset_defaults()
    configure("auth", stream=out, console=True)
    log().info("customer_found", customer=NAME, recording=RECORDING)
    assert RECORDING in out.getvalue()
    assert NAME not in out.getvalue()
    assert "\x1b" not in out.getvalue()


@given(digits=st.text("0123456789", min_size=4, max_size=31), before=st.text(max_size=3))
@settings(deadline=None)
def test_digits_of_a_person_have_no_shape_that_fits(digits: str, before: str):
    for value in (digits, before + digits, "+" + digits, f"tel:{digits}"):
        assert not is_id(value)
        assert not is_code(value)
    assert not is_route(digits)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.integers(), max_size=8))
@settings(deadline=None)
def test_whatever_comes_only_allowed_names_leave(line: dict):
    allowed = set(allowed_fields()) | {"event", "level", "time", "service", "message", "dropped"}
    assert set(AllowList()(None, "info", dict(line))) <= allowed
