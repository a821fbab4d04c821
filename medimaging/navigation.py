"""The entries of the rail, from top to bottom: each page of the first rank, and who gets there."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from accounts.roles import Verb


@dataclass(frozen=True, slots=True)
class Entry:
    """A link of the rail, shown to whoever holds its verb.

    `pages` are the names of the addresses that it is marked on beside its own; `*` stands for
    any ending. `count` is the context's name for how many matters wait there, told as `counted`.
    """

    address: str
    word: str
    icon: str
    verb: Verb
    pages: tuple[str, ...] = ()
    count: str = ""
    counted: str = ""

    def is_current(self, name: str) -> bool:
        """Whether the page of that name belongs to this entry."""
        return any(fnmatchcase(name, page) for page in (self.address, *self.pages))


ENTRIES = (
    Entry("classifier:worklist", "Worklist", "list-task", Verb.STUDY_VIEW),
    Entry(
        "records:submit",
        "Submit",
        "cloud-arrow-up",
        Verb.STUDY_SUBMIT,
        pages=("records:submission-detail",),
    ),
    Entry(
        "records:patient-list",
        "Patients",
        "person-vcard",
        Verb.PATIENT_VIEW,
        pages=("records:patient-detail",),
    ),
    Entry(
        "records:study-list",
        "Studies",
        "images",
        Verb.STUDY_VIEW,
        pages=("records:study-detail",),
    ),
    Entry(
        "records:export-list",
        "Copies",
        "download",
        Verb.STUDY_EXPORT,
        pages=("records:export-detail",),
    ),
    Entry(
        "records:conflict-list",
        "Conflicts",
        "question-circle-fill",
        Verb.CONFLICT_RESOLVE,
        pages=("records:conflict-detail",),
        count="open_conflicts",
        counted="open",
    ),
    Entry(
        "records:quarantine-list",
        "Quarantine",
        "slash-circle",
        Verb.QUARANTINE_MANAGE,
        pages=("records:quarantine-discard",),
        count="quarantined",
        counted="files",
    ),
    Entry(
        "classifier:model-list",
        "Models",
        "cpu",
        Verb.MODEL_VIEW,
        pages=("classifier:model-detail", "classifier:failed-list"),
    ),
    Entry("records:storage", "Storage", "layers", Verb.STUDY_HOLD),
    Entry("records:hold-list", "Legal holds", "lock", Verb.STUDY_HOLD, pages=("records:hold-*",)),
    Entry("status", "Status", "record-circle", Verb.STATUS_VIEW),
    Entry("accounts:audit-list", "Audit", "journal-text", Verb.AUDIT_VIEW),
    Entry(
        "accounts:user-list",
        "People",
        "people",
        Verb.ACCOUNT_MANAGE,
        pages=("accounts:user-*", "accounts:role-proposal-list"),
        count="proposals_waiting",
        counted="roles waiting",
    ),
    Entry(
        "accounts:department-list",
        "Departments",
        "building",
        Verb.ACCOUNT_MANAGE,
        pages=(
            "accounts:department-*",
            "records:department-rule-*",
            "records:study-move-by-uid",
        ),
    ),
    Entry("records:node-list", "DICOM nodes", "inbox", Verb.NODE_MANAGE, pages=("records:node-*",)),
    Entry(
        "records:node-waiting-list",
        "Devices",
        "shield-check",
        Verb.NODE_CONFIRM,
        count="nodes_waiting",
        counted="waiting",
    ),
)
