"""People are told what others did to their account, and say when they have seen it."""

import datetime as dt
from functools import partial

from django.db import transaction
from django.utils import timezone

from accounts.audit import current_context, record_event
from accounts.choices import Action, NoticeKind
from accounts.mail import mail_notice
from accounts.models import AccountNotice, User

KEPT_SEEN = dt.timedelta(days=365)


def tell_person(
    *, user: User, kind: NoticeKind, by: User | None, former_email: str = ""
) -> AccountNotice | None:
    """Leave a notice for `user`, and mail it once the change stands; nobody is told of themselves.

    It belongs to a change that leaves its own event. A former address is written to as well, so
    that changing it hides nothing.
    """
    if by is not None and by.pk == user.pk:
        return None
    notice = AccountNotice.objects.create(
        user=user, kind=kind, by=by, source_address=current_context().source_address
    )
    for address in {user.email, former_email} - {""}:
        transaction.on_commit(partial(mail_notice, notice=notice, to=address), robust=True)
    return notice


@transaction.atomic
def acknowledge_notices(*, actor: User) -> int:
    """Note that `actor` has seen the notices about their account; return how many.

    In a session that somebody else stands behind this does nothing: they can't hide from the
    person what they did. Having seen it, the person lets the e-mail address stand as theirs.
    """
    if current_context().responsible is not None:
        return 0
    seen = AccountNotice.objects.filter(user=actor).unseen().update(seen_at=timezone.now())
    if seen:
        User.objects.filter(pk=actor.pk).update(email_set_by=None)
        record_event(
            action=Action.NOTICES_SEEN, actor=actor, target=actor, details={"notices": seen}
        )
    return seen


def forget_notices() -> int:
    """Remove what people have seen long ago, the trail keeps it; return how many."""
    forgotten, _ = AccountNotice.objects.filter(seen_at__lte=timezone.now() - KEPT_SEEN).delete()
    return forgotten
