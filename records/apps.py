"""Django's description of the records app."""

from django.apps import AppConfig


class RecordsConfig(AppConfig):
    """Knows accounts; has never heard of classification."""

    name = "records"
    verbose_name = "Patients and studies"

    def ready(self) -> None:
        """Let the trail be asked about patients and studies by the numbers that people know."""
        from accounts.subjects import add_finder
        from records.subjects import find_subjects

        add_finder(find_subjects)
