"""Each stable code has one meaning, whichever app or door tells it."""

import importlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from accounts.errors import KnownError
from medimaging.problems import REFUSALS
from ml.errors import MLError

APPS = ("accounts", "classifier", "medimaging", "ml", "records")

TOLD_IN_SEVERAL_WAYS = {
    "database_unavailable": "to people at a door, and to the operator at a backup",
    "image_too_large": "by the library, and by the intake in its own units",
    "image_unreadable": "by the library, and by the intake",
    "invalid": "a value that isn't what its parameter or field takes: `pointer` names it",
    "not_acceptable": "with or without the formats that there are",
    "not_reviewable": "what the row's state is, or that a newer run has replaced it",
    "several_pictures": "by the library, and by the intake",
    "storage_unavailable": "to people at a door, and to the operator at a backup",
    "too_many_files": "of one file of a full batch, and of a request that had too many",
    "unsupported_media_type": "with or without the formats that are taken",
}
"""Codes with several sentences, each of which says the same of another situation."""


def known_errors() -> Iterator[type[KnownError] | type[MLError]]:
    """Every error with a code that the sources define, in any module named errors."""
    root = Path(settings.BASE_DIR)
    for app in APPS:
        for path in (*root.glob(f"{app}/**/errors.py"), *root.glob(f"{app}/**/errors/*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            importlib.import_module(name.removesuffix(".__init__"))
    waiting: list[type] = [KnownError, MLError]
    while waiting:
        found = waiting.pop()
        waiting += found.__subclasses__()
        if found.__module__.partition(".")[0] in APPS:
            yield found


def sentences_by_code() -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for error in known_errors():
        found[error.code].add((error.message, error.action))
    for code, message, action in REFUSALS.values():
        found[code].add((message, action))
    return found


def test_a_code_with_several_sentences_has_one_meaning_all_the_same():
    found = sentences_by_code()

    assert len(found) > 200
    several = {code for code, sentences in found.items() if len(sentences) > 1}
    assert several == set(TOLD_IN_SEVERAL_WAYS)
