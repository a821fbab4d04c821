"""What Prometheus is told of what comes in: files by verdict, and what DICOM nodes ask for.

No label holds an id, a name or an address: their values are few, and all of them ours.
"""

from django.db import transaction
from prometheus_client import Counter
from pynetdicom import evt

from records.choices import Origin, Verdict
from records.models.submissions import SubmissionFile

INTAKE_FILES = Counter(
    "medimaging_intake_files",
    "Files that were sent, by door, verdict and the verdict's code.",
    ("door", "verdict", "code"),
)
DIMSE_OPERATIONS = Counter(
    "medimaging_dimse_operations",
    "Operations that DICOM nodes asked for, by kind and the final status that they were told.",
    ("operation", "status"),
)
DIMSE_ASSOCIATIONS = Counter(
    "medimaging_dimse_associations",
    "DICOM associations that nodes asked for, by what became of them.",
    ("outcome",),
)
OUTCOMES = {
    "EVT_ACCEPTED": "accepted",
    "EVT_REJECTED": "rejected",
    "EVT_ABORTED": "aborted",
    "EVT_RELEASED": "released",
}
"""What is counted of an association, by the name of pynetdicom's event."""

ANSWER = "_RSP"
PENDING = (0xFF00, 0xFF01)


def begin_counting() -> None:
    """Show a nought for what is going to be watched: an increase is counted from what was shown."""
    for door in Origin.values:
        INTAKE_FILES.labels(door, Verdict.STORED, "stored")
    for operation in ("C_ECHO", "C_FIND", "C_GET", "C_MOVE", "C_STORE"):
        DIMSE_OPERATIONS.labels(operation, "0x0000")
    for outcome in OUTCOMES.values():
        DIMSE_ASSOCIATIONS.labels(outcome)


def count_verdict(file: SubmissionFile) -> None:
    """Count a verdict once the transaction in hand has been committed."""
    door, verdict, code = file.submission.origin, file.verdict, file.code
    transaction.on_commit(lambda: INTAKE_FILES.labels(door, verdict, code).inc(), robust=True)


def count_answer(event: evt.Event) -> None:
    """Count an operation when its last answer leaves."""
    kind = type(event.message).__name__
    status = event.message.command_set.get("Status")
    if kind.endswith(ANSWER) and status is not None and status not in PENDING:
        DIMSE_OPERATIONS.labels(kind.removesuffix(ANSWER), f"0x{status:04X}").inc()


def count_association(event: evt.Event) -> None:
    """Count an association when it is let in, refused, or ends."""
    DIMSE_ASSOCIATIONS.labels(OUTCOMES[event.event.name]).inc()


def count_refused_association() -> None:
    """Count one that we refuse ourselves, of which pynetdicom tells nobody."""
    DIMSE_ASSOCIATIONS.labels("rejected").inc()
