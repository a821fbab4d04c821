"""Keyset paging: every row once, in order, whatever happens between the pages."""

import base64
import datetime as dt

import pytest

from accounts.errors import CursorInvalid
from accounts.models import Department, User
from accounts.paging import paginate
from records.models import Patient, Study
from tests import factories

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


@pytest.mark.parametrize("cursor", ["", "nonsense", "a:b:c", "é\x00", "=" * 500, "\ud800"])
def test_paginate_refuses_a_cursor_that_is_none(cursor):
    with pytest.raises(CursorInvalid):
        paginate(Department.objects.all(), key=("name", "id"), after=cursor)


def test_paginate_refuses_a_cursor_of_another_order_list_or_filter():
    make_departments("A", "B", "C")
    rows, key = Department.objects.all(), ("name", "id")
    cursor = paginate(rows, key=key, size=1, filters={"q": ["x"], "state": [""]}).next_cursor
    assert paginate(rows, key=key, after=cursor, filters={"q": ["x"]}).items[0].name == "B"
    for other in (
        {"queryset": rows, "key": ("-name", "-id"), "filters": {"q": ["x"]}},
        {"queryset": Patient.objects.all(), "key": key, "filters": {"q": ["x"]}},
        {"queryset": rows, "key": key, "filters": {"q": ["y"]}},
        {"queryset": rows, "key": key, "filters": {}},
    ):
        with pytest.raises(CursorInvalid):
            paginate(**other, after=cursor)


@pytest.mark.parametrize(
    "key", [("study_date", "id"), ("-study_date", "-id"), ("-accession_number", "study_date", "id")]
)
def test_paginate_returns_each_row_once_where_the_key_may_be_null(key):
    department = factories.make_department()
    for day in (None, 3, None, 1, 1, None, 2):
        date = day and dt.date(2026, 1, day)
        factories.make_study(department=department, images=0, study_date=date)
    rows = Study.objects.all()
    for size in (1, 2, 7):
        read = [row for page in read_all(rows, key, size) for row in page]
        assert read == list(rows.order_by(*key))


def test_a_cursor_shows_nothing_of_the_row_that_it_stands_at():
    make_departments("Berger", "Muster")
    cursor = paginate(Department.objects.all(), key=("name", "id"), size=1).next_cursor
    text = base64.urlsafe_b64decode(cursor)
    assert b"Berger" not in text
    assert b"str" not in text


def test_paginate_follows_relations_when_the_key_names_one():
    make_departments("A", "B")
    for number, department in enumerate(Department.objects.order_by("-name")):
        person = User.objects.create(username=f"u{number}")
        person.memberships.create(role="reviewer", department=department)
    memberships = User.memberships.rel.related_model.objects.select_related("department")
    rows = [r for page in read_all(memberships, ("department__name", "id"), 1) for r in page]
    assert [row.department.name for row in rows] == ["A", "B"]
