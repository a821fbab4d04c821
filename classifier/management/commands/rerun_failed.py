"""`manage.py rerun_failed`: what failed for a reason that is gone, run again."""

import datetime as dt
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from classifier.failures import failed_groups
from classifier.models import Classification
from classifier.services.reruns import rerun_failed
from classifier.task_registry import TASK_TITLES

BATCH = 200


def moment(text: str) -> dt.datetime:
    """A date, or a date with a time, in the time zone of the settings unless it names one."""
    try:
        found = parse_datetime(text)
        day = None if found else parse_date(text)
    except ValueError:
        found = day = None
    if day is not None:
        found = dt.datetime.combine(day, dt.time())
    if found is None:
        raise ArgumentTypeError(f"{text} is no date: write 2026-11-30 or 2026-11-30T08:00")
    return found if timezone.is_aware(found) else timezone.make_aware(found)


class Command(BaseCommand):
    """Does in the name of the system what administrators do on the page Failed."""

    help = "Run failed classifications again, by the code of what they failed for."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Without --reason it lists what there is."""
        parser.add_argument("--reason", metavar="CODE", default="", help="such as file_missing")
        parser.add_argument("--task", default="", help="only this task, such as chest-xray")
        parser.add_argument("--since", type=moment, help="only what failed from then on")
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *_: Any, **options: Any) -> None:
        """Count, then run again in batches until none is left that was there at the start."""
        reason, task, since = options["reason"], options["task"], options["since"]
        if task and task not in TASK_TITLES:
            raise CommandError(f"There is no task {task}. Tasks are {', '.join(TASK_TITLES)}.")
        found = Classification.objects.failed(code=reason, task=task, since=since)
        for group in failed_groups(found):
            self.stdout.write(f"{group.code} {group.task or '-'} {group.count}")
        total = found.count()
        if not reason or options["dry_run"]:
            self.stdout.write(f"{total} failed; none was run again.")
            return
        done = 0
        while done < total:
            limit = min(BATCH, total - done)
            count = rerun_failed(actor=None, code=reason, task=task, since=since, limit=limit)
            if not count:
                break
            done += count
        self.stdout.write(f"{done} of {total} failed are queued again.")
