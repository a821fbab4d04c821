"""Django's description of the accounts app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The lowest app: it imports no other app."""

    name = "accounts"
    verbose_name = "Accounts and audit"

    def ready(self) -> None:
        """Register the actions, and hear Django's own signals of who signs in."""
        from accounts import signin_audit
        from accounts.actions import registry
        from accounts.choices import READS, REFUSALS, Action
        from accounts.wording import SENTENCES, TARGET_WORDS

        registry.register(
            Action, sentences=SENTENCES, reads=READS, refusals=REFUSALS, targets=TARGET_WORDS
        )
        signin_audit.connect()
