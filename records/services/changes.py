"""What a decision changes in rows, kept so that it can be taken back exactly."""

import datetime as dt
from typing import Any
from uuid import UUID

from django.db.models import Model, ProtectedError

from records.errors import ChangedSince
from records.models import IdentityConflict, Patient, QuarantinedFile, Study

Values = dict[str, Any]
Rows = dict[str, dict[str, Values | None]]
"""By model and primary key the values of fields; None for a row that wasn't there."""

IN_LOCKING_ORDER: tuple[type[Model], ...] = (Study, QuarantinedFile, IdentityConflict, Patient)
DERIVED: dict[type[Model], tuple[str, ...]] = {Patient: ("search_name",)}


class Changes:
    """Changes rows, and notes what they held before and after."""

    def __init__(self) -> None:
        """Begin with nothing changed."""
        self.before: Rows = {}
        self.after: Rows = {}

    def set(self, row: Model, **values: Any) -> None:
        """Save new values of a row's fields; foreign keys go by their column ("patient_id")."""
        before, after = self._notes(self.before, row), self._notes(self.after, row)
        for name, value in values.items():
            if before is not None:
                before.setdefault(name, _plain(getattr(row, name)))
            if after is not None:
                after[name] = _plain(value)
            setattr(row, name, value)
        row.save(update_fields=[*values, *DERIVED.get(type(row), ())])

    def created(self, row: Model) -> None:
        """Note that the decision made a row."""
        self.before.setdefault(_kind(row), {})[str(row.pk)] = None
        self.after.setdefault(_kind(row), {})[str(row.pk)] = {}

    @staticmethod
    def _notes(rows: Rows, row: Model) -> Values | None:
        return rows.setdefault(_kind(row), {}).setdefault(str(row.pk), {})


def restore(before: Rows, after: Rows) -> None:
    """Give every changed row its values back, and remove the rows that were made for it.

    A made row that something else has come to need stays. Raises ChangedSince where a row doesn't
    hold any more what the change left there.
    """
    made: list[Model] = []
    for model in IN_LOCKING_ORDER:
        kind = str(model._meta.model_name)
        found = model._base_manager.select_for_update().in_bulk(list(before.get(kind, {})))
        rows = {str(pk): row for pk, row in found.items()}
        for pk, values in before.get(kind, {}).items():
            if pk not in rows or not _holds(rows[pk], after[kind][pk] or {}):
                raise ChangedSince
            if values is None:
                made.append(rows[pk])
            else:
                _give_back(rows[pk], values)
    for row in made:
        _remove(row)


def _give_back(row: Model, values: Values) -> None:
    for name, value in values.items():
        setattr(row, name, row._meta.get_field(name).to_python(value))  # type: ignore[union-attr]  # a column's
    row.save(update_fields=[*values, *DERIVED.get(type(row), ())])


def _holds(row: Model, values: Values) -> bool:
    return all(_plain(getattr(row, name)) == value for name, value in values.items())


def _remove(row: Model) -> None:
    try:
        row.delete()
    except ProtectedError:
        return


def _kind(row: Model) -> str:
    return str(row._meta.model_name)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID | dt.date) else value
