"""Rules of the apps' sources that neither the linter nor the import contracts know."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings

from accounts.actions import registry

APPS = ("accounts", "records", "classifier")
UPWARDS = (*APPS, "medimaging")
"""What a package may import: those before it, never those behind it."""

LOOKUPS = frozenset({"exact", "iexact", "in", "gt", "gte", "lt", "lte", "contains", "startswith"})


def list_sources(*folders: str) -> list[Path]:
    """The modules below the folders, without migrations: those write values out for good."""
    found = (path for name in folders for path in Path(settings.BASE_DIR, name).rglob("*.py"))
    return sorted(path for path in found if "migrations" not in path.parts)


@cache
def members_by_field() -> dict[str, set[Any]]:
    """What the fields of a name may say, of all three apps together; without the empty text.

    Not a patient's sex: its letters are DICOM's, which what reads the files knows by itself.
    """
    found: dict[str, set[Any]] = {"action": {value for value, _ in registry.choices()}}
    for label in APPS:
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.get_fields():
                for value, _ in getattr(field, "flatchoices", ()):
                    found.setdefault(field.name, set()).add(value)
    del found["sex"]
    return {name: values - {""} for name, values in found.items()}


def literals_of(node: ast.expr) -> Iterator[Any]:
    """The texts and numbers that an expression writes out: itself, or in a collection."""
    if isinstance(node, ast.Constant) and type(node.value) in (str, int):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from literals_of(element)


def field_of_lookup(name: str) -> str:
    """The field that a keyword asks about: "state" of `submission__state__in`."""
    parts = name.split("__")
    return parts[-2] if len(parts) > 1 and parts[-1] in LOOKUPS else parts[-1]


def pairs_in(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Each field's name with what a keyword gives it, or what it is compared with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield field_of_lookup(node.arg), node.value
        elif isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            names = {side.attr for side in sides if isinstance(side, ast.Attribute)}
            names |= {side.id for side in sides if isinstance(side, ast.Name)}
            yield from ((name, side) for name in names for side in sides)


def find_literals(source: str) -> list[tuple[int, str, Any]]:
    """Line, field and value wherever a member of a field's choices is written as a literal."""
    members = members_by_field()
    return [
        (value.lineno, field, literal)
        for field, value in pairs_in(ast.parse(source))
        for literal in literals_of(value)
        if literal in members.get(field, ())
    ]


def find_type_imports(tree: ast.AST) -> Iterator[str]:
    """The packages of which a module imports something for its types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom) and inner.module:
                    yield inner.module.partition(".")[0]


def test_choices_are_named_where_a_field_is_asked_set_or_compared() -> None:
    found = [
        f"{path}:{line} {field} {literal!r}"
        for path in list_sources(*UPWARDS)
        for line, field, literal in find_literals(path.read_text())
    ]
    assert found == []


def test_types_are_imported_one_way_between_the_apps() -> None:
    found = [
        f"{path} imports {package}"
        for height, name in enumerate(UPWARDS)
        for path in list_sources(name)
        for package in find_type_imports(ast.parse(path.read_text()))
        if package in UPWARDS[height + 1 :]
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        'rows.filter(state="queued")',
        'rows.exclude(submission__state__in=("stored", "receiving"))',
        "Q(outcome=4)",
        'record_event(action="association.refused")',
        'record_event(action="user.signed_in")',
        'record_event(action="classification.queued")',
        'record_event(action="backup.made")',
        'row.kind == "elsewhere"',
        'row.state in {"open", other}',
    ],
)
def test_a_literal_is_found_when_it_is_a_member(planted: str) -> None:
    assert find_literals(planted)


@pytest.mark.parametrize(
    "innocent",
    ["rows.filter(state=State.QUEUED)", 'rows.filter(state="")', 'rows.filter(name="queued")'],
)
def test_a_literal_is_let_be_when_it_is_no_member(innocent: str) -> None:
    assert not find_literals(innocent)


def test_only_inflating_unpacks_deflated_data():
    """Whatever else would unpack without a bound, or with one of its own."""
    named = (
        "zlib.decompress",
        "import gzip",
        "from gzip",
        "from zlib",
        "import bz2",
        "import lzma",
    )
    found = {
        str(path.relative_to(settings.BASE_DIR))
        for path in list_sources(*UPWARDS, "ml")
        if any(word in path.read_text(encoding="utf-8") for word in named)
    }

    assert found == {"ml/inflating.py"}


def test_templates_of_records_name_nothing_of_the_classifier():
    named = re.compile(r"\bclassifier[:/]|\.classifications\b")
    folder = Path(settings.BASE_DIR, "templates", "records")

    assert [path.name for path in folder.glob("*.html") if named.search(path.read_text())] == []
