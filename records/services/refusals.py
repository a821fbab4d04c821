"""Refused files of one request: the first ones told one by one, the rest counted together.

A refusal is a row and an event that nobody can delete. Whoever sends thousands of bad files gets
the verdict on each in the answer, but doesn't fill the trail with them.
"""

from collections import Counter

from django.conf import settings
from django.db import transaction

from accounts.audit import record_event
from accounts.models import Action, Outcome, User
from records.errors import HARMLESS_CODES, FileRejected
from records.models import Submission, SubmissionFile, Verdict
from records.services.verdicts import MESSAGE_LENGTH, Sent, make_refusal, record_refusal

MORE_REFUSED = "more_refused"
WRITTEN_AT_ONCE = 500
"""So many counted refusals are lost at most when the server dies."""


class Refusals:
    """What is refused of one request; `told` refusals of its submission have rows already."""

    def __init__(self, actor: User | None, submission: Submission, *, told: int) -> None:
        self._actor = actor
        self._submission = submission
        self._told = told
        self._waiting: Counter[str] = Counter()
        self.counting_row: SubmissionFile | None = None

    def record(self, sent: Sent, refusal: FileRejected) -> SubmissionFile:
        """Return the verdict on a file: written with its event, or only counted."""
        if self._told < settings.INTAKE_REFUSALS_TOLD:
            self._told += 1
            return record_refusal(
                actor=self._actor, submission=self._submission, sent=sent, refusal=refusal
            )
        self._waiting[refusal.code] += 1
        if self._waiting.total() >= WRITTEN_AT_ONCE:
            self.write()
        return make_refusal(submission=self._submission, sent=sent, refusal=refusal)

    def write(self) -> None:
        """Write down how many were counted."""
        if self._waiting:
            counted, self._waiting = self._waiting, Counter()
            self.counting_row = _add_to_row(self._submission, counted)


def record_counted(*, actor: User | None, submission: Submission) -> int:
    """Record the one event on what was only counted in a batch that closes.

    Returns how many of those files the batch lacks. The caller holds the submission's lock.
    """
    row = submission.files.filter(code=MORE_REFUSED).first()
    if row is None:
        return 0
    record_event(
        action=Action.FILE_REJECTED,
        actor=actor,
        target=row,
        department_id=submission.department_id,
        outcome=Outcome.MINOR_FAILURE,
        details={
            "submission": str(submission.pk),
            "code": row.code,
            "files": row.count,
            "codes": row.counted,
        },
    )
    return sum(count for code, count in row.counted.items() if code not in HARMLESS_CODES)


@transaction.atomic
def _add_to_row(submission: Submission, counted: Counter[str]) -> SubmissionFile:
    Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
    row = submission.files.filter(code=MORE_REFUSED).first()
    if row is None:
        row = SubmissionFile(submission=submission, verdict=Verdict.REJECTED, code=MORE_REFUSED)
    row.counted = dict(Counter(row.counted) + counted)
    row.count = sum(row.counted.values())
    row.name = f"({row.count} more files)"
    codes = ", ".join(f"{count} {code}" for code, count in sorted(row.counted.items()))
    row.message = f"{row.count} more files were refused: {codes}."[:MESSAGE_LENGTH]
    row.action = "The answer to their sender had the reason for each."
    row.save()
    return row
