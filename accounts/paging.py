"""Keyset paging for pages and the API: as fast on the last page as on the first, each row once."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Q

from accounts.errors import CursorInvalid
from accounts.sealing import make_box

Row = TypeVar("Row", bound=models.Model)

PAGE_SIZE = 50
PURPOSE = b"accounts.paging"

READERS: dict[str, Callable[[Any], Any]] = {
    "NoneType": lambda _: None,
    "bool": lambda text: text == "True",
    "date": dt.date.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "Decimal": Decimal,
    "float": float,
    "int": int,
    "str": str,
    "time": dt.time.fromisoformat,
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
    filters: Mapping[str, Sequence[str]] | None = None,
) -> Page[Row]:
    """Return up to `size` rows of `queryset` in the order of `key`, starting behind `after`.

    `key` names fields as `order_by` does ("-received_at", "study__patient__name", "-id"), which
    together are unique, so end with the primary key; all but that may be null. A cursor is
    encrypted, for it holds the last row's values, and serves the list and the `filters` that it
    was made for. Raises CursorInvalid.
    """
    scope = _scope_of(queryset, key, filters or {})
    rows = queryset.order_by(*key)
    if after is not None:
        rows = rows.filter(_behind(rows, key, _read_cursor(after, scope=scope)))
    items = list(rows[: size + 1])
    if len(items) <= size:
        return Page(items=items, next_cursor=None)
    items = items[:size]
    values = [_value_of(items[-1], name.removeprefix("-")) for name in key]
    return Page(items=items, next_cursor=_write_cursor(values, scope=scope))


def _behind(rows: models.QuerySet[Any], key: Sequence[str], position: Sequence[Any]) -> Q:
    """Rows that sort after `position`.

    The bound on the first field is implied by the rest: it is there because the database can walk
    an index from it, which it can't from an OR.
    """
    condition, equal = Q(pk__in=()), Q()
    for name, value in zip(key, position, strict=True):
        condition |= equal & _after(rows.model, name, value)
        equal &= _same(name.removeprefix("-"), value)
    return _from(rows.model, key[0], position[0]) & condition


def _from(model: type[models.Model], name: str, value: Any) -> Q:
    """Rows whose field sorts at or after a value."""
    field, is_descending = name.removeprefix("-"), name.startswith("-")
    if value is None:
        return Q() if is_descending else Q(**{f"{field}__isnull": True})
    bound = Q(**{f"{field}__{'lte' if is_descending else 'gte'}": value})
    if is_descending or not _may_be_null(model, field):
        return bound
    return bound | Q(**{f"{field}__isnull": True})


def _after(model: type[models.Model], name: str, value: Any) -> Q:
    """Rows whose field sorts after a value: PostgreSQL has nulls last, and first descending."""
    field, is_descending = name.removeprefix("-"), name.startswith("-")
    if value is None:
        return Q(**{f"{field}__isnull": False}) if is_descending else Q(pk__in=())
    beyond = Q(**{f"{field}__{'lt' if is_descending else 'gt'}": value})
    if is_descending or not _may_be_null(model, field):
        return beyond
    return beyond | Q(**{f"{field}__isnull": True})


def _same(field: str, value: Any) -> Q:
    return Q(**{f"{field}__isnull": True}) if value is None else Q(**{field: value})


def _may_be_null(model: type[models.Model], path: str) -> bool:
    """Whether a field may be null, or one of the relations that lead to it; annotations may."""
    found: Any = model
    for step in path.split("__"):
        if step == "pk":
            return False
        try:
            field = found._meta.get_field(step)
        except FieldDoesNotExist:
            return True
        if getattr(field, "null", True):
            return True
        found = field.related_model
    return False


def _value_of(row: Any, path: str) -> Any:
    for step in path.split("__"):
        row = None if row is None else getattr(row, step)
    return row


def _scope_of(
    queryset: models.QuerySet[Any], key: Sequence[str], filters: Mapping[str, Sequence[str]]
) -> str:
    """What a cursor is bound to, as a digest."""
    used = {name: list(filters[name]) for name in sorted(filters) if any(filters[name])}
    written = json.dumps([queryset.model._meta.label, list(key), used])
    return hashlib.sha256(written.encode()).hexdigest()


def _write_cursor(values: Sequence[Any], *, scope: str) -> str:
    pairs = [[type(value).__name__, str(value)] for value in values]
    return _box().encrypt(json.dumps([scope, pairs]).encode()).decode()


def _read_cursor(cursor: str, *, scope: str) -> list[Any]:
    try:
        made_for, pairs = json.loads(_box().decrypt(cursor.encode("utf-8", "replace")))
    except InvalidToken as error:
        raise CursorInvalid from error
    if made_for != scope:
        raise CursorInvalid
    return [READERS[name](text) for name, text in pairs]


def _box() -> Any:
    return make_box([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS], purpose=PURPOSE)
