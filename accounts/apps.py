"""Django's description of the accounts app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The lowest app: it imports no other app."""

    name = "accounts"
    verbose_name = "Accounts and audit"

    def ready(self) -> None:
        """Connect the sign-in audit to Django's own authentication signals."""
        from accounts import signin_audit

        signin_audit.connect()
