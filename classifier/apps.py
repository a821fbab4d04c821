"""Django's description of the classifier app."""

from django.apps import AppConfig


class ClassifierConfig(AppConfig):
    """Has complete studies classified, and shows on their pages what came of it."""

    name = "classifier"
    verbose_name = "Classification and review"

    def ready(self) -> None:
        """Register the actions and the places on the pages; queue what a complete study asks."""
        from accounts.actions import registry
        from classifier import listeners
        from classifier.choices import READS, Action
        from classifier.wording import SENTENCES, TARGET_WORDS
        from records.panels import Place, add_panel
        from records.timeline import add_look, leave_out

        registry.register(Action, sentences=SENTENCES, reads=READS, targets=TARGET_WORDS)
        add_look(Action.CLASSIFICATION_VIEWED, "its result")
        leave_out(Action.REVIEW_DRAFTED)  # of nobody's business until it is signed
        listeners.connect()
        add_panel(Place.STUDY, "classifier/_study_results.html")
        add_panel(Place.PATIENT, "classifier/_patient_panel.html")
