"""People, departments, and who holds which role where."""

import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from accounts.querysets import DepartmentQuerySet, UserManager
from accounts.roles import DEPARTMENT_ROLES, ROLE_VERBS, Role, Verb, roles_with


class Department(models.Model):
    """A ward or unit; studies belong to exactly one, and its members see them.

    `default_issuer` is who issues the patient IDs that are typed here: the Issuer of Patient ID
    (0010,0021) of a photograph whose sender names none.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    default_issuer = models.CharField(
        "issuer of patient IDs", max_length=64, blank=True, default="", db_default=""
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DepartmentQuerySet.as_manager()

    class Meta:
        """Names are unique whatever their case."""

        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(Lower("name"), name="department_name_unique_ignoring_case"),
        )

    def __str__(self) -> str:
        """Return the name as staff know it."""
        return self.name


class User(AbstractUser):
    """A person with a sign-in; deactivated, never deleted, and the name is never used again.

    Raising `session_generation` ends every session and set-password link of this person.
    `password_set_through` is the administrator through whose link the password was set: until the
    person has one of their own, what they do is recorded as done through that link.
    `email_set_by` is who last chose the address that links are mailed to, until the person has
    seen that. `administrator_until` is when somebody else took the administrator role away.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    first_name = None  # type: ignore[assignment]  # one full name: not every name splits in two
    last_name = None  # type: ignore[assignment]  # as above
    full_name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    session_generation = models.PositiveIntegerField(default=0, editable=False)
    password_set_through = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    email_set_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    administrator_until = models.DateTimeField(null=True, editable=False)
    token_verbs: frozenset[Verb] | None = None  # what the API token in use allows, if any
    token_department_id: uuid.UUID | None = None  # the one that it is bound to, if any
    departments = models.ManyToManyField(Department, through="Membership", related_name="members")

    objects: ClassVar[UserManager] = UserManager()

    REQUIRED_FIELDS: ClassVar[list[str]] = ["full_name"]

    class Meta:
        """User names are unique whatever their case, so that two can't be confused."""

        ordering = ("username",)
        constraints = (
            models.UniqueConstraint(Lower("username"), name="username_unique_ignoring_case"),
        )

    def __str__(self) -> str:
        """Return the full name, or the user name where none was given."""
        return self.full_name or self.username

    def get_full_name(self) -> str:
        """Return the name printed beside what this person did."""
        return str(self)

    def get_short_name(self) -> str:
        """Return the user name."""
        return self.username

    def get_session_auth_hash(self) -> str:
        """Return what a session must carry to be this person's."""
        return self._session_hash(secret=None)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """Yield the same under each former secret key, so that rotating it signs nobody out."""
        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._session_hash(secret=secret)

    def _session_hash(self, *, secret: str | None) -> str:
        value = f"{self.password}:{self.session_generation}"
        return salted_hmac("accounts.session", value, secret, algorithm="sha256").hexdigest()

    @cached_property
    def memberships_held(self) -> list["Membership"]:
        """Every role this person holds, read once per instance."""
        return list(self.memberships.select_related("department"))

    @property
    def memberships_in_use(self) -> list["Membership"]:
        """Those that count now: a token that is bound to a department acts in no other."""
        bound = self.token_department_id
        held = self.memberships_held
        return held if bound is None else [m for m in held if m.department_id in (None, bound)]

    @property
    def departments_held(self) -> list[Department]:
        """The departments in which this person holds a role, each once, by name."""
        held = {m.department_id: m.department for m in self.memberships_in_use if m.department}
        return sorted(held.values(), key=lambda department: department.name.casefold())

    @property
    def verbs(self) -> frozenset[Verb]:
        """Everything this person may do somewhere, narrowed by the token in use if any."""
        if not self.is_active:
            return frozenset()
        held = frozenset().union(*(ROLE_VERBS[Role(m.role)] for m in self.memberships_in_use))
        return held if self.token_verbs is None else held & self.token_verbs

    def has_verb(self, verb: Verb) -> bool:
        """Tell whether any role of this person carries `verb`."""
        return verb in self.verbs

    def has_verb_everywhere(self, verb: Verb) -> bool:
        """Tell whether a role that is held for the whole hospital carries `verb`."""
        roles = set(roles_with(verb)) - DEPARTMENT_ROLES
        return self.has_verb(verb) and any(m.role in roles for m in self.memberships_in_use)

    def has_verb_in(self, verb: Verb, department_id: uuid.UUID) -> bool:
        """Tell whether this person may do `verb` in that very department."""
        return department_id in self.department_ids_for(verb)

    def department_ids_for(self, verb: Verb) -> list[uuid.UUID]:
        """The ids of the departments in which this person may do `verb`.

        Given to queries as plain values, they let the database walk an index in the order
        of a list; a subquery in their place does not.
        """
        if not self.has_verb(verb):
            return []
        roles = set(roles_with(verb))
        held = {m.department_id for m in self.memberships_in_use if m.role in roles}
        return sorted(pk for pk in held if pk is not None)

    def departments_for(self, verb: Verb) -> models.QuerySet[Department]:
        """The departments in which this person may do `verb`, to choose from."""
        return Department.objects.filter(pk__in=self.department_ids_for(verb))


class Membership(models.Model):
    """One role of one person, in one department or (department empty) for the whole hospital."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="memberships", null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """A departmental role has its department; a hospital-wide role has none."""

        ordering = ("role", "department__name")
        constraints = (
            models.UniqueConstraint(
                fields=("user", "role", "department"),
                nulls_distinct=False,
                name="membership_unique",
            ),
            models.CheckConstraint(
                condition=Q(role__in=sorted(DEPARTMENT_ROLES), department__isnull=False)
                | (~Q(role__in=sorted(DEPARTMENT_ROLES)) & Q(department__isnull=True)),
                name="membership_department_fits_role",
            ),
        )

    def __str__(self) -> str:
        """Return the role, and where it is held."""
        where = f" · {self.department}" if self.department_id else ""
        return f"{self.get_role_display()}{where}"
