"""What the columns of the accounts app may say: states, reasons, kinds, actions."""

import datetime as dt

from django.db import models

from accounts.actions import AuditAction


class Action(AuditAction):
    """What happened to people, departments, tokens and the trail itself."""

    SIGNED_IN = "user.signed_in", "Signed in"
    SIGN_IN_FAILED = "user.sign_in_failed", "Sign-in failed"
    SIGNED_OUT = "user.signed_out", "Signed out"
    SESSION_ENDED = "session.ended", "Sessions ended by a person"
    SESSION_EXPIRED = "session.expired", "Session expired"
    SESSION_UNKNOWN = "session.unknown", "Ended or unknown session shown"
    PASSWORD_CHANGED = "user.password_changed", "Password changed"
    PASSWORD_RESET_REQUESTED = "user.password_reset_requested", "Password reset requested"
    PASSWORD_LINK_ISSUED = "user.password_link_issued", "Set-password link issued"
    USER_INVITED = "user.invited", "Person invited"
    USER_UPDATED = "user.updated", "Person edited"
    USER_DEACTIVATED = "user.deactivated", "Person deactivated"
    USER_REACTIVATED = "user.reactivated", "Person reactivated"
    NOTICES_SEEN = "user.notices_seen", "Account notices seen"
    ROLE_PROPOSED = "role.proposed", "Role proposed"
    ROLE_GRANTED = "role.granted", "Proposed role granted"
    ROLE_DECLINED = "role.declined", "Proposed role declined"
    DEPARTMENT_CREATED = "department.created", "Department created"
    DEPARTMENT_RENAMED = "department.renamed", "Department renamed"
    DEPARTMENT_UPDATED = "department.updated", "Department edited"
    TOKEN_ISSUED = "token.issued", "API token issued"
    TOKEN_REVOKED = "token.revoked", "API token revoked"
    TOKEN_REFUSED = "token.refused", "API token refused"
    AUDIT_VIEWED = "audit.viewed", "Audit trail viewed"
    AUDIT_EXPORTED = "audit.exported", "Audit trail exported"
    AUDIT_UNSEALED = "audit.unsealed", "Sealed values of an event opened"
    ACCESS_REFUSED = "access.refused", "Access refused"
    OBJECT_NOT_FOUND = "access.not_found", "Object not found or out of sight"
    FORM_REFUSED = "form.refused", "Form of another site or session refused"
    TRANSFER_BEGUN = "transfer.begun", "Files began to leave"


READS = frozenset(
    {
        Action.AUDIT_VIEWED,
        Action.AUDIT_EXPORTED,
        Action.AUDIT_UNSEALED,
        Action.TRANSFER_BEGUN,
    }
)
"""Somebody looked at, searched or took away what is known; nothing was changed."""


REFUSALS = frozenset(
    {
        Action.SIGN_IN_FAILED,
        Action.SESSION_UNKNOWN,
        Action.TOKEN_REFUSED,
        Action.ACCESS_REFUSED,
        Action.OBJECT_NOT_FOUND,
        Action.FORM_REFUSED,
    }
)
"""Somebody was kept from something, or something from coming in or going out."""


class EventKind(models.TextChoices):
    """What an auditor narrows the trail to before choosing a single action."""

    READS = "reads", "Reads"
    CHANGES = "changes", "Changes"
    REFUSALS = "refusals", "Refusals"


class Period(models.TextChoices):
    """The last so many hours or days, up to this moment."""

    DAY = "24h", "Last 24 hours"
    WEEK = "7d", "Last 7 days"
    MONTH = "30d", "Last 30 days"


PERIODS = {
    Period.DAY: dt.timedelta(hours=24),
    Period.WEEK: dt.timedelta(days=7),
    Period.MONTH: dt.timedelta(days=30),
}


class Outcome(models.IntegerChoices):
    """EventOutcomeIndicator of DICOM PS3.15 A.5."""

    SUCCESS = 0, "Success"
    MINOR_FAILURE = 4, "Minor failure"
    SERIOUS_FAILURE = 8, "Serious failure"
    MAJOR_FAILURE = 12, "Major failure"


class ActorKind(models.TextChoices):
    """Who acted: a person at the screen, a person's token, a stranger, or the system itself."""

    USER = "user", "Person"
    TOKEN = "token", "API token"
    ANONYMOUS = "anonymous", "Not signed in"
    SYSTEM = "system", "System"


class NoticeKind(models.TextChoices):
    """What was done to an account by somebody else; the label is the sentence for its owner."""

    LINK_MADE = "link_made", "{by} made a link to set your password. Until it is used, yours holds."
    PASSWORD_SET = "password_set", "Your password was set through a link that {by} made."
    PASSWORD_CHANGED = (
        "password_changed",
        "Your password was changed in a session that was opened through a link that {by} made.",
    )
    EMAIL_CHANGED = (
        "email_changed",
        "{by} changed your e-mail address. Set-password links go to the new one.",
    )
    ROLES_CHANGED = "roles_changed", "{by} changed your roles."
    DEACTIVATED = "deactivated", "{by} deactivated your account."
    REACTIVATED = "reactivated", "{by} reactivated your account."


class MailKind(models.TextChoices):
    """What the mail is about."""

    RESET = "reset", "Set-password link asked for"
    PASSWORD_CHANGED = "password_changed", "Password changed"  # noqa: S105 - a kind of mail


class ProposalState(models.TextChoices):
    """What became of a proposal; one whose time has passed just isn't decided any more."""

    WAITING = "waiting", "Waiting"
    GRANTED = "granted", "Granted"
    DECLINED = "declined", "Declined"


class SessionEnd(models.TextChoices):
    """Why a session is over."""

    SIGNED_OUT = "signed_out", "Signed out"
    IDLE = "idle", "Nobody worked"
    TOO_OLD = "too_old", "Open too long"
    ENDED = "ended", "Ended by a person"
    PASSWORD = "password", "Password changed"  # noqa: S105 - a reason, not a secret
    DEACTIVATED = "deactivated", "Person deactivated"
