"""Errors that reach people: each with a stable code, a sentence and what to do next."""

import uuid


def new_reference() -> str:
    """What staff and the log call a failure that nobody foresaw."""
    return uuid.uuid4().hex[:12]


class KnownError(Exception):
    """The base of every error that staff or an integrator may be shown.

    Subclasses set the four class attributes; `message` and `action` are format
    strings filled from the keyword arguments, which also stay readable in `context`.
    """

    code = "error"
    message = "Something could not be done."
    action = "Try again, or ask your administrator."
    status = 400
    retry_after: int | None = None
    """After how many seconds another try makes sense, where waiting helps."""

    def __init__(self, **context: object) -> None:
        """Fill the sentences from `context`."""
        self.context = context
        self.message = type(self).message.format(**context)
        self.action = type(self).action.format(**context)
        super().__init__(f"{self.code}: {self.message}")


class NotYourDepartment(KnownError):
    """Seeing something doesn't mean deciding on it."""

    code = "not_your_department"
    message = "Your role in this study's department doesn't allow that."
    action = "Ask somebody with the right role in that department."
    status = 403


class CsrfTokenMissing(KnownError):
    """A browser's request may have been sent by another site."""

    code = "csrf_token_missing"
    message = "The request doesn't show that it comes from a page of ours."
    action = "Send the page's token in the header X-CSRFToken, or use an API token."
    status = 403


class PasswordLinkSpent(KnownError):
    """Somebody was faster with the same set-password link, or the account has changed since."""

    code = "password_link_spent"
    message = "This link was used already or is too old."
    action = "Ask for a new one."
    status = 409


class RoleNeedsDepartment(KnownError):
    """A departmental role was given without a department, or a hospital-wide one with."""

    code = "role_department_mismatch"
    message = "The role {role} {requirement}."
    action = "Choose the role again together with the right department."


class LastAdministrator(KnownError):
    """The change would leave the hospital without anyone to manage accounts."""

    code = "last_administrator"
    message = "This is the last active administrator."
    action = "Give another person the administrator role first."
    status = 409


class UsernameTaken(KnownError):
    """User names are never used again, not even after deactivation."""

    code = "username_taken"
    message = "The user name {username} is already in use."
    action = "Choose another user name."
    status = 409


class MailNotConfigured(KnownError):
    """Without a mail server nobody can be sent a link."""

    code = "mail_not_configured"
    message = "This installation sends no mail."
    action = "Ask your administrator for a link to set your password."
    status = 409


class PersonInactive(KnownError):
    """A deactivated person gets no token and no link."""

    code = "person_inactive"
    message = "{username} is deactivated."
    action = "Reactivate the account first."
    status = 409


class DepartmentNameTaken(KnownError):
    """Two departments with one name could not be told apart."""

    code = "department_name_taken"
    message = "There is already a department called {name}."
    action = "Choose another name."
    status = 409


class TokenLifetimeInvalid(KnownError):
    """Tokens always expire."""

    code = "token_lifetime_invalid"
    message = "A token can be valid for 1 to {maximum} days, not {days}."
    action = "Ask for a lifetime within that range."


class VerbNotHeld(KnownError):
    """A token can't do more than its owner."""

    code = "verb_not_held"
    message = "A token can't have the permission {verb}: its owner doesn't hold it."
    action = "Choose among the owner's permissions."
    status = 403


class TooManyAttempts(KnownError):
    """Sign-in is paused for this account after repeated failures."""

    code = "too_many_attempts"
    message = "Too many failed sign-ins for this account."
    action = "Wait {minutes} minutes, or ask your administrator to reset your password."
    status = 429
