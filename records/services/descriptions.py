"""The DICOM JSON of instances: kept beside their rows, and made where it isn't there.

What is kept follows from the stored bytes alone and is no record: no event tells of it.
"""

from django.core.exceptions import ObjectDoesNotExist

from records.dicom.writing.descriptions import LONGEST_KEPT, VERSION, compose
from records.files.open import check_untouched
from records.files.sending import describe_instance
from records.models import Instance, InstanceDescription


def describe_at(instance: Instance, *, url: str) -> str:
    """Return the DICOM JSON of a stored object at the address `url`.

    Quickest for one that was read with its `description`. Raises NothingToShow, StoredFileMissing
    and StoredFileDamaged.
    """
    kept = _kept_of(instance)
    if kept is not None and (kept.sha256, kept.version) == (instance.sha256, VERSION):
        check_untouched(instance)
        return compose(bytes(kept.document), url=url)
    document = describe_instance(instance)
    if len(document) <= LONGEST_KEPT:
        InstanceDescription.objects.bulk_create(
            [make_description(instance, document)],
            update_conflicts=True,
            unique_fields=["instance"],
            update_fields=["sha256", "version", "document"],
        )
    return compose(document, url=url)


def make_description(instance: Instance, document: bytes) -> InstanceDescription:
    """The row of what an instance says of itself, not written."""
    return InstanceDescription(
        instance=instance, sha256=instance.sha256, version=VERSION, document=document
    )


def _kept_of(instance: Instance) -> InstanceDescription | None:
    try:
        kept: InstanceDescription = instance.description
    except ObjectDoesNotExist:
        return None
    return kept
