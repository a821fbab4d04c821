"""What is counted: attempts that a limit looks at, and refusals that the trail sums up."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.actions import LONGEST_ACTION


class Attempts(models.Model):
    """How often something was tried under one key since `since`; old rows mean nothing.

    Keys hold hashes and addresses, never what was typed. The rows are in PostgreSQL, so that a
    limit holds for all processes together and with Redis down.
    """

    key = models.CharField(max_length=120, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        """Swept by age."""

        indexes = (models.Index(fields=("since",), name="attempts_since"),)

    def __str__(self) -> str:
        """Return the key and the count."""
        return f"{self.key}: {self.count}"


class RefusalTally(models.Model):
    """Refusals of one kind to one person or address that no event of their own speaks of yet.

    `told` names what got an event of its own since `since`; `count` is how many followed, and
    `targets` holds some of what they were about. At `until` all that becomes one event. `streak`
    makes the span longer for those who go on and on.
    """

    kind = models.CharField(max_length=LONGEST_ACTION)
    who = models.CharField(max_length=80)
    actor_id = models.UUIDField(null=True)
    source_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField()
    streak = models.PositiveSmallIntegerField(default=0)
    count = models.PositiveIntegerField(default=0)
    told = ArrayField(models.CharField(max_length=200), default=list)
    targets = ArrayField(models.CharField(max_length=200), default=list)

    class Meta:
        """One at a time for each kind and caller."""

        constraints = (
            models.UniqueConstraint(fields=("kind", "who"), name="refusal_tally_unique"),
        )
        indexes = (models.Index(fields=("until",), name="refusal_tally_until"),)

    def __str__(self) -> str:
        """Return kind, caller and count."""
        return f"{self.kind} {self.who}: {self.count}"
