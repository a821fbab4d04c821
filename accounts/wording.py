"""Audit events in words, for staff: one sentence per action, of which this app's stand here."""

import string
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accounts.actions import registry
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
    Action.TOKEN_ISSUED: "{actor} issued the API token {name} to {username}",
    Action.TOKEN_REVOKED: "{actor} revoked the API token {name} of {username}",
    Action.TOKEN_REFUSED: "An API token was refused: {reason}",
    Action.AUDIT_VIEWED: "{actor} looked at the audit trail",
    Action.AUDIT_EXPORTED: "{actor} exported the audit trail",
    Action.AUDIT_UNSEALED: "The sealed values of an event were opened: {reason}",
    Action.ACCESS_REFUSED: "{actor} was refused a page or function that asks for {verb}",
    Action.OBJECT_NOT_FOUND: "{actor} asked for something that is not there or out of sight",
    Action.FORM_REFUSED: "A form was refused that another site or session may have sent",
    Action.TRANSFER_BEGUN: "{actor} began to take away what {of} then tells of",
}


class _Words(string.Formatter):
    """Fills a sentence; what an event doesn't know is left as a dash."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        """Return the value as words."""
        value = kwargs.get(key)
        if isinstance(value, list | tuple):
            value = ", ".join(str(part) for part in value)
        return "–" if value in (None, "") else str(value)


def fill_sentence(sentence: str, words: Mapping[str, Any]) -> str:
    """Return the sentence with its words; a word that isn't there is a dash."""
    return _Words().vformat(sentence, (), words)


def describe_event(event: "AuditEvent") -> str:
    """Return one sentence about `event`, without a full stop.

    Details come from the trail itself, so nothing in them is trusted to be there.
    """
    words = {
        **event.details,
        "actor": name_actor(event),
        "target": event.target_id,
        "what": event.action_words,
    }
    if "times" in event.details:
        return fill_sentence(COUNTED, words)
    if event.action not in registry:
        return f"{event.actor_name}: {event.action_words}"
    sentence = registry.sentence_of(event.action)
    return fill_sentence(sentence, words) if isinstance(sentence, str) else sentence(words)


def name_actor(event: "AuditEvent") -> str:
    """The actor, and whoever stood behind their session; an unwritten event doesn't know yet."""
    if event.pk is None or not event.responsible_name:
        return event.actor_name
    return f"{event.actor_name} (through a link that {event.responsible_name} made)"


TARGET_WORDS: dict[str, str] = {
    "apitoken": "API token",
    "usersession": "Session",
    "user": "Person",
}
"""What people call the kinds of targets whose names in code aren't words."""
