"""Whom and what the trail can be asked about by the names that people use.

This app knows its people. Apps above add finders of their own for patient IDs, accession numbers
and UIDs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Lower

from accounts.models import User


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that events are about, by the ids that the trail has of it.

    `words` says what it is without a patient's name: auditors need not know it.
    """

    words: str
    people: tuple[UUID, ...] = ()
    patients: tuple[UUID, ...] = ()
    studies: tuple[UUID, ...] = ()


Finder = Callable[[str], Iterable[Subject]]

_finders: list[Finder] = []


def add_finder(finder: Finder) -> None:
    """Let `finder` answer for a kind of subject; it is given what was typed, without spaces."""
    if finder not in _finders:
        _finders.append(finder)


def find_subjects(text: str) -> list[Subject]:
    """Everything that is called exactly `text`: people, and what the finders know."""
    name = text.strip()
    if not name:
        return []
    found = list(_find_people(name))
    for finder in _finders:
        found += finder(name)
    return found


def _find_people(name: str) -> Iterable[Subject]:
    folded = name.lower()
    rows = User.objects.alias(login=Lower("username"), called=Lower("full_name"))
    named = rows.filter(Q(login=folded) | Q(called=folded) | Q(email__iexact=name))
    for person in named.order_by("username"):
        yield Subject(words=f"{person} ({person.username})", people=(person.pk,))
