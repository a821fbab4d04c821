"""Keyset paging: every row once, in order, whatever happens between the pages."""

import pytest

from accounts.models import Department, User
from accounts.paging import paginate

pytestmark = pytest.mark.django_db


def make_departments(*names: str) -> None:
    for number, name in enumerate(names):
        Department.objects.create(name=name, slug=f"d{number}")


def read_all(queryset, key, size):
    pages, cursor = [], None
    while True:
        page = paginate(queryset, key=key, after=cursor, size=size)
        pages.append(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return pages


@pytest.mark.parametrize("key", [("name", "id"), ("-name", "-id"), ("-created_at", "name", "id")])
@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_paginate_returns_each_row_once_when_read_to_the_end(key, size):
    make_departments("Chest", "Neuro", "Skin", "Eye", "Emergency")
    pages = read_all(Department.objects.all(), key, size)
    assert [row for page in pages for row in page] == list(Department.objects.order_by(*key))
    assert all(len(page) <= size for page in pages)


def test_paginate_breaks_ties_when_the_first_key_is_equal():
    people = [User.objects.create(username=f"u{n}", full_name="Same Name") for n in range(7)]
    rows = [row for page in read_all(User.objects, ("full_name", "id"), 3) for row in page]
    assert rows == sorted(people, key=lambda person: person.pk)


def test_paginate_neither_skips_nor_repeats_when_rows_arrive_between_pages():
    make_departments("B", "D", "F")
    first = paginate(Department.objects.all(), key=("name", "id"), size=2)
    Department.objects.create(name="A", slug="new-before")
    Department.objects.create(name="E", slug="new-behind")
    second = paginate(Department.objects.all(), key=("name", "id"), after=first.next_cursor, size=2)
    assert [row.name for row in second.items] == ["E", "F"]


def test_paginate_keeps_the_filters_when_asked_for_the_next_page():
    make_departments("A1", "A2", "A3", "B1")
    queryset = Department.objects.filter(name__startswith="A")
    rows = [row.name for page in read_all(queryset, ("-name", "-id"), 1) for row in page]
    assert rows == ["A3", "A2", "A1"]


@pytest.mark.parametrize("cursor", ["", None, "nonsense", "a:b:c", "é\x00", "=" * 500])
def test_paginate_returns_the_first_page_when_the_cursor_is_bad(cursor):
    make_departments("A", "B")
    page = paginate(Department.objects.all(), key=("name", "id"), after=cursor, size=1)
    assert [row.name for row in page.items] == ["A"]


def test_paginate_returns_the_first_page_when_the_cursor_is_of_another_list():
    make_departments("A", "B", "C")
    other = paginate(Department.objects.all(), key=("-name", "-id"), size=1).next_cursor
    page = paginate(Department.objects.all(), key=("name", "id"), after=other, size=1)
    assert [row.name for row in page.items] == ["A"]


def test_paginate_follows_relations_when_the_key_names_one():
    make_departments("A", "B")
    for number, department in enumerate(Department.objects.order_by("-name")):
        person = User.objects.create(username=f"u{number}")
        person.memberships.create(role="reviewer", department=department)
    memberships = User.memberships.rel.related_model.objects.select_related("department")
    rows = [r for page in read_all(memberships, ("department__name", "id"), 1) for r in page]
    assert [row.department.name for row in rows] == ["A", "B"]
