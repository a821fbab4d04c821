"""Django's description of the classifier app."""

from django.apps import AppConfig


class ClassifierConfig(AppConfig):
    """Has complete studies classified, and shows on their pages what came of it."""

    name = "classifier"
    verbose_name = "Classification and review"

    def ready(self) -> None:
        """Queue a classification whenever a study is complete, and take a place on the pages."""
        from classifier import listeners
        from records.panels import Place, add_panel

        listeners.connect()
        add_panel(Place.STUDY, "classifier/_study_results.html")
        add_panel(Place.PATIENT, "classifier/_patient_panel.html")
