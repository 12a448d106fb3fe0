"""Logs: one JSON object a line, on standard error, holding only what is allowed by name and shape.

What other libraries log passes from WARNING up, whatever they or their variables ask for, and
without its arguments: the name of the logger, the place in its source, and the message if it
stands there letter by letter. Exceptions leave their types and places, never their words. A line
that can't be written is lost and counted: what people ask for goes on.
"""

import ast
import logging
import re
import sys
import threading
from collections import Counter
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from voicefile.chassis.log_fields import Shape, allowed_fields, is_event, plain
from voicefile.chassis.metrics import log_lines_lost, log_values_dropped, shown
from voicefile.chassis.stack import place_in_source, where_it_broke

UNNAMED: Final = "unnamed"
"""Stands where an event's name had something formatted into it."""
_KEPT_ALWAYS: Final = frozenset({"event", "level"})
_MESSAGE_CHARS_MAX: Final = 200
_FOREIGN: Final = "foreign_log"
_OURS: Final = "voicefile."
# A record may come from anywhere and call anything its place.
_SOURCE: Final = re.compile(r"(?:[\w.-]*/)*(?![^/]*\d{4})[A-Za-z_][\w-]*\.pyx?", re.ASCII)


class Literal(str):
    """A text that stands in the source of a library, so it holds no value."""

    __slots__ = ()


def _is_literal(value: object) -> bool:
    return isinstance(value, Literal)


class AllowList:
    """A structlog processor: drops what is not allowed, and counts it by name."""

    def __init__(self, fields: dict[str, Shape] | None = None) -> None:
        self._fields = {
            **(allowed_fields() if fields is None else fields),
            "message": _is_literal,
        }
        self.dropped: Counter[str] = Counter()
        """How many values were dropped; names that are no field at all count together."""

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        kept: EventDict = {}
        dropped = 0
        for name, given in line.items():
            value = plain(given)
            if name in _KEPT_ALWAYS or (name in self._fields and self._fields[name](value)):
                kept[name] = value
            elif value is not None:
                dropped += 1
                self._count(name if name in self._fields else UNNAMED)
        if not is_event(kept.get("event")):
            kept["event"] = UNNAMED
            dropped += 1
            self._count("event")
        if dropped:
            kept["dropped"] = dropped
        return kept

    def _count(self, name: str) -> None:
        self.dropped[name] += 1
        log_values_dropped().labels(name).inc()


class _Lines:
    """The end of the log: what can't be written is no error of whoever had something to say."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        try:
            self._out.write(text)
        except (OSError, ValueError):
            log_lines_lost().inc()

    def flush(self) -> None:
        try:
            self._out.flush()
        except (OSError, ValueError):
            log_lines_lost().inc()


def configure(
    service: str, *, stream: TextIO | None = None, console: bool | None = None
) -> AllowList:
    """Sends every log of this process through the allow-list, which it answers for its counts.

    `console`: lines for people instead of JSON; by default when the stream is a terminal.
    """
    out = sys.stderr if stream is None else stream
    for_people = out.isatty() if console is None else console
    allow_list = AllowList()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _exception_as_place,
            allow_list,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _stamp_service(service),
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
            if for_people
            else structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Lines(out))),
        cache_logger_on_first_use=False,
    )
    _route_stdlib()
    _route_hooks()
    shown(log_values_dropped, log_lines_lost)
    return allow_list


def _exception_as_place(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line.update(where_it_broke(error))
    return line


def _stamp_service(service: str) -> structlog.typing.Processor:
    def stamp(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        line["service"] = service
        return line

    return stamp


class _ForeignHandler(logging.Handler):
    """Takes records of the standard library's logging into ours, without their arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.startswith(_OURS)
        if record.levelno < logging.WARNING and not ours:
            # Its own level was turned down, by a variable perhaps: it would quote every document.
            return
        fields: dict[str, Any] = {}
        if _SOURCE.fullmatch(record.pathname):
            fields["frames"] = place_in_source(record.pathname, record.lineno)
        if record.exc_info and record.exc_info[1] is not None:
            fields = {**where_it_broke(record.exc_info[1])}
        event = _FOREIGN
        if ours and is_event(record.msg):
            # Our libraries below the chassis speak through logging, too, by the same habits.
            event = record.msg
            fields |= {name: record.__dict__[name] for name in _own_fields(record)}
        fields["message"] = _literal(record) if event is _FOREIGN else None
        log = structlog.get_logger()
        log.log(_level(record.levelno), event, logger=record.name, **fields)


def _level(number: int) -> int:
    """The named level at or below; libraries make up numbers between them."""
    return max(logging.INFO, min(logging.CRITICAL, number // 10 * 10))


def _own_fields(record: logging.LogRecord) -> set[str]:
    return set(record.__dict__) & set(allowed_fields()) - {"message"}


def _literal(record: logging.LogRecord) -> Literal | None:
    """The message if it stands in the source as it is: then no value was formatted into it."""
    message = record.msg
    if not isinstance(message, str) or len(message) > _MESSAGE_CHARS_MAX:
        return None
    return Literal(message.strip()) if message in _literals(record.pathname) else None


@lru_cache(maxsize=64)
def _literals(path: str) -> frozenset[str]:
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    return frozenset(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _route_stdlib() -> None:
    root = logging.getLogger()
    root.handlers[:] = [_ForeignHandler()]
    root.setLevel(logging.WARNING)
    # The default way of showing a warning prints its text; pydantic's quote the value.
    logging.captureWarnings(True)
    # A handler that fails would print the record, arguments and all.
    logging.raiseExceptions = False
    for name in list(root.manager.loggerDict):
        _quiet(logging.getLogger(name))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "httpx", "httpcore"):
        logger = logging.getLogger(name)
        _quiet(logger)
        logger.setLevel(logging.WARNING)
    logging.getLogger(_OURS.rstrip(".")).setLevel(logging.INFO)


def _quiet(logger: logging.Logger) -> None:
    """Takes away what a library, or whoever started it, gave it to write with."""
    logger.handlers[:] = []
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def _route_hooks() -> None:
    """What nobody caught is logged like anything else, not printed with its words."""

    def uncaught(
        _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
    ) -> None:
        structlog.get_logger().critical("uncaught", **where_it_broke(error))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            structlog.get_logger().critical("uncaught", **where_it_broke(args.exc_value))

    def unraisable(args: Any) -> None:
        if args.exc_value is not None:
            structlog.get_logger().error("unraisable", **where_it_broke(args.exc_value))

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable
