"""Searches that a page's address may name without saying what was searched for."""

import datetime as dt
from collections.abc import Mapping
from uuid import UUID

from django.utils import timezone

from accounts.models import RecentSearch, User
from accounts.sealing import open_values, seal_values

LIFETIME = dt.timedelta(days=1)


def remember_search(*, actor: User, place: str, fields: Mapping[str, str]) -> RecentSearch:
    """Store the fields of a search. The look at what it finds is what the trail tells."""
    return RecentSearch.objects.create(user=actor, place=place, sealed=seal_values(dict(fields)))


def recall_search(*, actor: User, place: str, key: str) -> dict[str, str] | None:
    """Return the fields of one's own search in this list; None where there is none (any more)."""
    try:
        wanted = UUID(key)
    except ValueError:
        return None
    since = timezone.now() - LIFETIME
    row = RecentSearch.objects.filter(
        pk=wanted, user=actor, place=place, created_at__gt=since
    ).first()
    return open_values(row.sealed) if row else None


def sweep_searches() -> int:
    """Forget searches of yesterday; return how many went."""
    removed, _ = RecentSearch.objects.filter(created_at__lte=timezone.now() - LIFETIME).delete()
    return removed
