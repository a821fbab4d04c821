"""Audit events in words: one sentence per action, for staff."""

import string
from typing import TYPE_CHECKING, Any

from accounts.choices import Action

if TYPE_CHECKING:
    from accounts.models import AuditEvent

COUNTED = "{actor}: {what}, counted {times} more times, about {distinct} things"
"""What sums up refusals that had no event of their own."""

SENTENCES: dict[str, str] = {
    Action.SIGNED_IN: "{actor} signed in",
    Action.SIGN_IN_FAILED: "Somebody failed to sign in as {target}",
    Action.SIGNED_OUT: "{actor} signed out",
    Action.SESSION_ENDED: "{actor} ended sessions of {username}",
    Action.SESSION_EXPIRED: "A session of {actor} expired: {reason}",
    Action.SESSION_UNKNOWN: "Somebody showed a session that had ended or never was",
    Action.PASSWORD_CHANGED: "{actor} set the password of {username}",
    Action.PASSWORD_RESET_REQUESTED: "{actor} asked for a set-password link",
    Action.PASSWORD_LINK_ISSUED: "{actor} made a set-password link for {username}",
    Action.USER_INVITED: "{actor} invited {username} as {roles}",
    Action.USER_UPDATED: "{actor} edited {username}: {changed}",
    Action.USER_DEACTIVATED: "{actor} deactivated {username}",
    Action.USER_REACTIVATED: "{actor} reactivated {username}",
    Action.NOTICES_SEEN: "{actor} saw what was done to their account",
    Action.ROLE_PROPOSED: "{actor} proposed {proposed} for {username}",
    Action.ROLE_GRANTED: "{actor} accepted {role} for {username}, proposed by {proposed_by}",
    Action.ROLE_DECLINED: "{actor} declined {role} for {username}, proposed by {proposed_by}",
    Action.DEPARTMENT_CREATED: "{actor} created the department {name}",
    Action.DEPARTMENT_RENAMED: "{actor} renamed the department {old_name} to {name}",
    Action.DEPARTMENT_UPDATED: (
        "{actor} set the issuer of patient IDs of {name} to {default_issuer}"
    ),
    Action.RULE_ADDED: "{actor} added a rule: {rule} goes to {department}",
    Action.RULE_CHANGED: "{actor} edited a rule: {rule} goes to {department}",
    Action.RULE_REMOVED: "{actor} removed a rule: {rule} went to {department}",
    Action.TOKEN_ISSUED: "{actor} issued the API token {name} to {username}",
    Action.TOKEN_REVOKED: "{actor} revoked the API token {name} of {username}",
    Action.TOKEN_REFUSED: "An API token was refused: {reason}",
    Action.AUDIT_VIEWED: "{actor} looked at the audit trail",
    Action.AUDIT_EXPORTED: "{actor} exported the audit trail",
    Action.AUDIT_UNSEALED: "The sealed values of an event were opened: {reason}",
    Action.ACCESS_REFUSED: "{actor} was refused a page or function that asks for {verb}",
    Action.OBJECT_NOT_FOUND: "{actor} asked for something that is not there or out of sight",
    Action.FORM_REFUSED: "A form was refused that another site or session may have sent",
    Action.SUBMISSION_OPENED: "{actor} opened a submission",
    Action.FILE_STORED: "{actor} sent a file, which was stored",
    Action.FILE_DUPLICATE: "{actor} sent a file that was already held",
    Action.FILE_REJECTED: "{actor} sent a file, which was rejected",
    Action.SUBMISSION_CLOSED: "{actor} closed a submission",
    Action.STUDY_COMPLETED: "The study was complete",
    Action.STUDY_REOPENED: "A late image re-opened the study",
    Action.STUDY_DESCRIBED: "{actor} stated what the images show: {modality} {body_part}",
    Action.STUDY_MOVED: "{actor} moved a study from {from} to {to}: {reason}",
    Action.STUDY_MOVED_AWAY: "{actor} moved a study away, from {from} to {to}: {reason}",
    Action.STUDY_RETRIEVED: "{actor} retrieved a study",
    Action.STUDY_DELETED: "{actor} deleted a study: {reason}",
    Action.STUDY_RESTORED: "{actor} restored a deleted study",
    Action.STUDY_PURGED: "A deleted study was destroyed at the end of its retention",
    Action.STUDY_HELD: "{actor} put a legal hold on a study: {reason}",
    Action.STUDY_RELEASED: "{actor} lifted the legal hold of a study: {reason}",
    Action.STUDY_EXPORTED: "{actor} exported a de-identified copy of a study",
    Action.EXPORT_BLOCKED: "An export was held back: {reason}",
    Action.EXPORT_CLEARED: "{actor} cleared an export that was held back",
    Action.EXPORT_EXPIRED: "The file of an export was removed at the end of its time",
    Action.FILE_QUARANTINED: "A file that contradicts a stored one was put into quarantine",
    Action.QUARANTINE_VIEWED: "{actor} looked at the quarantine",
    Action.QUARANTINE_DISCARDED: "{actor} discarded a quarantined file: {reason}",
    Action.CONFLICT_RAISED: "What was sent contradicts what is held of a patient: {kind}",
    Action.CONFLICT_RESOLVED: "{actor} resolved an identity conflict: {resolution}",
    Action.CONFLICT_REVERSED: "{actor} reversed the resolution of an identity conflict",
    Action.CONFLICTS_VIEWED: "{actor} looked at the identity conflicts",
    Action.PATIENT_CORRECTED: "{actor} corrected a patient's {changed}",
    Action.PATIENT_MERGED: "{actor} merged two records of one patient",
    Action.PATIENT_COMPLETED: "A file completed a patient's record: {changed}",
    Action.PATIENT_RESTORED: "{actor} took a change of a patient's record back: {changed}",
    Action.ASSOCIATION_REFUSED: "A DICOM association was refused: {reason}",
    Action.NODE_CREATED: "{actor} added the DICOM node {ae_title}",
    Action.NODE_UPDATED: "{actor} edited the DICOM node {ae_title}",
    Action.NODE_REMOVED: "{actor} removed the DICOM node {ae_title}",
    Action.NODE_CONFIRMED: "{actor} confirmed what the DICOM node {ae_title} may take away",
    Action.NODE_DECLINED: "{actor} declined what the DICOM node {ae_title} was to take away",
    Action.STORAGE_CHECKED: "The stored files were checked: {checked} read, {damaged} damaged",
    Action.STORAGE_DAMAGED: "A stored file was found {problem}",
    Action.STORAGE_HEALED: "A stored file that was {problem} is whole again",
    Action.STORAGE_SWEPT: "{removed} files without a record were removed",
    Action.BACKUP_MADE: "A backup was made: {rows} rows, {files} files, {lacking} lacking",
    Action.BACKUP_RESTORED: "The installation was restored from the backup of {made_at}",
    Action.TRANSFER_BEGUN: "{actor} began to take away what {of} then tells of",
    Action.SUBMISSION_VIEWED: "{actor} looked at a submission",
    Action.SUBMISSIONS_LISTED: "{actor} listed the submissions",
    Action.EXPORT_VIEWED: "{actor} looked at an export",
    Action.EXPORTS_LISTED: "{actor} listed the exports",
    Action.STORAGE_VIEWED: "{actor} looked at the state of storage",
    Action.HOLDS_VIEWED: "{actor} looked at the legal holds",
    Action.CLASSIFICATIONS_LISTED: "{actor} listed the classifications",
    Action.STUDY_VIEWED: "{actor} looked at a study",
    Action.PATIENT_VIEWED: "{actor} looked at a patient",
    Action.IMAGE_VIEWED: "{actor} looked at an image",
    Action.IMAGE_DOWNLOADED: "{actor} downloaded an image",
    Action.STUDIES_SEARCHED: "{actor} searched the studies",
    Action.PATIENTS_SEARCHED: "{actor} searched the patients",
    Action.CLASSIFICATION_QUEUED: "{actor} queued a classification",
    Action.CLASSIFICATION_STARTED: "A worker started the classification",
    Action.CLASSIFICATION_ROUTED: "The image itself decided the task: {tasks}",
    Action.CLASSIFICATION_COMPLETED: "The classification was completed",
    Action.CLASSIFICATION_ABSTAINED: "The model abstained",
    Action.CLASSIFICATION_FAILED: "The classification failed",
    Action.CLASSIFICATION_REQUEUED: "The classification went back into the queue: {reason}",
    Action.CLASSIFICATION_CANCELLED: "{actor} cancelled the classification",
    Action.CLASSIFICATION_SUPERSEDED: "A newer classification replaced this one",
    Action.FAILED_RERUN: "{actor} ran {count} failed classifications again: {code}",
    Action.CLASSIFICATION_VIEWED: "{actor} looked at a classification",
    Action.REVIEW_CREATED: "{actor} recorded a review",
    Action.REVIEW_DRAFTED: "{actor} began to write a review",
    Action.MODEL_REGISTERED: "{actor} registered a model",
    Action.MODEL_SIGNATURE_CHANGED: "The signature of a model changed",
    Action.MODEL_DEPLOYED: "{actor} deployed a model",
    Action.MODEL_SOURCE_VALIDATED: "{actor} stated that {task} {version} is validated for {source}",
    Action.MODEL_SOURCE_WITHDRAWN: (
        "{actor} withdrew the validation of {task} {version} for {source}: {reason}"
    ),
    Action.MODEL_CARRIED_OVER: "{version} took over {task}, as it answers alike: {reason}",
}

BY_DECISION = {
    "confirm": "{actor} confirmed: {finding}",
    "override": "{actor} overrode the model ({model_finding}) and decided: {finding}",
    "uninterpretable": "{actor} decided: can't be assessed",
}
"""The sentence of a review, by what was decided."""

BY_DECISION_ALONE = {
    **BY_DECISION,
    "override": "{actor} decided where the model had given no label: {finding}",
}
"""The same where the model had given no label."""


class _Words(string.Formatter):
    """Fills a sentence; what an event doesn't know is left as a dash."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        """Return the value as words."""
        value = kwargs.get(key)
        if isinstance(value, list | tuple):
            value = ", ".join(str(part) for part in value)
        return "–" if value in (None, "") else str(value)


def describe_event(event: "AuditEvent") -> str:
    """Return one sentence about `event`, without a full stop.

    Details come from the trail itself, so nothing in them is trusted to be there.
    """
    sentence = COUNTED if "times" in event.details else _sentence_of(event)
    if sentence is None:
        return f"{event.actor_name}: {event.action_words}"
    words = {
        **event.details,
        **(_decided(event.details) if event.action == Action.REVIEW_CREATED else {}),
        "actor": name_actor(event),
        "target": event.target_id,
        "what": event.action_words,
    }
    return _Words().format(sentence, **words)


def _sentence_of(event: "AuditEvent") -> str | None:
    sentence = SENTENCES.get(event.action)
    if event.action != Action.REVIEW_CREATED:
        return sentence
    of_review = BY_DECISION if event.details.get("model_label") else BY_DECISION_ALONE
    return of_review.get(str(event.details.get("decision")), sentence)


def _decided(details: dict[str, Any]) -> dict[str, str]:
    """The findings of a review in words; events of earlier releases hold their codes alone."""
    return {
        words: str(details.get(display) or details.get(code) or "").replace("_", " ")
        for words, display, code in (
            ("finding", "label_display", "label"),
            ("model_finding", "model_label_display", "model_label"),
        )
    }


def name_actor(event: "AuditEvent") -> str:
    """The actor, and whoever stood behind their session; an unwritten event doesn't know yet."""
    if event.pk is None or not event.responsible_name:
        return event.actor_name
    return f"{event.actor_name} (through a link that {event.responsible_name} made)"
