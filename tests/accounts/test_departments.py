"""Departments: one name each, whatever its case."""

import pytest

from accounts.choices import Action
from accounts.errors import DepartmentNameTaken
from accounts.services import create_department, rename_department


def test_create_department_adds_it_when_the_name_is_free(administrator, recording):
    with recording() as events:
        department = create_department(actor=administrator, name=" Eye clinic ")
    assert (department.name, department.slug) == ("Eye clinic", "eye-clinic")
    assert [event.action for event in events] == [Action.DEPARTMENT_CREATED]
    assert events[0].department_id == department.pk


def test_create_department_refuses_when_the_name_is_taken(administrator, department, recording):
    with recording() as events, pytest.raises(DepartmentNameTaken):
        create_department(actor=administrator, name="RADIOLOGY")
    assert events == []


@pytest.mark.parametrize(("names", "slug"), [(["Eye!", "Eye?"], "eye-2"), (["眼科"], "department")])
def test_create_department_finds_a_slug_when_the_name_gives_none(administrator, names, slug):
    departments = [create_department(actor=administrator, name=name) for name in names]
    assert departments[-1].slug == slug


def test_rename_department_keeps_the_slug_when_renamed(administrator, recording):
    department = create_department(actor=administrator, name="Eye clinic")
    with recording() as events:
        renamed = rename_department(actor=administrator, department=department, name="Retina")
    assert (renamed.name, renamed.slug) == ("Retina", "eye-clinic")
    assert [event.action for event in events] == [Action.DEPARTMENT_RENAMED]
    assert events[0].details == {"old_name": "Eye clinic", "name": "Retina"}


def test_rename_department_refuses_when_another_has_the_name(administrator, department, recording):
    other = create_department(actor=administrator, name="Eye clinic")
    with recording() as events, pytest.raises(DepartmentNameTaken):
        rename_department(actor=administrator, department=other, name="radiology")
    assert events == []


def test_rename_department_allows_another_case_when_it_is_the_same_one(administrator, department):
    renamed = rename_department(actor=administrator, department=department, name="RADIOLOGY")
    assert renamed.name == "RADIOLOGY"
