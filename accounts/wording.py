"""Audit events in words: one sentence per action, for staff."""

import string
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accounts.models import AuditEvent

COUNTED = "{actor}: {what}, counted {times} more times, about {distinct} things"
"""What sums up refusals that had no event of their own."""

SENTENCES = {
    "user.signed_in": "{actor} signed in",
    "user.sign_in_failed": "Somebody failed to sign in as {target}",
    "user.signed_out": "{actor} signed out",
    "session.ended": "{actor} ended sessions of {username}",
    "session.expired": "A session of {actor} expired: {reason}",
    "session.unknown": "Somebody showed a session that had ended or never was",
    "user.password_changed": "{actor} set the password of {username}",
    "user.password_reset_requested": "{actor} asked for a set-password link",
    "user.password_link_issued": "{actor} made a set-password link for {username}",
    "user.invited": "{actor} invited {username} as {roles}",
    "user.updated": "{actor} edited {username}: {changed}",
    "user.deactivated": "{actor} deactivated {username}",
    "user.reactivated": "{actor} reactivated {username}",
    "user.notices_seen": "{actor} saw what was done to their account",
    "role.proposed": "{actor} proposed {proposed} for {username}",
    "role.granted": "{actor} accepted {role} for {username}, proposed by {proposed_by}",
    "role.declined": "{actor} declined {role} for {username}, proposed by {proposed_by}",
    "department.created": "{actor} created the department {name}",
    "department.renamed": "{actor} renamed the department {old_name} to {name}",
    "department.updated": "{actor} set the issuer of patient IDs of {name} to {default_issuer}",
    "department_rule.added": "{actor} added a rule: {rule} goes to {department}",
    "department_rule.changed": "{actor} edited a rule: {rule} goes to {department}",
    "department_rule.removed": "{actor} removed a rule: {rule} went to {department}",
    "token.issued": "{actor} issued the API token {name} to {username}",
    "token.revoked": "{actor} revoked the API token {name} of {username}",
    "token.refused": "An API token was refused: {reason}",
    "audit.viewed": "{actor} looked at the audit trail",
    "audit.exported": "{actor} exported the audit trail",
    "audit.unsealed": "The sealed values of an event were opened: {reason}",
    "access.refused": "{actor} was refused a page or function that asks for {verb}",
    "access.not_found": "{actor} asked for something that is not there or out of sight",
    "form.refused": "A form was refused that another site or session may have sent",
    "submission.opened": "{actor} opened a submission",
    "file.stored": "{actor} sent a file, which was stored",
    "file.duplicate": "{actor} sent a file that was already held",
    "file.rejected": "{actor} sent a file, which was rejected",
    "submission.closed": "{actor} closed a submission",
    "study.completed": "The study was complete",
    "study.reopened": "A late image re-opened the study",
    "study.described": "{actor} stated what the images show: {modality} {body_part}",
    "study.moved": "{actor} moved a study from {from} to {to}: {reason}",
    "study.moved_away": "{actor} moved a study away, from {from} to {to}: {reason}",
    "study.retrieved": "{actor} retrieved a study",
    "study.deleted": "{actor} deleted a study: {reason}",
    "study.restored": "{actor} restored a deleted study",
    "study.purged": "A deleted study was destroyed at the end of its retention",
    "study.held": "{actor} put a legal hold on a study: {reason}",
    "study.released": "{actor} lifted the legal hold of a study: {reason}",
    "study.exported": "{actor} exported a de-identified copy of a study",
    "export.blocked": "An export was held back: {reason}",
    "export.cleared": "{actor} cleared an export that was held back",
    "export.expired": "The file of an export was removed at the end of its time",
    "file.quarantined": "A file that contradicts a stored one was put into quarantine",
    "quarantine.viewed": "{actor} looked at the quarantine",
    "quarantine.discarded": "{actor} discarded a quarantined file: {reason}",
    "conflict.raised": "What was sent contradicts what is held of a patient: {kind}",
    "conflict.resolved": "{actor} resolved an identity conflict: {resolution}",
    "conflict.reversed": "{actor} reversed the resolution of an identity conflict",
    "conflicts.viewed": "{actor} looked at the identity conflicts",
    "patient.corrected": "{actor} corrected a patient's {changed}",
    "patient.merged": "{actor} merged two records of one patient",
    "patient.completed": "A file completed a patient's record: {changed}",
    "patient.restored": "{actor} took a change of a patient's record back: {changed}",
    "association.refused": "A DICOM association was refused: {reason}",
    "node.created": "{actor} added the DICOM node {ae_title}",
    "node.updated": "{actor} edited the DICOM node {ae_title}",
    "node.removed": "{actor} removed the DICOM node {ae_title}",
    "node.confirmed": "{actor} confirmed what the DICOM node {ae_title} may take away",
    "node.declined": "{actor} declined what the DICOM node {ae_title} was to take away",
    "storage.checked": "The stored files were checked: {checked} read, {damaged} damaged",
    "storage.damaged": "A stored file was found {problem}",
    "storage.healed": "A stored file that was {problem} is whole again",
    "storage.swept": "{removed} files without a record were removed",
    "backup.made": "A backup was made: {rows} rows, {files} files, {lacking} lacking",
    "backup.restored": "The installation was restored from the backup of {made_at}",
    "transfer.begun": "{actor} began to take away what {of} then tells of",
    "submission.viewed": "{actor} looked at a submission",
    "submissions.listed": "{actor} listed the submissions",
    "export.viewed": "{actor} looked at an export",
    "exports.listed": "{actor} listed the exports",
    "storage.viewed": "{actor} looked at the state of storage",
    "holds.viewed": "{actor} looked at the legal holds",
    "classifications.listed": "{actor} listed the classifications",
    "study.viewed": "{actor} looked at a study",
    "patient.viewed": "{actor} looked at a patient",
    "image.viewed": "{actor} looked at an image",
    "image.downloaded": "{actor} downloaded an image",
    "studies.searched": "{actor} searched the studies",
    "patients.searched": "{actor} searched the patients",
    "classification.queued": "{actor} queued a classification",
    "classification.started": "A worker started the classification",
    "classification.routed": "The image itself decided the task: {tasks}",
    "classification.completed": "The classification was completed",
    "classification.abstained": "The model abstained",
    "classification.failed": "The classification failed",
    "classification.requeued": "The classification went back into the queue: {reason}",
    "classification.cancelled": "{actor} cancelled the classification",
    "classification.superseded": "A newer classification replaced this one",
    "classification.failed_rerun": "{actor} ran {count} failed classifications again: {code}",
    "classification.viewed": "{actor} looked at a classification",
    "review.created": "{actor} recorded a review",
    "review.drafted": "{actor} began to write a review",
    "model.registered": "{actor} registered a model",
    "model.signature_changed": "The signature of a model changed",
    "model.deployed": "{actor} deployed a model",
    "model.source_validated": "{actor} stated that {task} {version} is validated for {source}",
    "model.source_withdrawn": (
        "{actor} withdrew the validation of {task} {version} for {source}: {reason}"
    ),
    "model.carried_over": "{version} took over {task}, as it answers alike: {reason}",
}

BY_DECISION = {
    "confirm": "{actor} confirmed: {finding}",
    "override": "{actor} overrode the model ({model_finding}) and decided: {finding}",
    "stated": "{actor} decided where the model had given no label: {finding}",
    "uninterpretable": "{actor} decided: can't be assessed",
}
"""The sentence of a review, by what was decided."""


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
        **(_decided(event.details) if event.action == "review.created" else {}),
        "actor": name_actor(event),
        "target": event.target_id,
        "what": event.action_words,
    }
    return _Words().format(sentence, **words)


def _sentence_of(event: "AuditEvent") -> str | None:
    decision = str(event.details.get("decision"))
    if event.action != "review.created" or decision not in BY_DECISION:
        return SENTENCES.get(event.action)
    if decision == "override" and not event.details.get("model_label"):
        return BY_DECISION["stated"]
    return BY_DECISION[decision]


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
