"""Django's description of the classifier app."""

from django.apps import AppConfig


class ClassifierConfig(AppConfig):
    """Listens for complete studies and has them classified."""

    name = "classifier"
    verbose_name = "Classification and review"

    def ready(self) -> None:
        """Queue a classification whenever a study is complete."""
        from classifier import listeners

        listeners.connect()
