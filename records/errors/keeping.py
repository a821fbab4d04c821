"""What stands against deleting, restoring, holding and releasing studies."""

from accounts.errors import KnownError


class ReasonMissing(KnownError):
    """What takes something away, or forbids it, says why."""

    code = "reason_missing"
    message = "A reason is needed."
    action = "State it in a few words, without the patient's name; it stays in the audit trail."
    pointer = "/reason"


class ReasonTooLong(KnownError):
    """Reasons are read in lists."""

    code = "reason_too_long"
    message = "The reason has {length} characters; {maximum} fit."
    action = "Shorten it."
    pointer = "/reason"


class StudyGone(KnownError):
    """Somebody deleted the study meanwhile; it is as if it weren't there."""

    code = "study_gone"
    message = "There is no such study."
    action = "Load the list again."
    status = 404


class StudyHeld(KnownError):
    """A legal hold stands against deletion and destruction."""

    code = "study_held"
    message = "This study is under a legal hold and can't be deleted."
    action = "Ask your administrator, who can say why and lift the hold."
    status = 409


class StudyNotDeleted(KnownError):
    """Nothing to restore: never deleted, restored by somebody else, or destroyed."""

    code = "study_not_deleted"
    message = "This study is not among the deleted ones any more."
    action = "Reload the list. A study whose retention has ended can't be brought back."
    status = 409


class NoSuchStudy(KnownError):
    """No study has this UID or accession number."""

    code = "no_such_study"
    message = "No study is held under “{given}”."
    action = "Check the Study Instance UID or the accession number."
    status = 404


class HoldLifted(KnownError):
    """Somebody lifted it already."""

    code = "hold_lifted"
    message = "This legal hold was lifted already."
    action = "Reload the list."
    status = 409
