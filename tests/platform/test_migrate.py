"""`manage.py migrate` beside those who work with the tables."""

import io
import threading

import pytest
from django.core.management import call_command

from tests.installation import as_superuser

BEFORE = "0013"


class Heard(io.StringIO):
    """What a command prints, with an event for the moment at which it tries again."""

    def __init__(self) -> None:
        super().__init__()
        self.tries_again = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if "The tables are in use; trying again." in self.getvalue():
            self.tries_again.set()
        return written


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_migration_gives_way_to_a_transaction_and_is_tried_again(migrate):
    held, heard = threading.Event(), Heard()

    def work() -> None:
        with as_superuser() as cursor:
            cursor.execute("SELECT count(*) FROM accounts_keptanswer")
            held.set()
            heard.tries_again.wait()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert held.wait(60)
        call_command("migrate", "accounts", BEFORE, interactive=False, verbosity=0, stdout=heard)
        has_tried_again = heard.tries_again.is_set()
    finally:
        heard.tries_again.set()
        worker.join()

    assert has_tried_again
    with as_superuser() as cursor:
        cursor.execute("SELECT to_regclass('accounts_keptanswer')")
        assert cursor.fetchone()[0] is None
