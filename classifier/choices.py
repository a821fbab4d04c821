"""What the columns of the classifier app may say: states, outcomes, reasons, kinds."""

from django.db import models

from accounts.actions import AuditAction

ROUTER_TASK = "body-part"
"""The task of the body-part model: which of the others an image is for."""


class Stage(models.TextChoices):
    """Whether a bundle passed its release gate, by the word of a signer that is trusted."""

    RELEASED = "released", "Released"
    RESEARCH = "research", "Research"


class MapStanding(models.TextChoices):
    """Whether a version's heat maps were shown to point at disease, by its bundle's own rule."""

    SUPPORTED = "supported", "Supported by measurement"
    UNPROVEN = "unproven", "Not shown to point at disease"
    NOT_MEASURED = "not_measured", "Not measured"


class ClassificationState(models.TextChoices):
    """Where a classification stands."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    AWAITING_REVIEW = "awaiting_review", "Awaiting review"
    ABSTAINED = "abstained", "Abstained"
    FAILED = "failed", "Failed"
    CONFIRMED = "confirmed", "Confirmed"
    OVERRIDDEN = "overridden", "Overridden"
    UNINTERPRETABLE = "uninterpretable", "Could not be assessed"
    SUPERSEDED = "superseded", "Superseded"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE_STATES = (ClassificationState.QUEUED, ClassificationState.RUNNING)


REVIEWABLE_STATES = (ClassificationState.AWAITING_REVIEW, ClassificationState.ABSTAINED)


REVIEWED_STATES = (
    ClassificationState.CONFIRMED,
    ClassificationState.OVERRIDDEN,
    ClassificationState.UNINTERPRETABLE,
)


OPEN_STATES = (*ACTIVE_STATES, *REVIEWABLE_STATES, ClassificationState.FAILED)
"""Those of which no person has decided yet."""

ENDED_STATES = (ClassificationState.SUPERSEDED, ClassificationState.CANCELLED)


class ClassificationOutcome(models.TextChoices):
    """What an answer amounts to; decided once, in `ml.aggregation`, whose codes these are."""

    FINDING = "finding", "Finding"
    FLAGGED = "flagged", "Flagged"
    NO_FINDING = "no_finding", "No finding"
    BELOW_OPERATING_POINT = "below_operating_point", "Below the operating point"
    INDETERMINATE = "indeterminate", "Indeterminate"
    ABSTAINED = "abstained", "Abstained"


CONFIRMABLE_OUTCOMES = (ClassificationOutcome.FINDING, ClassificationOutcome.NO_FINDING)
"""Those that give a label; of any other a person states one."""


SUSPECTING_OUTCOMES = (
    ClassificationOutcome.FLAGGED,
    ClassificationOutcome.BELOW_OPERATING_POINT,
    ClassificationOutcome.INDETERMINATE,
)
"""Those that name a disease without giving it."""


ALARMING_OUTCOMES = (ClassificationOutcome.FINDING, ClassificationOutcome.FLAGGED)
"""Those in which a disease passed its operating point: whatever raises an alarm does for both."""


class Confidence(models.TextChoices):
    """How sure the answer is, in one word; the rule stands in `ml.aggregation`."""

    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class Abstention(models.TextChoices):
    """Why no answer was given. From ROUTED_ELSEWHERE on, the codes are those of `ml`."""

    NO_TASK = "no_task", "No model for this kind of study"
    NO_DEPLOYED_MODEL = "no_deployed_model", "No model in use"
    NO_IMAGE = "no_image", "No usable image"
    ROUTE_UNSURE = "route_unsure", "Body part not known"
    ROUTED_ELSEWHERE = "routed_elsewhere", "Image and header disagree"
    WRONG_MODALITY = "wrong_modality", "Another modality"
    WRONG_BODY_PART = "wrong_body_part", "Another body part"
    WRONG_VIEW = "wrong_view", "Another view"
    AGE_OUT_OF_RANGE = "age_out_of_range", "Another age group"
    WRONG_SEX = "wrong_sex", "Another sex"
    CONSTANT_IMAGE = "constant_image", "Blank image"
    IMAGE_TOO_SMALL = "image_too_small", "Image too small"
    IMAGE_TOO_NARROW = "image_too_narrow", "Image too narrow"
    COLOUR_IMAGE = "colour_image", "Colour image"
    GREY_IMAGE = "grey_image", "Grey image"
    UNLIKE_TRAINING = "unlike_training", "Unlike known images"
    NO_HOUNSFIELD_UNITS = "no_hounsfield_units", "CT without Hounsfield units"
    SERIES_NOT_VALIDATED = "series_not_validated", "Not tested on whole series"
    TOO_FEW_LEVELS = "too_few_levels", "Too few grey levels"
    TOO_COMPRESSED = "too_compressed", "Too compressed"
    TOO_BLURRED = "too_blurred", "Too blurred"
    TOO_NOISY = "too_noisy", "Too noisy"
    BADLY_EXPOSED = "badly_exposed", "Badly exposed"
    CROPPED = "cropped", "Cut off"
    TOO_MUCH_BORDER = "too_much_border", "Too much border"
    SOURCE_NOT_VALIDATED = "source_not_validated", "Not validated for this source"


class Decision(models.TextChoices):
    """What the person decided."""

    CONFIRM = "confirm", "Confirm"
    OVERRIDE = "override", "Override"
    UNINTERPRETABLE = "uninterpretable", "Cannot assess"


class OverrideReason(models.TextChoices):
    """Why the answer was not accepted."""

    FALSE_POSITIVE = "false_positive", "The model saw a finding that isn't there"
    FALSE_NEGATIVE = "false_negative", "The model missed a finding"
    WRONG_FINDING = "wrong_finding", "A finding is there, but a different one"
    OTHER_FINDING = "other_finding", "A finding outside the model's labels"
    IMAGE_QUALITY = "image_quality", "Poor image quality"
    WRONG_STUDY = "wrong_study", "Wrong body part, view or patient"
    CLINICAL_CONTEXT = "clinical_context", "Clinical information decides otherwise"
    OTHER = "other", "Another reason (in the comment)"
    NO_MODEL_LABEL = "no_model_label", "The model gave no label"


class SourceKind(models.TextChoices):
    """What a source of images is known by."""

    DEPARTMENT = "department", "Department"
    INSTITUTION = "institution", "Institution name (0008,0080)"
    STATION = "station", "Station name (0008,1010)"
    CALLING_AE = "calling_ae", "Calling AE title"


class Action(AuditAction):
    """What happened to classifications, reviews and models."""

    CLASSIFICATIONS_LISTED = "classifications.listed", "Classifications listed"
    CLASSIFICATION_QUEUED = "classification.queued", "Classification queued"
    CLASSIFICATION_STARTED = "classification.started", "Classification started"
    CLASSIFICATION_ROUTED = "classification.routed", "Classification routed by the image"
    CLASSIFICATION_COMPLETED = "classification.completed", "Classification completed"
    CLASSIFICATION_ABSTAINED = "classification.abstained", "Classification abstained"
    CLASSIFICATION_FAILED = "classification.failed", "Classification failed"
    CLASSIFICATION_REQUEUED = "classification.requeued", "Classification put back in the queue"
    CLASSIFICATION_CANCELLED = "classification.cancelled", "Classification cancelled"
    CLASSIFICATION_SUPERSEDED = "classification.superseded", "Classification superseded"
    FAILED_RERUN = "classification.failed_rerun", "Failed classifications run again"
    CLASSIFICATION_VIEWED = "classification.viewed", "Classification viewed"
    REVIEW_CREATED = "review.created", "Review recorded"
    REVIEW_DRAFTED = "review.drafted", "Review begun"
    MODEL_REGISTERED = "model.registered", "Model registered"
    MODEL_SIGNATURE_CHANGED = "model.signature_changed", "Signature of a model changed"
    MODEL_DEPLOYED = "model.deployed", "Model deployed"
    MODEL_SOURCE_VALIDATED = "model.source_validated", "Model validated for a source of images"
    MODEL_SOURCE_WITHDRAWN = (
        "model.source_withdrawn",
        "Validation for a source withdrawn",
    )
    MODEL_CARRIED_OVER = "model.carried_over", "Model took over from one that answers alike"


READS = frozenset(
    {
        Action.CLASSIFICATIONS_LISTED,
        Action.CLASSIFICATION_VIEWED,
    }
)
"""Somebody looked at, searched or took away what is known; nothing was changed."""
