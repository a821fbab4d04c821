"""What people searched for on a page, so that Back, reload and a second tab find it again."""

import uuid

from django.db import models
from django.utils import timezone

from accounts.models.people import User


class RecentSearch(models.Model):
    """The filled fields of one search, encrypted: the address of its page holds the id alone.

    It opens for the person who searched, in the list that `place` names, and for a day.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recent_searches")
    place = models.CharField(max_length=80)
    sealed = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        """Swept by age."""

        indexes = (models.Index(fields=("created_at",), name="recent_search_created"),)

    def __str__(self) -> str:
        """Return where it was; what was searched for is nobody else's business."""
        return f"A search in {self.place}"
