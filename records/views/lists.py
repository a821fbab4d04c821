"""What the lists of patients and studies note in the audit trail."""

from accounts.audit import record_access, record_event
from accounts.models import Action, User


def record_list_read(
    *, actor: User, action: Action, place: str, filters: dict[str, str], is_continued: bool
) -> None:
    """Note that somebody searched a list, every time; reading it plainly, once in five minutes.

    Never what was typed: it may be a name. The next rows of a list belong to the first.
    """
    details = {"filters": filters}
    if filters and not is_continued:
        record_event(action=action, actor=actor, target_id=place, details=details)
    else:
        record_access(action=action, actor=actor, target_id=place, details=details)
