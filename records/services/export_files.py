"""The files of de-identified copies: removed once no row names them, and never under a backup."""

import datetime as dt
from pathlib import PurePosixPath

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from records.files.stores.locks import may_remove
from records.models import Export
from records.models.exports import export_storage

TOP = "exports"


@transaction.atomic
def remove_export_file(name: str) -> bool:
    """Remove a file that no row names any more, with its folder; False while a backup is made.

    `sweep_export_files` then comes back to it.
    """
    if not may_remove():
        return False
    storage = export_storage()
    storage.delete(name)
    folder = str(PurePosixPath(name).parent)
    if not any(storage.listdir(folder)):
        storage.delete(folder)
    return True


def sweep_export_files() -> int:
    """Remove the files of copies that no row names, as a crash or a backup leaves them.

    Returns how many. One that is being written has no row yet: what is young stays.
    """
    storage = export_storage()
    if not storage.exists(TOP):
        return 0
    before = timezone.now() - max(
        settings.INTAKE_ABANDONED_AFTER, dt.timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT)
    )
    removed = 0
    for folder in storage.listdir(TOP)[0]:
        if storage.get_modified_time(f"{TOP}/{folder}") < before:
            removed += _sweep_folder(folder)
    return removed


def _sweep_folder(folder: str) -> int:
    storage, place = export_storage(), f"{TOP}/{folder}"
    names = [f"{place}/{name}" for name in storage.listdir(place)[1]]
    named = set(Export.objects.filter(file__in=names).values_list("file", flat=True))
    if not names:
        storage.delete(place)
    return sum(remove_export_file(name) for name in names if name not in named)
