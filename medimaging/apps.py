"""The wiring as a Django app, for its commands, checks, templates and static sources."""

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class MedimagingConfig(AppConfig):
    name = "medimaging"
    verbose_name = "Platform"

    def ready(self) -> None:
        from accounts.actions import registry
        from medimaging import checks  # noqa: F401  (registers the system checks)
        from medimaging.choices import Action
        from medimaging.wording import SENTENCES

        registry.register(Action, sentences=SENTENCES)

        # Once per run, when all tables are there: Django tells only apps that have models.
        post_migrate.connect(_grant_privileges, sender=apps.get_app_config("accounts"))


def _grant_privileges(*, using: str, **kwargs: Any) -> None:
    from medimaging.database_roles import grant_privileges

    grant_privileges(using=using)
