"""API tokens: issued for a limited time, shown once, kept as a hash, revoked for good."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from accounts.audit import current_context, record_event
from accounts.errors import PersonInactive, TokenLifetimeInvalid, VerbNotHeld
from accounts.models import Action, ApiToken, User

VALUE_PREFIX = "mi_"
VALUE_BYTES = 32
SHOWN_CHARACTERS = 9
MAX_DAYS = 365
USE_NOTED_EVERY = dt.timedelta(minutes=1)


@transaction.atomic
def issue_token(
    *,
    actor: User | None,
    user: User,
    name: str,
    days: int,
    scopes: Iterable[str] | None = None,
) -> tuple[ApiToken, str]:
    """Return a new token of `user` and its value, which can't be read again afterwards.

    Without `scopes` it may do all that `user` may do now.
    Raises TokenLifetimeInvalid, VerbNotHeld, PersonInactive.
    """
    if not user.is_active:
        raise PersonInactive(username=user.username)
    if not 1 <= days <= MAX_DAYS:
        raise TokenLifetimeInvalid(maximum=MAX_DAYS, days=days)
    chosen = sorted({str(verb) for verb in (user.verbs if scopes is None else scopes)})
    for verb in chosen:
        if verb not in user.verbs:
            raise VerbNotHeld(verb=verb)
    value = VALUE_PREFIX + secrets.token_urlsafe(VALUE_BYTES)
    token = ApiToken.objects.create(
        user=user,
        responsible=current_context().responsible,
        name=name.strip(),
        prefix=value[:SHOWN_CHARACTERS],
        digest=_digest(value),
        scopes=chosen,
        expires_at=timezone.now() + dt.timedelta(days=days),
    )
    record_event(
        action=Action.TOKEN_ISSUED,
        actor=actor,
        target=token,
        details={
            "name": token.name,
            "username": user.username,
            "scopes": chosen,
            "expires_at": token.expires_at.isoformat(),
        },
    )
    return token, value


@transaction.atomic
def revoke_token(*, actor: User | None, token: ApiToken) -> ApiToken:
    """Shut the token at once and for good. Revoking twice changes and records nothing."""
    token = ApiToken.objects.select_for_update().get(pk=token.pk)
    if token.revoked_at is not None:
        return token
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    record_event(
        action=Action.TOKEN_REVOKED,
        actor=actor,
        target=token,
        details={"name": token.name, "username": token.user.username},
    )
    return token


def authenticate_token(value: str) -> ApiToken | None:
    """Return the usable token of that value with its owner, else None.

    Its last use is noted once a minute at most, so that busy clients don't write all the
    time; this isn't audited, what the token then does is.
    """
    tokens = ApiToken.objects.usable().select_related("user", "responsible")
    token = tokens.filter(digest=_digest(value)).first()
    if token is None:
        return None
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
        token.last_used_at = now
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
