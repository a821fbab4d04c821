"""The audit trail as CSV, for auditors who read it in a spreadsheet."""

import csv
import json
from collections.abc import Iterable, Iterator

from accounts.models import AuditEvent

COLUMNS = (
    "occurred_at",
    "event_id",
    "action",
    "outcome",
    "sentence",
    "actor_kind",
    "actor_name",
    "actor_id",
    "token_id",
    "session_id",
    "responsible_name",
    "responsible_id",
    "source_address",
    "user_agent",
    "request_id",
    "view",
    "target_type",
    "target_id",
    "study_id",
    "patient_id",
    "department_id",
    "details",
    "database_user",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK = "\ufeff"
"""Without it, spreadsheets take UTF-8 for the local code page and garble names."""


class _Line:
    """What csv.writer writes to: hands each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def csv_lines(events: Iterable[AuditEvent]) -> Iterator[str]:
    """Yield the header and one line per event, so that an export of any size can stream."""
    writer = csv.writer(_Line())
    yield BYTE_ORDER_MARK + writer.writerow(COLUMNS)
    for event in events:
        yield writer.writerow([_cell(event, column) for column in COLUMNS])


def _cell(event: AuditEvent, column: str) -> str:
    if column == "details":
        return _harmless(json.dumps(event.details, ensure_ascii=False) if event.details else "")
    if column == "occurred_at":
        return event.occurred_at.isoformat()
    if column == "outcome":
        return event.get_outcome_display()
    value = getattr(event, column)
    return "" if value is None else _harmless(str(value))


def _harmless(text: str) -> str:
    """Keep a spreadsheet from running text as a formula (a user name may be `=cmd…`)."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
