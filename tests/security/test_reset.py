"""Links to set a password: nobody learns who has an account, or makes us send mail for sport."""

import re
import socket
import statistics
import time

import pytest
from django.core import mail
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import Client, override_settings

from accounts.choices import Action
from accounts.models import AuditEvent
from accounts.roles import Role
from tests import factories

SENT = "/password/reset/sent/"


@pytest.fixture
def tina(db, settings):
    settings.MAIL_ENABLED = True
    settings.SITE_URL = "https://imaging.hospital.example"
    return factories.make_user(Role.TECHNICIAN, username="tina", email="tina@x.example")


def ask(email="tina@x.example", address="10.0.0.1", **headers):
    return Client().post("/password/reset/", {"email": email}, REMOTE_ADDR=address, **headers)


def deliver():
    """Do what the worker does."""
    from accounts.services import send_waiting_mails

    send_waiting_mails()


def link_in(message):
    return re.search(r"https?://\S+", message.body)[0]


@pytest.fixture
def slow_mail_server(settings):
    """One that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = listener.getsockname()
        settings.EMAIL_TIMEOUT = 0.3
        yield


@pytest.mark.django_db(transaction=True)
def test_a_known_address_is_answered_as_fast_as_an_unknown_one(settings, slow_mail_server):
    settings.MAIL_ENABLED = True
    factories.make_user(email="tina@x.example")
    ask("warm@x.example", "10.0.0.99")
    spent = {"tina@x.example": [], "nobody@x.example": []}
    for number in range(5):
        for email, seconds in spent.items():
            began = time.perf_counter()
            assert ask(email, f"10.0.{number}.1").url == SENT
            seconds.append(time.perf_counter() - began)
    known, unknown = (statistics.median(seconds) for seconds in spent.values())
    print(f"known {known * 1000:.0f} ms, unknown {unknown * 1000:.0f} ms")
    assert abs(known - unknown) < 0.1


@pytest.mark.django_db(transaction=True)
def test_a_mail_server_that_is_down_is_not_seen_and_loses_nothing(settings):
    settings.MAIL_ENABLED = True
    factories.make_user(email="tina@x.example")
    with override_settings(
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=1,
    ):
        for email in ("tina@x.example", "nobody@x.example"):
            response = ask(email)
            assert (response.status_code, response.url) == (302, SENT)
        deliver()
    deliver()
    assert len(mail.outbox) == 1


def test_twenty_requests_are_three_mails(tina):
    for number in range(20):
        ask(address=f"10.0.{number}.1")
    deliver()
    assert 1 <= len(mail.outbox) <= 3


def test_one_network_may_ask_ten_times_an_hour(tina):
    answers = [ask(f"someone-{n}@x.example").status_code for n in range(20)]
    assert answers[0] == 302
    assert answers[-1] == 429
    assert ask(address="10.0.0.2").status_code == 302


def test_known_and_unknown_addresses_are_refused_alike(tina):
    known = [ask().status_code for _ in range(15)]
    unknown = [ask("nobody@x.example", "10.0.0.2").status_code for _ in range(15)]
    assert known == unknown


@pytest.mark.parametrize("host", ["localhost:6666", "127.0.0.1:1", "localhost"])
def test_the_caller_does_not_choose_where_the_link_leads(tina, host):
    ask(HTTP_HOST=host)
    deliver()
    assert link_in(mail.outbox[0]).startswith("https://imaging.hospital.example/")


def test_a_link_works_for_a_day_at_most(settings):
    assert settings.PASSWORD_RESET_TIMEOUT <= 24 * 60 * 60


def test_many_requests_leave_few_rows_in_the_trail(tina):
    for number in range(60):
        ask(f"someone-{number}@x.example")
    deliver()
    assert AuditEvent.objects.count() <= 20


def test_what_was_typed_as_address_is_not_in_the_trail(tina):
    ask("Geheim.Maria@x.example")
    deliver()
    assert "geheim" not in "".join(str(row) for row in AuditEvent.objects.values()).lower()
    assert AuditEvent.objects.filter(action=Action.PASSWORD_RESET_REQUESTED).count() == 1


def test_the_owner_is_told_of_a_new_password(tina, client):
    client.force_login(tina)
    new = "a-long-enough-secret-5"
    fields = {"old_password": factories.PASSWORD, "new_password1": new, "new_password2": new}
    client.post("/password/change/", fields)
    deliver()
    (message,) = mail.outbox
    assert message.to == ["tina@x.example"]
    assert "changed" in message.subject
    assert new not in message.body


def test_deploying_with_mail_needs_an_address_to_lead_to(db, settings):
    settings.MAIL_ENABLED = True
    settings.IS_SITE_URL_SET = False
    settings.SECRET_KEY = "x" * 60
    with pytest.raises(SystemCheckError, match="SITE_URL"):
        call_command("check", "--deploy", "--tag", "security")
