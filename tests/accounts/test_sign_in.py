"""Signing in: recorded, slowed down after repeated failures, never telling who exists."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts.choices import Action, ActorKind, Outcome
from accounts.errors import TooManyAttempts
from accounts.models import Attempts, AuditEvent
from accounts.services import deactivate_user, sign_in_user
from accounts.services.sign_in import NAME_BUDGET, WAIT, WINDOW
from tests import factories

WRONG = "not-the-password-1"


def fail(username, times=NAME_BUDGET):
    for _ in range(times):
        assert sign_in_user(username=username, password=WRONG) is None


def sign_in(client, username, password, **more):
    return client.post("/sign-in/", {"username": username, "password": password, **more})


@pytest.mark.parametrize("username", ["tina", "Tina"])
def test_sign_in_user_returns_the_person_when_the_password_fits(technician, username):
    assert sign_in_user(username=username, password=factories.PASSWORD) == technician


@pytest.mark.parametrize("username", ["tina", "TINA", "nobody"])
def test_sign_in_user_asks_for_work_or_time_when_five_attempts_failed(technician, username):
    fail(username)
    with pytest.raises(TooManyAttempts) as caught:
        sign_in_user(username=username.lower(), password=factories.PASSWORD)
    assert caught.value.retry_after <= WAIT.total_seconds()
    assert caught.value.challenge


def test_sign_in_user_looks_again_when_the_window_has_passed(technician, monkeypatch):
    fail("tina")
    later = timezone.now() + WINDOW + dt.timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert sign_in_user(username="tina", password=factories.PASSWORD) == technician


def test_sign_in_user_treats_others_as_before_when_one_name_is_guessed(technician, auditor):
    fail("tina")
    assert sign_in_user(username="otto", password=factories.PASSWORD) == auditor


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
def test_sign_in_page_commits_the_failure_and_answers_429_when_attempts_fail(client):
    factories.make_user(username="tina")
    for _ in range(NAME_BUDGET):
        sign_in(client, "tina", WRONG)
    response = sign_in(client, "tina", factories.PASSWORD)
    assert response.status_code == 429
    assert response["Retry-After"]
    assert "too many failed sign-ins" in response.content.decode()
    assert Attempts.objects.get(key__startswith="name:").count == NAME_BUDGET
    assert AuditEvent.objects.get().action == Action.SIGN_IN_FAILED


def test_sign_out_ends_the_session_when_posted(technician, client, recording):
    client.force_login(technician)
    assert client.get("/sign-out/").status_code == 405
    with recording() as events:
        response = client.post("/sign-out/")
    assert response.status_code == 302
    assert [event.action for event in events] == [Action.SIGNED_OUT]
    assert client.get("/profile/").status_code == 302
