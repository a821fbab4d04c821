"""Keyset paging for pages with "Load more": the same speed on every page, nothing shown twice."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core import signing
from django.db import models
from django.db.models import Q

Row = TypeVar("Row", bound=models.Model)

PAGE_SIZE = 50
SALT = "accounts.paging"

READERS: dict[str, Callable[[Any], Any]] = {
    "date": dt.date.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "float": float,
    "int": int,
    "str": str,
    "UUID": UUID,
}
"""How each type of key value comes back from a cursor."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor that asks for those after them (None on the last page)."""

    items: list[Row]
    next_cursor: str | None


def paginate(
    queryset: models.QuerySet[Row],
    *,
    key: Sequence[str],
    after: str | None = None,
    size: int = PAGE_SIZE,
) -> Page[Row]:
    """Return up to `size` rows of `queryset` in the order of `key`, starting behind `after`.

    `key` names fields as `order_by` does ("-received_at", "study__patient__name", "-id");
    none of them may be null and together they are unique, so end with the primary key.
    A cursor that was tampered with, or that comes from another list, gives the first page.
    """
    salt = f"{SALT}:{queryset.model._meta.label}:{','.join(key)}"
    position = _read_cursor(after, salt=salt, length=len(key))
    rows = queryset.order_by(*key)
    if position is not None:
        rows = rows.filter(_behind(key, position))
    items = list(rows[: size + 1])
    if len(items) <= size:
        return Page(items=items, next_cursor=None)
    items = items[:size]
    return Page(items=items, next_cursor=_write_cursor(items[-1], key=key, salt=salt))


def _behind(key: Sequence[str], position: Sequence[Any]) -> Q:
    """Rows that sort after `position`.

    The first condition is implied by the second: it is there because the database can walk
    an index from it, which it can't from an OR.
    """
    condition = Q()
    equal = Q()
    for name, value in zip(key, position, strict=True):
        field = name.removeprefix("-")
        comparison = "lt" if name.startswith("-") else "gt"
        condition |= equal & Q(**{f"{field}__{comparison}": value})
        equal &= Q(**{field: value})
    first = key[0].removeprefix("-")
    bound = "lte" if key[0].startswith("-") else "gte"
    return Q(**{f"{first}__{bound}": position[0]}) & condition


def _write_cursor(row: models.Model, *, key: Sequence[str], salt: str) -> str:
    values = [reduce(getattr, name.removeprefix("-").split("__"), row) for name in key]
    return signing.dumps([[type(value).__name__, str(value)] for value in values], salt=salt)


def _read_cursor(cursor: str | None, *, salt: str, length: int) -> list[Any] | None:
    if not cursor:
        return None
    try:
        pairs = signing.loads(cursor, salt=salt)
    except signing.BadSignature:
        return None
    if len(pairs) != length:
        return None
    return [READERS[name](text) for name, text in pairs]
