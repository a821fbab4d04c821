"""Signing in: recorded, paused after repeated failures, never telling who exists."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from accounts.errors import TooManyAttempts
from accounts.models import Action, AuditEvent, Outcome
from accounts.models.audit import ActorKind
from accounts.services import deactivate_user, set_password, sign_in_user
from accounts.services.sign_in import MAX_FAILURES, WINDOW
from tests import factories

WRONG = "not-the-password-1"


def fail(username, times=MAX_FAILURES):
    for _ in range(times):
        assert sign_in_user(username=username, password=WRONG) is None


def sign_in(client, username, password, **more):
    return client.post("/sign-in/", {"username": username, "password": password, **more})


@pytest.mark.parametrize("username", ["tina", "Tina"])
def test_sign_in_user_returns_the_person_when_the_password_fits(technician, username):
    assert sign_in_user(username=username, password=factories.PASSWORD) == technician


@pytest.mark.parametrize("username", ["tina", "TINA", "nobody"])
def test_sign_in_user_pauses_when_five_attempts_failed(technician, username):
    fail(username)
    with pytest.raises(TooManyAttempts) as caught:
        sign_in_user(username=username.lower(), password=factories.PASSWORD)
    assert 14 <= caught.value.context["minutes"] <= 15


def test_sign_in_user_looks_again_when_the_window_has_passed(technician, monkeypatch):
    fail("tina")
    later = timezone.now() + WINDOW + dt.timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert sign_in_user(username="tina", password=factories.PASSWORD) == technician


def test_sign_in_user_does_not_prolong_the_pause_when_tried_during_it(technician, monkeypatch):
    fail("tina")
    with pytest.raises(TooManyAttempts):
        sign_in_user(username="tina", password=WRONG)
    later = timezone.now() + WINDOW + dt.timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert sign_in_user(username="tina", password=factories.PASSWORD) == technician


def test_sign_in_user_treats_others_as_before_when_one_name_is_paused(technician, auditor):
    fail("tina")
    assert sign_in_user(username="otto", password=factories.PASSWORD) == auditor


def test_sign_in_user_counts_anew_when_a_password_was_set(administrator, technician):
    fail("tina")
    set_password(actor=administrator, user=technician, password="another-password-7")
    assert sign_in_user(username="tina", password="another-password-7") == technician


def test_sign_in_user_returns_none_when_deactivated(administrator, technician):
    deactivate_user(actor=administrator, user=technician)
    assert sign_in_user(username="tina", password=factories.PASSWORD) is None


def test_sign_in_user_records_the_name_only_when_it_fails(technician, recording):
    with recording() as events:
        fail("Tina", times=1)
    (event,) = events
    assert event.action == Action.SIGN_IN_FAILED
    assert event.outcome == Outcome.MINOR_FAILURE
    assert (event.target_id, event.actor_kind) == ("tina", ActorKind.ANONYMOUS)
    assert WRONG not in f"{event.details}{event.target_id}"


def test_sign_in_page_lets_in_when_the_password_fits(technician, client, recording):
    with recording() as events:
        response = sign_in(client, "tina", factories.PASSWORD, next="/profile/")
    assert response.status_code == 302
    assert response.url == "/profile/"
    assert [event.action for event in events] == [Action.SIGNED_IN]
    assert events[0].actor_id == technician.pk
    assert events[0].source_address == "127.0.0.1"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_sign_in_page_goes_home_when_next_leads_elsewhere(technician, client, target):
    response = sign_in(client, "tina", factories.PASSWORD, next=target)
    assert response.url == "/"


@pytest.mark.parametrize("username", ["tina", "nobody"])
def test_sign_in_page_says_the_same_when_the_name_is_unknown(technician, client, username):
    response = sign_in(client, username, WRONG)
    assert response.status_code == 200
    errors = response.context["form"].non_field_errors()
    assert errors == [
        "Please enter a correct username and password. Note that both fields may be case-sensitive."
    ]


@pytest.mark.django_db(transaction=True)
def test_sign_in_page_commits_the_failure_and_pauses_when_attempts_fail(client):
    factories.make_user(username="tina")
    for _ in range(MAX_FAILURES):
        sign_in(client, "tina", WRONG)
    assert AuditEvent.objects.failed_sign_ins(username="tina", window=WINDOW).count() == 5
    response = sign_in(client, "tina", factories.PASSWORD)
    assert "Too many failed sign-ins" in response.content.decode()
    assert AuditEvent.objects.first().outcome == Outcome.SERIOUS_FAILURE


@pytest.mark.django_db(transaction=True)
def test_sign_in_user_looks_at_five_passwords_when_many_come_at_once():
    def attempt(_):
        try:
            return sign_in_user(username="tina", password=WRONG)
        except TooManyAttempts:
            return "paused"
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(attempt, range(16)))
    assert answers.count(None) == MAX_FAILURES
    assert AuditEvent.objects.filter(target_id="tina").count() == 16


def test_sign_out_ends_the_session_when_posted(technician, client, recording):
    client.force_login(technician)
    assert client.get("/sign-out/").status_code == 405
    with recording() as events:
        response = client.post("/sign-out/")
    assert response.status_code == 302
    assert [event.action for event in events] == [Action.SIGNED_OUT]
    assert client.get("/profile/").status_code == 302
