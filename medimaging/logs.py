"""Log lines with the request's id, as text for people or JSON for machines.

No line says what a caller sent. Of a request it names method and route, with the ids that are
ours; whatever else looks like a query, a link or a secret is cut from messages and tracebacks.
"""

import json
import logging
import logging.config
import re
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPMethod, HTTPStatus
from typing import Any
from uuid import UUID

request_id: ContextVar[str] = ContextVar("request_id", default="-")

FACTS = "medimaging.facts"
"""Where the web server's own log finds what was asked: it would write the address as it came."""

UNKNOWN_ROUTE = "-"
"""Of an address that is none of ours, and of files that need no view."""

DICOM_UID = re.compile(r"[0-2](\.\d+){2,}")
PLACE_IN_ROUTE = re.compile(r"<(?:\w+:)?(\w+)>")
METHODS = frozenset(HTTPMethod)
CUT = "…"

SECRETS = tuple(
    (re.compile(pattern, re.MULTILINE), put)
    for pattern, put in (
        # A query, and the part of an address that only browsers know.
        (r"\?[^\s?]\S*", f"?{CUT}"),
        (r"(/password/set/)\S+", rf"\1{CUT}"),
        (r"#\S{16,}", f"#{CUT}"),
        (r"(\w+://[^\s:/@]*):[^\s@]+@", rf"\1:{CUT}@"),
        (r"(?i)\b(token|bearer|basic|negotiate)[ ]+\S{8,}", rf"\1 {CUT}"),
        (r"\bmi_[\w-]+", f"mi_{CUT}"),
        (
            r"(?i)((?:sessionid|csrf\w*token|password\w*|secret\w*|link)['\"]?\s*[=:]\s*)"
            r"(?:'[^']*'|\"[^\"]*\"|[^\s;,&]+)",
            rf"\1{CUT}",
        ),
        # The web server tells what it couldn't understand, and where it failed.
        (r"(Invalid request from ip=\S+): .*", rf"\1: {CUT}"),
        (r"(Error handling request) .*", rf"\1 {CUT}"),
        # PostgreSQL quotes the row and the value that it refuses.
        (r"^\s*(DETAIL|CONTEXT|LINE \d+):.*(\n\s*\^)?", rf"\1: {CUT}"),
        (r"(?i)((?:invalid|malformed|out of range)[^\n\"]*)\"[^\n]*", rf"\1{CUT}"),
        (r"value \"[^\n]*", f"value {CUT}"),
    )
)


@dataclass(frozen=True)
class Facts:
    """What is known of a request when it has been answered.

    `asked` is method and route with our ids filled in, `route` the bare route. `user` and `token`
    are ids, never names; `code` is that of the problem that the answer tells, if any.
    """

    method: str = "-"
    asked: str = "- -"
    route: str = UNKNOWN_ROUTE
    user: str = ""
    token: str = ""
    code: str = ""
    request_id: str = "-"


def without_secrets(text: str) -> str:
    """Cut what may be a query, a link, a secret or a value from `text`."""
    for pattern, put in SECRETS:
        text = pattern.sub(put, text)
    return text


def told(**fields: Any) -> dict[str, Any]:
    """What a logger takes as `extra`, to have `fields` beside the message where it is JSON."""
    return {"fields": {name: value for name, value in fields.items() if value not in ("", None)}}


def method_of(request: Any) -> str:
    """The request's method; `-` where it is none that HTTP knows."""
    return request.method if request.method in METHODS else "-"


def asked(request: Any) -> str:
    """Say which method and route a request names, with ids and with nothing that was typed."""
    match = getattr(request, "resolver_match", None)
    method = method_of(request)
    if match is None:
        return f"{method} -"

    def known(place: re.Match[str]) -> str:
        value = match.kwargs.get(place[1])
        is_id = isinstance(value, UUID) or DICOM_UID.fullmatch(str(value))
        return str(value) if is_id else CUT

    return f"{method} /{PLACE_IN_ROUTE.sub(known, match.route)}"


def message_of(record: logging.LogRecord) -> str:
    """The record's message; of a record about a request, what was asked and what came of it."""
    request, status = getattr(record, "request", None), getattr(record, "status_code", None)
    if status is None or not hasattr(request, "META"):
        return without_secrets(record.getMessage())
    kind = record.name.rpartition(".")[2]
    if kind == "csrf":
        # The rest of the reason quotes the header Referer or Origin.
        reason = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        kind = f"CSRF: {str(reason).partition(' - ')[0]}"
    why = "" if kind == "request" else f" ({kind})"
    return f"{HTTPStatus(status).phrase}{why}: {asked(request)}"


def traceback_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The record's traceback; none where a request was refused, whose errors quote it."""
    status = getattr(record, "status_code", None)
    is_refusal = status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR
    if not record.exc_info or is_refusal:
        return ""
    return without_secrets(formatter.formatException(record.exc_info))


class RequestIdFilter(logging.Filter):
    """Put the id of the request in hand on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class LineFormatter(logging.Formatter):
    """One readable line: time, level, logger, request id, message; a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        start = f"{self.formatTime(record)} {record.levelname:7} {record.name}"
        line = f"{start} [{getattr(record, 'request_id', '-')}] {message_of(record)}"
        trace = traceback_of(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": message_of(record),
            **getattr(record, "fields", {}),
        }
        if trace := traceback_of(self, record):
            event["exception"] = trace
        return json.dumps(event, ensure_ascii=False)


def log_settings(*, log_format: str, level: str, loggers: dict[str, Any]) -> dict[str, Any]:
    """Everything to standard output, in one format: what `logging.config.dictConfig` takes.

    Warnings of libraries go the same way, instead of past it.
    """
    logging.captureWarnings(capture=True)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "medimaging.logs.RequestIdFilter"}},
        "formatters": {
            "line": {"()": "medimaging.logs.LineFormatter"},
            "json": {"()": "medimaging.logs.JsonFormatter"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "filters": ["request_id"],
                "formatter": log_format,
            }
        },
        "root": {"handlers": ["console"], "level": level},
        "loggers": loggers,
    }
