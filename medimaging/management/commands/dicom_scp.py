"""`manage.py dicom_scp`, which says in Redis that it lives."""

from typing import Any

from medimaging.heartbeats import start_beating, stop_beating
from records.management.commands import dicom_scp


class Command(dicom_scp.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        start_beating("dicom")
        try:
            super().handle(*args, **options)
        finally:
            stop_beating()
