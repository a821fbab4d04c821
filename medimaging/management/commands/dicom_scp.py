"""`manage.py dicom_scp` as the product runs it: what comes in is counted for Prometheus."""

from typing import Any

from medimaging.metrics import processes
from records.management.commands import dicom_scp


class Command(dicom_scp.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        processes.begin()
        super().handle(*args, **options)
