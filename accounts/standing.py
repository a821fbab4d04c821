"""Who stands behind a session: its owner, or the administrator through whose link it was opened."""

from django.contrib.sessions.backends.base import SessionBase

from accounts.models import User

SESSION_KEY = "password_set_through"


def mark_session(session: SessionBase, *, user: User) -> None:
    """Keep in a session that just began through whose link its password had been set."""
    if user.password_set_through_id is not None:
        session[SESSION_KEY] = str(user.password_set_through_id)


def responsible_for(session: SessionBase, *, user: User) -> User | None:
    """Return who stands behind a session of `user`, if that is somebody else.

    A session keeps its mark to its end: whoever is in it can't shed it by another password.
    """
    marked = session.get(SESSION_KEY) or user.password_set_through_id
    return User.objects.filter(pk=marked).first() if marked else None
