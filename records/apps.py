"""Django's description of the records app."""

from django.apps import AppConfig


class RecordsConfig(AppConfig):
    """Knows accounts; has never heard of classification."""

    name = "records"
    verbose_name = "Patients and studies"

    def ready(self) -> None:
        """Register the actions; let the trail be asked by the numbers that people know."""
        from accounts.actions import registry
        from accounts.subjects import add_finder
        from records.choices import READS, REFUSALS, Action
        from records.subjects import find_subjects
        from records.wording import SENTENCES, TARGET_WORDS

        registry.register(
            Action, sentences=SENTENCES, reads=READS, refusals=REFUSALS, targets=TARGET_WORDS
        )
        add_finder(find_subjects)
