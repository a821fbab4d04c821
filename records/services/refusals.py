"""Refused files of one request: the first ones told one by one, the rest counted together.

A refusal is a row and an event that nobody can delete. Whoever sends thousands of bad files gets
the verdict on each in the answer, but doesn't fill the trail with them.
"""

from collections import Counter

from django.conf import settings
from django.db import transaction

from accounts.audit import record_event
from accounts.choices import Outcome
from accounts.models import User
from records.choices import Action, Verdict
from records.errors import HARMLESS_CODES, LEFT_OUT_CODES, FileRejected
from records.metrics import count_verdict
from records.models import Submission, SubmissionFile
from records.services.verdicts import MESSAGE_LENGTH, Sent, make_refusal, record_refusal

MORE_REFUSED, MORE_LEFT_OUT = "more_refused", "more_left_out"
COUNTING = (MORE_REFUSED, MORE_LEFT_OUT)
WRITTEN_AT_ONCE = 500
"""So many counted refusals are lost at most when the server dies."""


class Refusals:
    """What is refused of one request; `told` refusals of its submission have rows already."""

    def __init__(self, actor: User | None, submission: Submission, *, told: int) -> None:
        self._actor = actor
        self._submission = submission
        self._told = told
        self._waiting: Counter[str] = Counter()
        self.counting_rows: list[SubmissionFile] = []

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
        row = make_refusal(submission=self._submission, sent=sent, refusal=refusal)
        count_verdict(row)
        return row

    def write(self) -> None:
        """Write down how many were counted."""
        if self._waiting:
            counted, self._waiting = self._waiting, Counter()
            self.counting_rows = _add_to_rows(self._submission, counted)


def record_counted(*, actor: User | None, submission: Submission) -> int:
    """Record the one event on what was only counted in a batch that closes, of each kind.

    Returns how many of those files the batch lacks. The caller holds the submission's lock.
    """
    lacking = 0
    for row in submission.files.filter(code__in=COUNTING):
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
        lacking += sum(count for code, count in row.counted.items() if code not in HARMLESS_CODES)
    return lacking


@transaction.atomic
def _add_to_rows(submission: Submission, counted: Counter[str]) -> list[SubmissionFile]:
    Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
    left_out = Counter({code: n for code, n in counted.items() if code in LEFT_OUT_CODES})
    shares = {MORE_REFUSED: counted - left_out, MORE_LEFT_OUT: left_out}
    return [_add_to_row(submission, code, share) for code, share in shares.items() if share]


def _add_to_row(submission: Submission, code: str, counted: Counter[str]) -> SubmissionFile:
    verdict = Verdict.LEFT_OUT if code == MORE_LEFT_OUT else Verdict.REJECTED
    row = submission.files.filter(code=code).first()
    if row is None:
        row = SubmissionFile(submission=submission, verdict=verdict, code=code)
    row.counted = dict(Counter(row.counted) + counted)
    row.count = sum(row.counted.values())
    row.name = f"({row.count} more files)"
    codes = ", ".join(f"{count} {code}" for code, count in sorted(row.counted.items()))
    became = "left out" if verdict == Verdict.LEFT_OUT else "refused"
    row.message = f"{row.count} more files were {became}: {codes}."[:MESSAGE_LENGTH]
    row.action = "The answer to their sender had the reason for each."
    row.save()
    return row
