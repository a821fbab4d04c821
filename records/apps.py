"""Django's description of the records app."""

from django.apps import AppConfig


class RecordsConfig(AppConfig):
    """Knows accounts; has never heard of classification."""

    name = "records"
    verbose_name = "Patients and studies"
