"""Departments come and change their names; they are never deleted, because studies are theirs."""

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from accounts.audit import record_event
from accounts.choices import Action
from accounts.errors import DepartmentNameTaken
from accounts.models import Department, User

SLUG_LENGTH = 50
FALLBACK_SLUG = "department"


@transaction.atomic
def create_department(*, actor: User | None, name: str) -> Department:
    """Add a department. Raises DepartmentNameTaken."""
    department = Department(name=name.strip(), slug=_free_slug(name))
    _save(department)
    record_event(
        action=Action.DEPARTMENT_CREATED,
        actor=actor,
        target=department,
        department_id=department.pk,
        details={"name": department.name},
    )
    return department


@transaction.atomic
def rename_department(*, actor: User | None, department: Department, name: str) -> Department:
    """Give a department another name; its slug stays, because links hold it.

    Raises DepartmentNameTaken.
    """
    department = Department.objects.select_for_update().get(pk=department.pk)
    old_name = department.name
    department.name = name.strip()
    _save(department)
    record_event(
        action=Action.DEPARTMENT_RENAMED,
        actor=actor,
        target=department,
        department_id=department.pk,
        details={"old_name": old_name, "name": department.name},
    )
    return department


@transaction.atomic
def set_default_issuer(*, actor: User | None, department: Department, issuer: str) -> Department:
    """Say who issues the patient IDs that are typed in a department; records stay as they are."""
    department = Department.objects.select_for_update().get(pk=department.pk)
    old, department.default_issuer = department.default_issuer, issuer.strip()
    department.save(update_fields=["default_issuer"])
    record_event(
        action=Action.DEPARTMENT_UPDATED,
        actor=actor,
        target=department,
        department_id=department.pk,
        details={
            "name": department.name,
            "default_issuer": department.default_issuer,
            "old_default_issuer": old,
        },
    )
    return department


def _save(department: Department) -> None:
    taken = Department.objects.filter(name__iexact=department.name).exclude(pk=department.pk)
    if taken.exists():
        raise DepartmentNameTaken(name=department.name)
    try:
        with transaction.atomic():
            department.save()
    except IntegrityError as error:  # somebody else took the name in this very moment
        raise DepartmentNameTaken(name=department.name) from error


def _free_slug(name: str) -> str:
    base = slugify(name)[:SLUG_LENGTH].strip("-") or FALLBACK_SLUG
    taken = set(Department.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    slug, number = base, 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug
