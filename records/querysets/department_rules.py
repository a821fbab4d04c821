"""Reads of the rules by which images find their department."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models

from accounts.roles import Verb

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import DepartmentRule, RoutingFacts  # noqa: F401 - in strings


class DepartmentRuleQuerySet(models.QuerySet["DepartmentRule"]):
    """Reads of rules."""

    def visible_to(self, user: "User") -> "DepartmentRuleQuerySet":
        """All of them for those who manage departments."""
        return self if user.has_verb(Verb.ACCOUNT_MANAGE) else self.none()

    def among(self, department_ids: Iterable[UUID]) -> "DepartmentRuleQuerySet":
        """Those that lead to one of these departments."""
        return self.filter(department__in=department_ids)

    def find_department_id(self, facts: "RoutingFacts") -> UUID | None:
        """The department that the first fitting rules agree on; None where none or several."""
        fitting = [rule for rule in self if rule.fits(facts)]
        first = [rule for rule in fitting if rule.position == fitting[0].position]
        found = {rule.department_id for rule in first}
        return found.pop() if len(found) == 1 else None
