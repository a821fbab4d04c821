"""Roles that one administrator proposes and another accepts."""

import datetime as dt
import uuid

from django.db import models
from django.utils import timezone

from accounts.choices import ProposalState
from accounts.models.people import Department, User
from accounts.querysets import RoleProposalQuerySet
from accounts.roles import Role

PROPOSAL_LIFE = dt.timedelta(days=14)


def proposal_end() -> dt.datetime:
    """When a proposal that is made now lapses."""
    return timezone.now() + PROPOSAL_LIFE


class RoleProposal(models.Model):
    """A role for a person that waits for a second administrator.

    ```
    WAITING ──accept──▶ GRANTED
    WAITING ──decline──▶ DECLINED
    ```

    `proposed_through` is who stood behind the proposer's session, where that was somebody else.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="role_proposals")
    role = models.CharField(max_length=20, choices=Role.choices)
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="+", null=True
    )
    state = models.CharField(
        max_length=10, choices=ProposalState.choices, default=ProposalState.WAITING
    )
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    proposed_through = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True
    )
    proposed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(default=proposal_end)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    decided_at = models.DateTimeField(null=True)

    objects = RoleProposalQuerySet.as_manager()

    class Meta:
        """Oldest first; nobody decides on what they proposed or are to get."""

        ordering = ("proposed_at", "id")
        indexes = (models.Index(fields=("state", "expires_at"), name="role_proposal_waiting"),)
        constraints = (
            models.CheckConstraint(
                condition=~models.Q(state=ProposalState.GRANTED)
                | models.Q(decided_by__isnull=True)
                | ~(
                    models.Q(decided_by=models.F("proposed_by"))
                    | models.Q(decided_by=models.F("user"))
                ),
                name="role_proposal_by_two",
            ),
        )

    def __str__(self) -> str:
        """Return the role, and where it would be held."""
        where = f" · {self.department}" if self.department_id else ""
        return f"{self.get_role_display()}{where}"

    @property
    def people(self) -> set[uuid.UUID]:
        """Who can't be the second person: who proposed it, who stood behind, who gets it."""
        involved = {self.proposed_by_id, self.proposed_through_id, self.user_id}
        return {pk for pk in involved if pk is not None}

    @property
    def is_waiting(self) -> bool:
        """Tell whether somebody can still decide."""
        return self.state == ProposalState.WAITING and self.expires_at > timezone.now()
