"""Pictures and frames that left within a minute, until an event tells their sum."""

from django.db import models

from accounts.querysets import ReadTallyQuerySet


class ReadTally(models.Model):
    """What one person took of one study through one view in one minute, still to be told.

    The key is a hash of the minute and of `stamp`, the columns that the event will have. A row
    goes in the transaction that writes its event.
    """

    key = models.CharField(max_length=64, primary_key=True)
    minute = models.DateTimeField()
    stamp = models.JSONField()
    answers = models.PositiveBigIntegerField()
    frames = models.PositiveBigIntegerField()
    size_bytes = models.PositiveBigIntegerField()

    objects = ReadTallyQuerySet.as_manager()

    class Meta:
        """Looked up by age."""

        ordering = ("minute", "key")
        indexes = (models.Index(fields=("minute",), name="read_tally_minute"),)

    def __str__(self) -> str:
        """Return the minute and the sums."""
        return f"{self.minute:%H:%M} {self.answers} answers, {self.size_bytes} bytes"
