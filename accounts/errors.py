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
    pointer = ""
    """Which parameter or field is wrong, where it is one: a format string too."""
    members: tuple[str, ...] = ()
    """What of the context a problem document carries for programs, beside the words."""
    is_passing = False
    """Whether the fault is the installation's and ends without the study being sent again: what
    was queued then waits for that, instead of failing."""

    def __init__(self, **context: object) -> None:
        """Fill the sentences from `context`."""
        self.context = context
        self.message = type(self).message.format(**context)
        self.action = type(self).action.format(**context)
        self.pointer = type(self).pointer.format(**context)
        super().__init__(f"{self.code}: {self.message}")


class CursorInvalid(KnownError):
    """A list's cursor that was altered, or that belongs to another list or other filters."""

    code = "invalid"
    message = "The cursor doesn't belong to this list as it is filtered now."
    action = "Start again without it, and follow `next` as it stands."
    pointer = "/cursor"


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
    pointer = "/days"


class TokenDepartmentNotHeld(KnownError):
    """A token is bound to a department of its owner's, and of its parent's, or to none."""

    code = "token_department_not_held"
    message = "The token can't be bound to {department}: its owner holds no role there."
    action = "Choose one of the owner's departments, or leave the token unbound."
    status = 403


class VerbNotHeld(KnownError):
    """A token can't do more than its owner."""

    code = "verb_not_held"
    message = "A token can't have the permission {verb}: its owner doesn't hold it."
    action = "Choose among the owner's permissions."
    pointer = "/scopes"
    status = 403


class AccountChanged(KnownError):
    """Somebody set another password, or shut the account, while this was under way."""

    code = "account_changed"
    message = "The account was changed in this very moment."
    action = "Sign in again, or ask for a new link, and repeat it."
    status = 409


class TooManyAttempts(KnownError):
    """Before another try there is some work to do, or a little time to let pass."""

    code = "too_many_attempts"
    message = "There were too many failed sign-ins."
    action = (
        "Enter your password again: your browser first does some sums, which takes seconds. "
        "If nothing happens, wait {seconds} seconds and try again."
    )
    status = 429

    def __init__(self, *, seconds: int, challenge: str = "", bits: int = 0) -> None:
        """`challenge` and `bits` say what work would do instead of waiting."""
        super().__init__(seconds=seconds)
        self.challenge = challenge
        self.bits = bits
        self.retry_after = seconds


class TooManyRequests(KnownError):
    """One caller asked for the same thing over and over."""

    code = "too_many_requests"
    message = "There were too many requests from your network."
    action = "Try again in {minutes} minutes, or ask your administrator."
    status = 429

    def __init__(self, *, minutes: int) -> None:
        """Say when it goes on."""
        super().__init__(minutes=minutes)
        self.retry_after = minutes * 60


class SignInBusy(KnownError):
    """Checking a password costs the processor much, so only some are checked at once."""

    code = "sign_in_busy"
    message = "Many people are signing in at this moment."
    action = "Try again in a few seconds."
    status = 429
    retry_after = 2


class OwnClinicalRole(KnownError):
    """Whoever manages accounts must not let themselves see patients."""

    code = "own_clinical_role"
    message = "You can't give yourself a role that shows patients, nor an account of yours."
    action = "Ask another administrator, or your operator."
    status = 403


class SecondPersonNeeded(KnownError):
    """A proposal is decided by somebody who neither made it nor gets the role."""

    code = "second_person_needed"
    message = "You proposed this role, or it is for you, so you can't accept it."
    action = "Ask another administrator."
    status = 403


class ProposalEnded(KnownError):
    """A proposal is decided once, and in time."""

    code = "proposal_ended"
    message = "This proposal was decided already, or its time has passed."
    action = "Propose the role again on the person's page if it is still wanted."
    status = 409


class PasswordLinkEnded(KnownError):
    """A link sets a password once."""

    code = "password_link_ended"
    message = "This link was used already, or its time has passed."
    action = "Ask for a new one."
    status = 409


class ChangedMeanwhile(KnownError):
    """A decision was about a state that is not there any more."""

    code = "changed_meanwhile"
    message = "This has changed since you fetched it, so nothing was done."
    action = "Fetch it again, look, and decide on what it says now."
    status = 412


class IdempotencyKeyInvalid(KnownError):
    """A key has to be told from others, and fit into a header."""

    code = "idempotency_key_invalid"
    message = "An Idempotency-Key has 1 to 255 visible ASCII characters."
    action = "Send a UUID, a new one for each new request."


class IdempotencyKeyReused(KnownError):
    """One key for two requests: one of them would get the other's answer."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key came with another request before."
    action = "Send a new key with a new request, and the same body with the same key."
    status = 422


class RequestUnderWay(KnownError):
    """The first request of a key has not ended, or its server died over it."""

    code = "request_under_way"
    message = "A request with this Idempotency-Key has begun and not ended."
    action = (
        "Wait a few seconds and send it again. If that stays so for minutes, look whether it was "
        "done, and use a new key if it was not."
    )
    status = 409
    retry_after = 5


class SecretShownOnce(KnownError):
    """A repeated request can't be answered alike, because the secret is kept nowhere."""

    code = "secret_shown_once"
    message = "The token {token} was made with this Idempotency-Key; its value was shown then."
    action = "If you don't have the value, revoke that token and make another with a new key."
    status = 409
