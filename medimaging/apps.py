"""The wiring as a Django app, for its commands, checks, templates and static sources."""

from django.apps import AppConfig


class MedimagingConfig(AppConfig):
    name = "medimaging"
    verbose_name = "Platform"

    def ready(self) -> None:
        from medimaging import checks  # noqa: F401  (registers the system checks)
