"""What a migration does that the release before it couldn't go on working with."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from medimaging.database_roles import DELETED_FROM

REMOVING = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.RenameModel,
    migrations.DeleteModel,
    migrations.AlterModelTable,
    migrations.AlterUniqueTogether,
    migrations.AlterOrderWithRespectTo,
)
SAFE_SQL = re.compile(
    r"(create (or replace )?function|drop (function|trigger)|"
    r"alter table \w+ alter column \w+ set default) ",
    re.IGNORECASE,
)
"""How statements begin by which nothing that is written is changed or refused."""
TRIGGER = re.compile(r"create trigger (\w+)", re.IGNORECASE)


def find_contractions(
    plan: Iterable[tuple[str, Iterable[Operation]]], state: ProjectState
) -> Iterator[str]:
    """Name each step of migrations, with their labels, that isn't safe by its kind.

    `state` is what the last release knows; what is made since then is nothing that it writes.
    """
    known = {f"{app}.{name}" for app, name in state.models}
    for label, operations in plan:
        app = label.split(".")[0]
        for operation in operations:
            for step in _in_database(operation):
                for fault in _faults(step, app, state, known):
                    yield f"{label}: {fault}"
            operation.state_forwards(app, state)


def _in_database(operation: Any) -> list[Any]:
    is_apart = isinstance(operation, migrations.SeparateDatabaseAndState)
    return list(operation.database_operations) if is_apart else [operation]


def _faults(operation: Any, app: str, before: ProjectState, known: set[str]) -> Iterator[str]:
    if isinstance(operation, migrations.CreateModel):
        yield from _faults_of_table(operation, known)
    elif isinstance(operation, migrations.RunSQL):
        yield from _faults_of_sql(operation)
    elif isinstance(operation, migrations.RunPython):
        if operation.code is not migrations.RunPython.noop:
            yield "rows are changed by Python"
    elif isinstance(operation, REMOVING):
        yield operation.describe()
    else:
        model = getattr(operation, "model_name", None) or getattr(operation, "name", "")
        if f"{app}.{model.lower()}" in known:
            yield from _faults_of_known(operation, app, before)


def _faults_of_table(operation: Any, known: set[str]) -> Iterator[str]:
    removable = {label.lower() for label in DELETED_FROM} & known
    for name, field in operation.fields:
        relation = getattr(field, "remote_field", None)
        if relation is not None and str(relation.model).lower() in removable:
            yield f"{operation.name}.{name} holds on to rows that may be deleted"


def _faults_of_known(operation: Any, app: str, before: ProjectState) -> Iterator[str]:
    """Of a table that the last release writes to."""
    if isinstance(operation, migrations.AddField):
        if not _may_be_left_out(operation.field):
            yield f"{operation.model_name}.{operation.name} is added without null and db_default"
    elif isinstance(operation, migrations.AlterField):
        old = before.models[app, operation.model_name_lower].fields[operation.name]
        name = f"{operation.model_name}.{operation.name}"
        yield from _faults_of_change(name, old, operation.field)
    elif isinstance(operation, migrations.AddConstraint):
        yield f"constraint {operation.constraint.name} is added"


def _may_be_left_out(field: Any) -> bool:
    return field.null or field.has_db_default() or field.many_to_many


def _faults_of_change(name: str, old: Any, new: Any) -> Iterator[str]:
    """Choices and words are the application's own: the database knows the column alone."""
    if old.null and not new.null:
        yield f"{name} takes no null any more"
    if old.has_db_default() and not new.has_db_default():
        yield f"{name} has no db_default any more"
    if _length(new) < _length(old) or type(old) is not type(new):
        yield f"{name} takes less than before"
    if new.unique and not old.unique:
        yield f"{name} becomes unique"


def _length(field: Any) -> float:
    return math.inf if field.max_length is None else field.max_length


def _faults_of_sql(operation: Any) -> Iterator[str]:
    statements = operation.sql if isinstance(operation.sql, list | tuple) else [operation.sql]
    for statement in statements:
        text = " ".join(str(statement).split())
        triggers = TRIGGER.findall(text)
        yield from (f"trigger {name}" for name in triggers)
        if text and not triggers and not SAFE_SQL.match(text):
            yield f"SQL: {text[:50].strip()}"
