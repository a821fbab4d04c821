"""What Prometheus is told of classifications: how they end, why, and how long they take.

No label holds an id or a name: their values are few, and all of them ours.
"""

from django.db import transaction
from prometheus_client import Counter, Histogram

from classifier.choices import Abstention, ClassificationState
from classifier.errors import TimeLimitExceeded, UnexpectedFailure
from classifier.models import CLASSIFICATION_TASKS, Classification

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

ENDED = Counter(
    "medimaging_classifications",
    "Classifications that ended, by task, state and outcome.",
    ("task", "state", "outcome"),
)
FAILURES = Counter(
    "medimaging_classification_failures",
    "Classifications that failed for good, by task and the code of the reason.",
    ("task", "code"),
)
ABSTENTIONS = Counter(
    "medimaging_classification_abstentions",
    "Classifications that gave no answer, by task and the code of the reason.",
    ("task", "code"),
)
ATTEMPTS = Counter(
    "medimaging_classification_attempts",
    "Runs of a worker on a classification, by task and how they ended: with an answer, a failure, "
    "another try after something unexpected, or a wait for what is no fault of the study.",
    ("task", "end"),
)
WAITED = Histogram(
    "medimaging_classification_wait_seconds",
    "Seconds from queueing to the start of the run that ended the classification.",
    ("task", "priority"),
    buckets=SECONDS,
)
RAN = Histogram(
    "medimaging_classification_run_seconds",
    "Seconds from the start of the run to its end.",
    ("task",),
    buckets=SECONDS,
)
STEPS = Histogram(
    "medimaging_classification_step_seconds",
    "Seconds of a run by step: reading the images, and the network itself.",
    ("task", "step"),
    buckets=SECONDS,
)
STEP_NAMES = ("decode", "predict")
ANSWERED_STATES = (ClassificationState.AWAITING_REVIEW, ClassificationState.ABSTAINED)


def begin_counting() -> None:
    """Show a nought for what is going to be watched: an increase is counted from what was shown."""
    for task, _ in CLASSIFICATION_TASKS:
        ENDED.labels(task, ClassificationState.FAILED, "none")
        for failure in (UnexpectedFailure, TimeLimitExceeded):
            FAILURES.labels(task, failure.code)
        ABSTENTIONS.labels(task, Abstention.NO_IMAGE)
        for end in ("answered", "failed", "requeued", "postponed"):
            ATTEMPTS.labels(task, end)


def count_end(row: Classification) -> None:
    """Count an ended classification once the transaction in hand has been committed."""
    transaction.on_commit(lambda: _count_end(row), robust=True)


def count_try(row: Classification, *, end: str) -> None:
    """Count a run that ended without an end of the row: `requeued` or `postponed`."""
    transaction.on_commit(lambda: ATTEMPTS.labels(_task_of(row), end).inc(), robust=True)


def _count_end(row: Classification) -> None:
    # Its times were set by the database.
    row.refresh_from_db(fields=["queued_at", "started_at", "finished_at"])
    task = _task_of(row)
    ENDED.labels(task, row.state, row.outcome or "none").inc()
    if row.state == ClassificationState.FAILED:
        FAILURES.labels(task, row.failure_code).inc()
    if row.state == ClassificationState.ABSTAINED:
        ABSTENTIONS.labels(task, row.abstention).inc()
    if row.started_at is None:
        return
    ATTEMPTS.labels(task, "answered" if row.state in ANSWERED_STATES else "failed").inc()
    WAITED.labels(task, row.priority).observe((row.started_at - row.queued_at).total_seconds())
    if row.finished_at is not None:
        RAN.labels(task).observe((row.finished_at - row.started_at).total_seconds())
    for step in STEP_NAMES:
        if (seconds := row.timings.get(f"{step}_seconds")) is not None:
            STEPS.labels(task, step).observe(seconds)


def _task_of(row: Classification) -> str:
    return row.task or "none"
