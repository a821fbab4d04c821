"""What can go wrong between a study and its reviewed result."""

from accounts.errors import KnownError


class NotReviewable(KnownError):
    """There is nothing to decide on, or somebody decided already."""

    code = "not_reviewable"
    message = "This classification can't be reviewed: its state is “{state}”."
    action = "Reload the study. A decision once made stays; run it again for a new one."
    status = 409


class AlreadyReviewed(NotReviewable):
    """Somebody decided first; who, what and when is said, so that the second needn't guess."""

    code = "already_reviewed"
    message = "{who} {decided} {at}; {other} was not saved."
    action = "A decision once made stays. If yours differs, speak with whoever made it."


class Replaced(NotReviewable):
    """The answer that was decided on isn't the study's any more."""

    message = "A newer run stands in its place; yours was not saved."
    action = "Reload the study and decide on the newer answer."


class NothingToConfirm(KnownError):
    """The model abstained, so there is no label to confirm."""

    code = "nothing_to_confirm"
    pointer = "/decision"
    message = "The model gave no answer, so there is none to confirm."
    action = "Override it with your own finding, or record that the study can't be assessed."


class LabelRequired(KnownError):
    """The model gave no label to confirm, or an override doesn't say what is there instead."""

    code = "label_required"
    pointer = "/label"
    message = "This decision needs your own finding: there is no label to confirm."
    action = "Override it with the label that you see, or record that it can't be assessed."


class LabelUnknown(KnownError):
    """The label is none of the model's, nor "other"."""

    code = "label_unknown"
    message = "“{label}” is not one of the labels of this task."
    action = "Choose one of: {choices}."
    pointer = "/label"


class LabelUnchanged(KnownError):
    """An override with the model's own label would be a confirmation."""

    code = "label_unchanged"
    message = "Your finding is the model's own answer."
    action = "Confirm the answer instead, or choose another label."
    pointer = "/label"


class ReasonRequired(KnownError):
    """Whoever disagrees says why, in a coded reason that monitoring can count."""

    code = "reason_required"
    message = "This decision needs a reason."
    action = "Choose one of: {choices}."
    pointer = "/reason"


class CommentRequired(KnownError):
    """The reason "other", and the finding "other", say nothing by themselves."""

    code = "comment_required"
    message = "“Other” says nothing by itself: the comment has to say what it was."
    action = "Write a short comment."
    pointer = "/comment"


class CommentTooLong(KnownError):
    """Comments are notes, not reports."""

    code = "comment_too_long"
    message = "The comment has {length} characters; {maximum} fit."
    action = "Shorten the comment."
    pointer = "/comment"


class NotRerunnable(KnownError):
    """It still runs, or a person has decided on it."""

    code = "not_rerunnable"
    message = "This classification can't be run again: its state is “{state}”."
    action = "Wait until it has ended. A reviewed result stays as it is."
    status = 409


class NotStatable(KnownError):
    """The header rules out what a person stated, or says enough by itself."""

    code = "not_statable"
    pointer = "/task"
    message = "What these images show can't be stated as that: their header says otherwise."
    action = "Choose one of the kinds offered, or have the header corrected and send them again."


class ModelMissing(KnownError):
    """The files of a version that is registered, and may be in use, are nowhere here."""

    code = "model_missing"
    message = "The files of {version} are missing on this installation."
    action = (
        "Put another version into use on the page Models, or have the operator restore this one "
        "(docs/operators.md, Upgrade). Studies of its task wait meanwhile."
    )
    status = 503
    is_passing = True


class BundleUnavailable(KnownError):
    """The live version's bundle is damaged, or this machine's engine can't open it.

    Why is for the operator, and only in the log: it names places on the server.
    """

    code = "bundle_unavailable"
    message = "The model {version} can't be opened."
    action = (
        "Put another version into use on the page Models, or ask the operator to look for "
        "bundle_unavailable in the log. Studies of its task wait meanwhile."
    )
    status = 503
    is_passing = True


class BundleDirMissing(KnownError):
    """The place that bundles come from isn't there, or holds none."""

    code = "bundle_dir_missing"
    message = "No bundle was found: {reason}"
    action = "Set BUNDLE_DIR to the folder that holds <task>/<version>/manifest.json."
    status = 503


class BundleNotKept(KnownError):
    """A bundle can't be copied to where those in use are kept."""

    code = "bundle_not_kept"
    message = "{version} can't be kept: {reason}."
    action = "Let the product write to BUNDLE_STORE_DIR, and see that its disk has room."
    status = 503


class BundleRefused(KnownError):
    """A bundle on disk did not pass its checks."""

    code = "bundle_refused"
    message = "The bundle {bundle} was refused: {reason}"
    action = "Restore it from its source. Until then it can't be put into use."


class BundleUntrusted(KnownError):
    """Nobody whom this site trusts answers for the bundle, so it may answer for no image."""

    code = "bundle_untrusted"
    message = "{version} is not signed by a key that this site trusts."
    action = (
        "Ask the operator to have it signed, or to trust its signer's key, "
        "and to register it again. Until then studies of its task wait, if it is the one in use."
    )
    status = 409
    is_passing = True


class TrustedKeysInvalid(KnownError):
    """The keys that the site says it trusts can't be read, so no signature can be judged."""

    code = "trusted_keys_invalid"
    message = "The keys that bundles must be signed by can't be read: {reason}"
    action = "Correct BUNDLE_TRUSTED_KEYS: it names PEM files of public Ed25519 keys, or folders."
    status = 503
    is_passing = True


class InferenceFailed(KnownError):
    """The images could not be turned into an answer, for a reason the ml library names."""

    code = "inference_failed"
    message = "The images could not be classified: {reason}"
    action = "{remedy}"
    status = 422

    def __init__(self, *, code: str, reason: str, remedy: str) -> None:
        """Keep the library's own code."""
        super().__init__(reason=reason, remedy=remedy)
        self.code = code


class UnexpectedFailure(KnownError):
    """Something that nobody foresaw, after every attempt."""

    code = "unexpected"
    message = "The classification failed after {attempts} attempts (reference {reference})."
    action = "Run it again; if it fails once more, give the reference to your operator."
    status = 500


class TimeLimitExceeded(UnexpectedFailure):
    """No attempt was through when the time that a worker has for a task ended (TASK_SECONDS)."""

    code = "time_limit_exceeded"
    message = (
        "The classification took longer than a worker has time for, in {attempts} attempts "
        "(reference {reference})."
    )
    action = "Have your operator look at the workers or raise TASK_SECONDS, then run it again."


class VersionNotDeployable(KnownError):
    """A version already live, or of another task."""

    code = "version_not_deployable"
    message = "{version} already answers this task."
    action = "Choose another version."
    status = 409


class DeploymentReasonRequired(KnownError):
    """The version would give up something that the one in use has."""

    code = "deployment_reason_required"
    message = "{version} falls short of {live}, which is in use: {shortfalls}."
    action = "Compare both on the version's page, and say why it is to take over all the same."
    pointer = "/reason"
    status = 409


class SourceRequired(KnownError):
    """A statement about no source, or about one that isn't named as its kind is."""

    code = "source_required"
    message = "It isn't said which source of images was validated."
    action = "Choose a department, or write the name or AE title as the images carry it."
    pointer = "/value"


class SourceStated(KnownError):
    """The same statement stands already."""

    code = "source_stated"
    message = "That {version} was validated there is stated already."
    action = "Withdraw the earlier statement first, if the figures are others now."
    pointer = "/value"
    status = 409


class FiguresMissing(KnownError):
    """Nobody could tell afterwards what the statement rests on."""

    code = "figures_missing"
    message = "A validation says what was measured."
    action = "Give the figures, or where they are written, in at most {maximum} characters."
    pointer = "/figures"


class ValidationWithdrawn(KnownError):
    """Somebody was faster."""

    code = "validation_withdrawn"
    message = "That statement was withdrawn already."
    action = "Reload the page of the version."
    status = 409
