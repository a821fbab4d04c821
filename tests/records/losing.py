"""Stored files that are lost, what became of them, and the same objects written in another way."""

import hashlib
import io

from django.core.files.base import ContentFile
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from accounts.models import AuditEvent
from records.choices import Action
from records.files.open import open_verified
from records.models import Instance
from records.services import scrub_storage


def lose(instance: Instance, how: str = "missing", *, is_noted: bool = True) -> None:
    """What a failing disk does, and what the scrubber says of it."""
    storage, name = instance.file.storage, instance.file.name
    with storage.open(name) as stream:
        content = stream.read()
    storage.delete(name)
    if how == "altered":
        storage.save(name, ContentFile(bytes([content[0] ^ 1]) + content[1:]))
    elif how == "cut short":
        storage.save(name, ContentFile(content[:-1]))
    if is_noted:
        assert scrub_storage(everything=True).damaged == 1


def in_bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def compressed(content: bytes) -> bytes:
    """As an archive sends it that compresses, without loss."""
    dataset = dcmread(io.BytesIO(content))
    dataset.compress(RLELossless, generate_instance_uid=False)
    return in_bytes(dataset)


def healed() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=Action.STORAGE_HEALED))


def is_shown(instance: Instance) -> bool:
    instance = Instance.with_withheld.get(pk=instance.pk)
    with open_verified(instance) as stream:
        found = hashlib.sha256(stream.read()).hexdigest()
    return (instance.damage, found) == ("", instance.sha256)
