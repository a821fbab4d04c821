"""What every table and every place on the disk is held by, so that nothing grows unnoticed.

A test holds this list against the tables and directories that there are, and fills what is swept
with a year of rows. docs/operators.md tells the rates of what grows by design.
"""

import datetime as dt
from dataclasses import dataclass

from accounts.services import attempts, kept_answers, mailing, notices, searches, sessions
from classifier.services import drafts


@dataclass(frozen=True, slots=True)
class Swept:
    """Rows go by themselves: none whose `field` is older than `kept` outlives a round of sweeps."""

    field: str
    kept: dt.timedelta
    by: str


@dataclass(frozen=True, slots=True)
class Counted:
    """As many rows as there are things of a kind that don't grow with use."""

    by: str


@dataclass(frozen=True, slots=True)
class Grows:
    """Grows by design: `why` it is kept. What it grows with is in docs/operators.md."""

    why: str


Bound = Swept | Counted | Grows

A_MINUTE = dt.timedelta(minutes=1)
AN_HOUR = dt.timedelta(hours=1)
RECORD = "the clinical record, for as long as its study"
RECEIVED = "what was told to whoever sent a file, for as long as it may be asked about"
DECIDED = "who decided what, and why"
PEOPLE = "people and what they may do; accounts are deactivated, never removed"

TABLES: dict[str, Bound] = {
    "accounts.AccountMail": Swept("created_at", mailing.GIVEN_UP_AFTER, "send_waiting_mails"),
    "accounts.AccountNotice": Swept("seen_at", notices.KEPT_SEEN, "forget_notices"),
    "accounts.ApiToken": Counted("tokens that people were issued"),
    "accounts.Attempts": Swept("since", attempts.KEPT, "sweep_attempts"),
    "accounts.AuditEvent": Grows("the audit trail: nothing is ever removed from it"),
    "accounts.Department": Counted("departments"),
    "accounts.KeptAnswer": Swept("created_at", kept_answers.KEPT_FOR, "forget_answers"),
    "accounts.Membership": Counted("people and departments"),
    "accounts.PasswordLink": Grows("by whose word an account was opened: a row for each link"),
    "accounts.ReadTally": Swept("minute", A_MINUTE, "tell_tallies"),
    "accounts.RecentSearch": Swept("created_at", searches.LIFETIME, "sweep_searches"),
    "accounts.RefusalTally": Swept("until", AN_HOUR, "flush_refusals"),
    "accounts.RoleProposal": Grows(DECIDED),
    "accounts.User": Counted(PEOPLE),
    "accounts.UserSession": Swept("ended_at", sessions.KEPT_ENDED, "expire_sessions"),
    "accounts.User_groups": Counted("unused"),
    "accounts.User_user_permissions": Counted("unused"),
    "auth.Group": Counted("unused"),
    "auth.Group_permissions": Counted("unused"),
    "auth.Permission": Counted("models of the release"),
    "classifier.Classification": Grows(RECORD),
    "classifier.Deployment": Grows("which model answered when"),
    "classifier.Explanation": Grows(RECORD),
    "classifier.InstanceScore": Grows(RECORD),
    "classifier.ModelVersion": Counted("models that were registered"),
    "classifier.Review": Grows(RECORD),
    "classifier.ReviewDraft": Swept("updated_at", drafts.KEPT, "purge_drafts"),
    "classifier.SourceValidation": Grows("who answers for which model on which source of images"),
    "contenttypes.ContentType": Counted("models of the release"),
    "records.ConflictDecision": Grows(DECIDED),
    "records.DepartmentRule": Counted("rules that administrators made"),
    "records.DicomNode": Counted("devices"),
    "records.Export": Grows("what left de-identified, for whom; its file goes"),
    "records.ExportHold": Grows("what a person looked at before it left"),
    "records.ExportHoldSight": Grows("what a person looked at before it left"),
    "records.Export_studies": Grows("what left de-identified"),
    "records.IdentityConflict": Grows(DECIDED),
    "records.Instance": Grows(RECORD),
    "records.InstanceDescription": Grows("goes with its study's files"),
    "records.LegalHold": Grows(DECIDED),
    "records.Patient": Grows(RECORD),
    "records.QuarantinedFile": Grows("a file that contradicts another, until a person decides"),
    "records.Series": Grows(RECORD),
    "records.StoreIdentity": Counted("one row"),
    "records.Study": Grows(RECORD),
    "records.StudyTombstone": Grows("what was destroyed, and by which rule"),
    "records.Submission": Grows(RECEIVED),
    "records.SubmissionFile": Grows(RECEIVED),
    "records.UnreferencedFile": Swept("due_at", dt.timedelta(0), "remove_unreferenced"),
    "records.Upload": Swept("expires_at", dt.timedelta(0), "sweep_uploads"),
    "records.Upload_files": Counted("uploads, with which they go"),
    "sessions.Session": Swept("expire_date", dt.timedelta(0), "expire_sessions"),
}
"""By the label of the model."""

PLACES: dict[str, Bound] = {
    "beat-schedule": Counted("periodic tasks"),
    "bundles": Counted("models in use, and those that were"),
    "demo-accounts.txt": Counted("roles"),
    "files/exports": Swept("ready_at", dt.timedelta(days=30), "expire_exports"),
    "images/damaged": Grows("copies that were found damaged, for somebody to look at"),
    "images/epochs": Counted("one name"),
    "images/incoming": Swept("mtime", AN_HOUR, "sweep_submissions"),
    "images/partial": Swept("mtime", AN_HOUR, "sweep_submissions"),
    "images/store-id.txt": Counted("one line"),
    "images": Grows(RECORD),
    "log": Counted("four files of 10 MB"),
    "pgdata": Grows("the database"),
    "redis": Counted("128 MB at most, and nothing on the disk"),
    "restore-unfinished.json": Counted("one line, until a restore is through"),
    "run": Counted("sockets and locks"),
    "samples-submitted": Counted("an empty file, once the samples were"),
    "secret-key": Counted("one key"),
    "static": Counted("files of the release"),
}
"""By the path in the data directory, the longest that fits first."""


def bound_of_place(path: str) -> Bound | None:
    """What holds a path in the data directory; None for one that nobody declared."""
    fitting = [known for known in PLACES if path == known or path.startswith(f"{known}/")]
    if not fitting and path.startswith("beat-schedule"):
        return PLACES["beat-schedule"]  # what keeps it may add a suffix
    return PLACES[max(fitting, key=len)] if fitting else None
