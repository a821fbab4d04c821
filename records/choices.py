"""What the columns of the records app may say: states, reasons, kinds, verdicts."""

from django.db import models

from records.dicom.deidentification.burned_in import Cause


class StudyState(models.TextChoices):
    """Whether more images are still expected."""

    OPEN = "open", "Receiving"
    COMPLETE = "complete", "Complete"


class Priority(models.TextChoices):
    """How soon somebody needs to look."""

    ROUTINE = "routine", "Routine"
    URGENT = "urgent", "Urgent"


class Damage(models.TextChoices):
    """What was found when a stored file was last read."""

    NONE = "", "Whole"
    ALTERED = "altered", "Altered"
    MISSING = "missing", "Missing"


class Sex(models.TextChoices):
    """Patient's Sex (0010,0040)."""

    FEMALE = "F", "Female"
    MALE = "M", "Male"
    OTHER = "O", "Other"
    UNKNOWN = "", "Not stated"


class SubmissionState(models.TextChoices):
    """How far a batch has come."""

    RECEIVING = "receiving", "Receiving"
    STORED = "stored", "Stored"
    PARTLY_STORED = "partly_stored", "Partly stored"
    REJECTED = "rejected", "Rejected"


class Origin(models.TextChoices):
    """The door it came in by."""

    WEB = "web", "Upload page"
    API = "api", "API"
    STOW = "stow", "DICOMweb"
    DIMSE = "dimse", "DICOM association"
    SAMPLE = "samples", "Sample data"


class Verdict(models.TextChoices):
    """What became of one file."""

    STORED = "stored", "Stored"
    DUPLICATE = "duplicate", "Already held"
    REJECTED = "rejected", "Rejected"
    LEFT_OUT = "left_out", "Left out"


NOT_HELD = (Verdict.REJECTED, Verdict.LEFT_OUT)
"""Verdicts on files that aren't held: those that a batch lacks, and those it is whole without."""


class UploadState(models.TextChoices):
    """How far one file has come."""

    RECEIVING = "receiving", "Receiving"
    FILED = "filed", "Filed"
    DROPPED = "dropped", "Dropped"


class ConflictKind(models.TextChoices):
    """What contradicts what."""

    PATIENT = "patient", "Patient ID held for another person"
    STUDY = "study", "Study held for another patient"
    ELSEWHERE = "elsewhere", "Patient ID used by another department"


class ConflictState(models.TextChoices):
    """Whether somebody has decided."""

    OPEN = "open", "Open"
    RESOLVED = "resolved", "Resolved"


class Resolution(models.TextChoices):
    """What a person decided."""

    MERGE = "merge", "Same person"
    KEEP_APART = "keep_apart", "Another person"
    CORRECT = "correct", "Corrected"


class QuarantineReason(models.TextChoices):
    """Why a file is kept apart."""

    UID = "uid_conflict", "Other content under a held UID"
    IDENTITY = "identity", "Study held for another patient"


class QuarantineState(models.TextChoices):
    """What became of it."""

    HELD = "held", "In quarantine"
    FILED = "filed", "Filed into its study"
    DISCARDED = "discarded", "Discarded"


class ExportState(models.TextChoices):
    """How far a copy has come."""

    PREPARING = "preparing", "Being prepared"
    HELD = "held", "Held back: somebody must look"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "File removed"


UNFINISHED_EXPORTS = (ExportState.PREPARING, ExportState.HELD, ExportState.READY)
"""Those that hold a copy of their studies, or still mean to."""


class HoldCause(models.TextChoices):
    """Why an image is held back until a person has looked at it."""

    DECLARED = Cause.DECLARED, "The sender states that text is burned in"
    TEXT = Cause.TEXT, "Something like writing was found"
    KIND = Cause.KIND, "Images of this kind often carry writing"
