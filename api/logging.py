"""Structured logs on standard error: one JSON object a line, or readable lines on a terminal."""

import logging
import os
import sys
from contextvars import ContextVar

import structlog

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being answered."""


def _request(_: object, __: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """Every line says which request it belongs to."""
    if (id := request_id.get()) is not None:
        line["request_id"] = id
    return line


def configure(default: str = "INFO") -> None:
    """Set up logging of this process; LOG_LEVEL sets what is worth a line."""
    wanted = os.environ.get("LOG_LEVEL", default).upper()
    level = logging.getLevelNamesMapping().get(wanted, logging.INFO)
    shared: list[structlog.types.Processor] = [
        _request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    pretty = sys.stderr.isatty()
    last: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    )
    exceptions = [] if pretty else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *exceptions, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=last)
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
