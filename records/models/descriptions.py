"""What instances say of themselves, written out beforehand."""

from django.db import models

from records.models.imaging import Instance


class InstanceDescription(models.Model):
    """The DICOM JSON of an instance, as `records.dicom.writing.descriptions` packs it.

    It is there for speed alone and says nothing of its own: it counts only for the very bytes
    whose `sha256` it bears and for the `version` of the code that wrote it, is made anew
    wherever it is missing, and goes with the file.
    """

    instance = models.OneToOneField(
        Instance, on_delete=models.CASCADE, primary_key=True, related_name="description"
    )
    sha256 = models.CharField(max_length=64)
    version = models.CharField(max_length=16)
    document = models.BinaryField()

    def __str__(self) -> str:
        """Return whose it is."""
        return f"Description of {self.instance_id}"
