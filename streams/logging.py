"""Logging: structlog for us, and the standard library's loggers of Faust and aiokafka through it.

Key-value text on a terminal, one JSON object a line elsewhere, always on stderr: stdout belongs to
what a command was asked for. Mail addresses are masked on the way out, wherever they came from; a
customer id stays, or no log line could be followed.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

_ADDRESS = re.compile(r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-])[^\s@<>\"',;:()]*@([A-Za-z0-9.-]+)")

# They report every rebalance, fetch and heartbeat at INFO; what an operator needs of that, our own
# modules say in the product's words.
QUIETENED = ("faust", "mode", "aiokafka", "kafka", "aiohttp", "asyncio", "mail.log", "venusian")


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


def configure_logging(
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    style: Literal["auto", "json", "text"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (stderr). Safe to call again."""
    out = sys.stderr if stream is None else stream
    as_json = style == "json" or (style == "auto" and not out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Tests configure again; a cached logger would keep writing to the stream before.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(as_json, colours=out.isatty()),
            ],
        )
    )
    if level != "debug":
        handler.addFilter(_no_service_banner)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIETENED:
        quiet = logging.getLogger(name)
        quiet.handlers.clear()
        quiet.propagate = True
        quiet.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _no_service_banner(record: logging.LogRecord) -> bool:
    """Drop `[^-Consumer]: Starting...`, which mode logs for our transports under their names."""
    return record.levelno > logging.INFO or not str(record.msg).startswith("[^")


def _rendering(as_json: bool, *, colours: bool) -> list[structlog.typing.Processor]:
    if not as_json:
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
