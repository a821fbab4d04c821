"""What failed and what waits, counted by reason and task: no patient is in it."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Min

from classifier.models.classifications import name_task
from classifier.models.waits import WAITING_SENTENCE, WAITING_SENTENCES
from classifier.querysets import ClassificationQuerySet


@dataclass(frozen=True)
class Group:
    """So many rows with one reason and one task; `sentence` is what staff read of such a row.

    `since` and `until` are the first and the last moment at which one failed, or was queued.
    """

    code: str
    task: str
    sentence: str
    count: int
    since: dt.datetime
    until: dt.datetime

    @property
    def task_title(self) -> str:
        """The task in words."""
        return name_task(self.task) or "No task"


def failed_groups(failed: ClassificationQuerySet) -> list[Group]:
    """Rows that failed, by reason and task, the most first."""
    found = failed.order_by().values("failure_code", "task")
    rows = found.annotate(
        n=Count("pk"),
        since=Min("finished_at"),
        until=Max("finished_at"),
        sentence=Max("failure_message"),
    )
    return [_group(row, row["failure_code"], row["sentence"]) for row in _most_first(rows)]


def waiting_groups(waiting: ClassificationQuerySet) -> list[Group]:
    """Rows that wait for no fault of their studies', by what is in the way, the most first."""
    found = waiting.order_by().values("waiting_code", "task")
    rows = found.annotate(n=Count("pk"), since=Min("queued_at"), until=Max("queued_at"))
    return [
        _group(
            row,
            row["waiting_code"],
            WAITING_SENTENCES.get(row["waiting_code"], WAITING_SENTENCE),
        )
        for row in _most_first(rows)
    ]


def _most_first(rows: Any) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -row["n"])


def _group(row: dict[str, Any], code: str, sentence: str) -> Group:
    return Group(code, row["task"], sentence, row["n"], row["since"], row["until"])
