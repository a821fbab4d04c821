"""What this app does when a study is complete."""

from typing import Any

from accounts.models import User
from classifier.services.requests import request_classifications
from records.models import Study
from records.signals import study_completed


def on_study_completed(*, study: Study, actor: User | None, **_: Any) -> None:
    """Queue the classifications in the transaction that completed the study."""
    request_classifications(actor=actor, study=study)


def connect() -> None:
    """Start listening; called once, when the app is ready."""
    study_completed.connect(on_study_completed, dispatch_uid="classifier.request")
