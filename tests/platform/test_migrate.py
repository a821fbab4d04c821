"""`manage.py migrate` beside those who work with the tables."""

import threading

import pytest
from django.core.management import call_command
from django.db import connections

from tests.conftest import as_superuser

BEFORE, LAST = "0013", "0014"


@pytest.fixture
def last_again(transactional_db):
    yield
    call_command("migrate", "accounts", interactive=False, verbosity=0)
    connections["owner"].close()


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_migration_gives_way_to_a_transaction_and_is_tried_again(last_again, capsys):
    held, may_end = threading.Event(), threading.Event()

    def work() -> None:
        with as_superuser() as cursor:
            cursor.execute("SELECT count(*) FROM accounts_keptanswer")
            held.set()
            may_end.wait(20)

    worker = threading.Thread(target=work)
    worker.start()
    assert held.wait(20)
    threading.Timer(1, may_end.set).start()

    call_command("migrate", "accounts", BEFORE, interactive=False, verbosity=0)
    worker.join()

    assert "The tables are in use; trying again." in capsys.readouterr().out
    with as_superuser() as cursor:
        cursor.execute("SELECT to_regclass('accounts_keptanswer')")
        assert cursor.fetchone()[0] is None
