"""The one table that says which role may do what."""

from enum import StrEnum

from django.db import models


class Verb(StrEnum):
    """Something a person or a token may do; views, API and tokens all ask for one."""

    STUDY_VIEW = "study.view"
    STUDY_SUBMIT = "study.submit"
    STUDY_RERUN = "study.rerun"
    STUDY_DELETE = "study.delete"
    STUDY_MOVE = "study.move"
    STUDY_HOLD = "study.hold"
    STUDY_EXPORT = "study.export"
    CONFLICT_RESOLVE = "conflict.resolve"
    QUARANTINE_MANAGE = "quarantine.manage"
    NODE_MANAGE = "node.manage"
    NODE_CONFIRM = "node.confirm"
    PATIENT_VIEW = "patient.view"
    REVIEW_CREATE = "review.create"
    MODEL_VIEW = "model.view"
    MODEL_DEPLOY = "model.deploy"
    AUDIT_VIEW = "audit.view"
    AUDIT_EXPORT = "audit.export"
    ACCOUNT_MANAGE = "account.manage"
    TOKEN_OWN = "token.own"  # noqa: S105 - the name of a permission, not a secret
    QUEUE_VIEW = "queue.view"
    STATUS_VIEW = "status.view"
    QUEUE_RERUN = "queue.rerun"


VERB_WORDS: dict[str, str] = {
    Verb.STUDY_VIEW: "See studies and images",
    Verb.STUDY_SUBMIT: "Submit studies",
    Verb.STUDY_RERUN: "Ask for a new classification",
    Verb.STUDY_DELETE: "Delete and restore studies",
    Verb.STUDY_MOVE: "Move studies to another department",
    Verb.STUDY_HOLD: "Place and lift legal holds",
    Verb.STUDY_EXPORT: "Export de-identified copies",
    Verb.CONFLICT_RESOLVE: "Resolve identity conflicts",
    Verb.QUARANTINE_MANAGE: "Manage the quarantine",
    Verb.NODE_MANAGE: "Manage DICOM nodes",
    Verb.NODE_CONFIRM: "Confirm what DICOM nodes may take away",
    Verb.PATIENT_VIEW: "See patients",
    Verb.REVIEW_CREATE: "Review classifications",
    Verb.MODEL_VIEW: "See models",
    Verb.MODEL_DEPLOY: "Put models into use",
    Verb.AUDIT_VIEW: "Read the audit trail",
    Verb.AUDIT_EXPORT: "Export the audit trail",
    Verb.ACCOUNT_MANAGE: "Manage people and departments",
    Verb.TOKEN_OWN: "Make and revoke your API tokens",
    Verb.QUEUE_VIEW: "See the queue",
    Verb.STATUS_VIEW: "See how the product runs",
    Verb.QUEUE_RERUN: "Run failed classifications again, by reason",
}
"""Each permission as people who choose it read it."""


class Role(models.TextChoices):
    """What a person does in a department, or for the whole hospital."""

    TECHNICIAN = "technician", "Technician"
    REVIEWER = "reviewer", "Reviewer"
    INTEGRATOR = "integrator", "Integrator"
    ADMINISTRATOR = "administrator", "Administrator"
    AUDITOR = "auditor", "Auditor"
    DATA_SCIENTIST = "data_scientist", "Data scientist"


ROLE_VERBS: dict[Role, frozenset[Verb]] = {
    Role.TECHNICIAN: frozenset(
        {
            Verb.STUDY_VIEW,
            Verb.STUDY_SUBMIT,
            Verb.STUDY_RERUN,
            Verb.PATIENT_VIEW,
            Verb.CONFLICT_RESOLVE,
            Verb.NODE_CONFIRM,
            Verb.MODEL_VIEW,
            Verb.QUEUE_VIEW,
            Verb.TOKEN_OWN,
        }
    ),
    Role.REVIEWER: frozenset(
        {
            Verb.STUDY_VIEW,
            Verb.STUDY_RERUN,
            Verb.PATIENT_VIEW,
            Verb.STUDY_DELETE,
            Verb.STUDY_MOVE,
            Verb.STUDY_EXPORT,
            Verb.CONFLICT_RESOLVE,
            Verb.NODE_CONFIRM,
            Verb.REVIEW_CREATE,
            Verb.MODEL_VIEW,
            Verb.QUEUE_VIEW,
            Verb.TOKEN_OWN,
        }
    ),
    Role.INTEGRATOR: frozenset(
        {
            Verb.STUDY_VIEW,
            Verb.STUDY_SUBMIT,
            Verb.PATIENT_VIEW,
            Verb.MODEL_VIEW,
            Verb.QUEUE_VIEW,
            Verb.TOKEN_OWN,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            Verb.ACCOUNT_MANAGE,
            Verb.NODE_MANAGE,
            Verb.QUARANTINE_MANAGE,
            Verb.STUDY_HOLD,
            Verb.STUDY_MOVE,
            Verb.AUDIT_VIEW,
            Verb.AUDIT_EXPORT,
            Verb.MODEL_VIEW,
            Verb.MODEL_DEPLOY,
            Verb.QUEUE_VIEW,
            Verb.STATUS_VIEW,
            Verb.QUEUE_RERUN,
            Verb.TOKEN_OWN,
        }
    ),
    Role.AUDITOR: frozenset({Verb.AUDIT_VIEW, Verb.AUDIT_EXPORT, Verb.TOKEN_OWN}),
    Role.DATA_SCIENTIST: frozenset({Verb.MODEL_VIEW, Verb.QUEUE_VIEW, Verb.TOKEN_OWN}),
}

DEPARTMENT_ROLES = frozenset({Role.TECHNICIAN, Role.REVIEWER, Role.INTEGRATOR})
"""Held in a department; the other roles are held for the whole hospital."""

ROLES_FOR_TWO = DEPARTMENT_ROLES | {Role.ADMINISTRATOR}
"""What one administrator grants and another accepts: sight of patients, and the say over it."""


def roles_with(verb: Verb) -> list[Role]:
    """The roles that may do `verb`."""
    return [role for role, verbs in ROLE_VERBS.items() if verb in verbs]
