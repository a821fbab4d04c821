"""Django's description of the classifier app."""

from django.apps import AppConfig


class ClassifierConfig(AppConfig):
    """Listens for complete studies and has them classified."""

    name = "classifier"
    verbose_name = "Classification and review"

    def ready(self) -> None:
        """Register the actions; queue a classification whenever a study is complete."""
        from accounts.actions import registry
        from classifier import listeners
        from classifier.choices import READS, Action
        from classifier.wording import SENTENCES
        from records.timeline import add_look, leave_out

        registry.register(Action, sentences=SENTENCES, reads=READS)
        add_look(Action.CLASSIFICATION_VIEWED, "its result")
        leave_out(Action.REVIEW_DRAFTED)  # of nobody's business until it is signed
        listeners.connect()
