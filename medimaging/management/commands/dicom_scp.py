"""`manage.py dicom_scp` as the product runs it: it says that it lives, and counts what comes in."""

from typing import Any

from medimaging.heartbeats import start_beating, stop_beating
from medimaging.metrics import processes
from records.management.commands import dicom_scp


class Command(dicom_scp.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        processes.begin()
        start_beating("dicom")
        try:
            super().handle(*args, **options)
        finally:
            stop_beating()
