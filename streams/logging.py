"""Logging: structlog for us, and the standard library's loggers of Faust and aiokafka through it.

Of what goes on running, key-value text on a terminal and one JSON object a line elsewhere; of a
command that ends, warnings in plain sentences. Always on stderr: stdout belongs to what a command
was asked for. Mail addresses are masked on the way out, wherever they came from; a
customer id stays, or no log line could be followed.

structlog is imported when something is logged first: with rich's tracebacks it is a seventh of what
most commands take to start, and most have nothing to log.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO

from streams.runtime.log_lines import BoundedLines

if TYPE_CHECKING:
    from structlog.typing import Processor

_ADDRESS = re.compile(r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-])[^\s@<>\"',;:()]*@([A-Za-z0-9.-]+)")

# They report every rebalance, fetch and heartbeat at INFO; what an operator needs of that, our own
# modules say in the product's words.
QUIETENED = ("faust", "mode", "aiokafka", "kafka", "aiohttp", "asyncio", "mail.log", "venusian")


SILENCED = ("mode.timers",)
"""They warn that one of Faust's own timers took longer than its interval, which is so on any slow
machine and which nobody can mend; what is late of ours the metrics of lag tell."""


def mask_address(text: str) -> str:
    """Return `text` with `m***@example.it` in place of each mail address."""
    return _ADDRESS.sub(r"\1***@\2", text) if "@" in text else text


def _masked(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return mask_address(value)
    if depth < 4 and isinstance(value, Mapping):
        return {name: _masked(inner, depth + 1) for name, inner in value.items()}
    if depth < 4 and isinstance(value, list | tuple | set | frozenset):
        return [_masked(inner, depth + 1) for inner in value]
    if isinstance(value, BaseException):
        return mask_address(repr(value))
    return value


def mask_addresses(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: no mail address leaves the process through a log."""
    for name, value in event.items():
        if name != "exc_info" and not name.startswith("_"):
            event[name] = _masked(value)
    return event


_Shape = Literal["json", "text", "plain"]


def _plain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """A structlog processor: return a line for a person."""
    for name in ("timestamp", "logger"):
        event.pop(name, None)
    level, said = event.pop("level", ""), event.pop("event", "")
    trace = event.pop("exception", "")
    fields = ", ".join(f"{name}={value}" for name, value in event.items())
    line = f"{level}: {said}{f' ({fields})' if fields else ''}"
    return f"{line}\n{trace}" if trace else line


class Logger:
    """The logger of a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        """`info`, `warning` and whatever else a logger of structlog has."""
        import structlog  # noqa: PLC0415  # see above

        if _LazyLogger.is_configured_later:
            _configure_structlog()
        return getattr(structlog.get_logger(self._name), method)


class _LazyLogger:
    is_configured_later = False
    """Whether structlog, once it is imported, is to be told where its lines go."""


def get_logger(name: str) -> Logger:
    """Return the logger of a module, by its name."""
    return Logger(name)


def configure_logging(
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    style: Literal["auto", "json", "text", "plain"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (stderr). Safe to call again.

    `plain`: `warning: what is wrong (file=…)`, without the time and the place in the code, for who
    waits for a command to end.
    """
    out = sys.stderr if stream is None else stream
    as_json = style == "json" or (style == "auto" and not out.isatty())
    if "structlog" in sys.modules:
        _configure_structlog()
    else:
        _LazyLogger.is_configured_later = True
    handler = logging.StreamHandler(out)
    shape: _Shape = "json" if as_json else "plain" if style == "plain" else "text"
    handler.setFormatter(_Formatter(shape, colours=out.isatty()))
    if level != "debug":
        handler.addFilter(_no_service_banner)
        handler.addFilter(BoundedLines(handler))
    root = logging.getLogger()
    for bounded in (each for old in root.handlers for each in old.filters):
        if isinstance(bounded, BoundedLines):
            bounded.stop()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    threading.excepthook = _thread_failed
    for name in QUIETENED:
        quiet = logging.getLogger(name)
        quiet.handlers.clear()
        quiet.propagate = True
        quiet.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    for name in SILENCED:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else logging.ERROR)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A line instead of a traceback past the log."""
    error = failure.exc_value
    logging.getLogger(__name__).error(
        "a thread has broken down: %s",
        failure.thread.name if failure.thread else "?",
        exc_info=(failure.exc_type, error, failure.exc_traceback) if error is not None else None,
    )


class _Formatter(logging.Formatter):
    """structlog's, made when the first line is written."""

    def __init__(self, shape: _Shape, *, colours: bool) -> None:
        super().__init__()
        self._shape = shape
        self._colours = colours
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        if self._made is None:
            from structlog import stdlib  # noqa: PLC0415  # see above

            self._made = stdlib.ProcessorFormatter(
                foreign_pre_chain=[*_shared(), stdlib.PositionalArgumentsFormatter()],
                processors=[
                    stdlib.ProcessorFormatter.remove_processors_meta,
                    *_rendering(self._shape, colours=self._colours),
                ],
            )
        return self._made.format(record)


def _configure_structlog() -> None:
    import structlog  # noqa: PLC0415  # see above

    _LazyLogger.is_configured_later = False
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Tests configure again; a cached logger would keep writing to the stream before.
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    import structlog  # noqa: PLC0415  # see above

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _no_service_banner(record: logging.LogRecord) -> bool:
    """Drop `[^-Consumer]: Starting...`, which mode logs for our transports under their names."""
    return record.levelno > logging.INFO or not str(record.msg).startswith("[^")


def _rendering(shape: _Shape, *, colours: bool) -> list[Processor]:
    import structlog  # noqa: PLC0415  # see above

    if shape == "plain":
        return [structlog.processors.format_exc_info, mask_addresses, _plain]
    if shape == "text":
        return [
            structlog.processors.format_exc_info,
            mask_addresses,
            structlog.dev.ConsoleRenderer(colors=colours),
        ]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        mask_addresses,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]
