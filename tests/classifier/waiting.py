"""Rows that wait, and the time until they are tried again."""

import datetime as dt

from django.utils import timezone

from classifier.models import Classification


def let_time_pass(row_id: object) -> None:
    """Have a row that waits be due."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Classification.objects.filter(pk=row_id).update(due_at=past)
