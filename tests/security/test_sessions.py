"""Sessions: they end in time, their end shows, and their owner can see and end them."""

import datetime as dt

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.services import deactivate_user, set_password
from tests import factories
from tests.security.links import signed_in


@pytest.fixture
def tina(db):
    return factories.make_user(Role.TECHNICIAN, username="tina")


@pytest.fixture
def ada(db):
    return factories.make_user(Role.ADMINISTRATOR, username="ada")


def is_in(client):
    return client.get("/profile/").status_code == 200


def events(action):
    return AuditEvent.objects.filter(action=action)


def after(monkeypatch, **time):
    now = timezone.now() + dt.timedelta(**time)
    monkeypatch.setattr(timezone, "now", lambda: now)


def test_an_idle_session_that_comes_back_is_in_the_trail(tina, monkeypatch):
    client = signed_in(tina)
    after(monkeypatch, minutes=40)
    assert not is_in(client)
    assert events("session.expired").get().actor_id == tina.pk
    assert not is_in(client)
    assert events("session.expired").count() == 1


def test_an_idle_session_that_nobody_comes_back_to_is_in_the_trail(tina, monkeypatch):
    from accounts.services import expire_sessions

    signed_in(tina)
    after(monkeypatch, minutes=40)
    expire_sessions()
    expire_sessions()
    assert events("session.expired").get().actor_id == tina.pk


def test_a_busy_session_ends_after_twelve_hours(tina, monkeypatch):
    client = signed_in(tina)
    Session.objects.update(expire_date=timezone.now() + dt.timedelta(days=2))
    after(monkeypatch, hours=11)
    assert is_in(client)
    Session.objects.update(expire_date=timezone.now() + dt.timedelta(days=2))
    after(monkeypatch, hours=2)
    assert not is_in(client)
    assert events("session.expired").get().actor_id == tina.pk


def test_an_invented_session_is_counted(db, client):
    client.cookies["sessionid"] = "x" * 32
    client.get("/profile/")
    assert events("session.unknown").count() == 1


def test_a_session_that_was_ended_opens_nothing_even_if_its_data_stay(tina):
    client = signed_in(tina)
    thief = Client()
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    rows = list(Session.objects.all())
    client.post("/sign-out/")
    Session.objects.bulk_create(rows, ignore_conflicts=True)
    assert not is_in(thief)
    assert events("session.unknown").count() == 1


def test_the_owner_sees_and_ends_sessions(tina):
    here, there = signed_in(tina), signed_in(tina)
    sessions = here.get("/profile/").context["sessions"]
    assert len(sessions) == 2
    other = next(row for row in sessions if str(row.pk) != here.session["accounts.session"])
    assert here.post(f"/profile/sessions/{other.pk}/end/").status_code == 302
    assert [is_in(here), is_in(there)] == [True, False]
    assert events("session.ended").count() == 1


def test_the_owner_ends_all_other_sessions(tina):
    here, *others = [signed_in(tina) for _ in range(4)]
    here.post("/profile/sessions/end-others/")
    assert is_in(here)
    assert not any(is_in(client) for client in others)
    assert events("session.ended").count() == 1


def test_nobody_ends_the_session_of_somebody_else(tina, ada):
    hers, his = signed_in(tina), signed_in(ada)
    pk = hers.session["accounts.session"]
    assert his.post(f"/profile/sessions/{pk}/end/").status_code == 404
    assert hers.post(f"/people/{ada.pk}/sessions/end/").status_code == 403
    assert is_in(hers)
    assert is_in(his)


def test_an_administrator_ends_the_sessions_of_a_person(tina, ada):
    hers, his = signed_in(tina), signed_in(ada)
    assert his.post(f"/people/{tina.pk}/sessions/end/").status_code == 302
    assert not is_in(hers)
    assert events("session.ended").get().actor_id == ada.pk


@pytest.mark.parametrize("how", ["password", "deactivation"])
def test_a_new_password_or_deactivation_ends_all_sessions(tina, ada, how):
    client = signed_in(tina)
    if how == "password":
        set_password(actor=tina, user=tina, password="a-long-enough-secret-5")
    else:
        deactivate_user(actor=ada, user=tina)
    assert not is_in(client)
    assert not tina.browser_sessions.filter(ended_at__isnull=True).exists()


def test_changing_one_s_password_keeps_this_session_and_ends_the_others(tina):
    here, there = signed_in(tina), signed_in(tina)
    new = "a-long-enough-secret-5"
    fields = {"old_password": factories.PASSWORD, "new_password1": new, "new_password2": new}
    here.post("/password/change/", fields)
    assert [is_in(here), is_in(there)] == [True, False]
    assert len(here.get("/profile/").context["sessions"]) == 1


def test_an_old_session_key_does_not_end_the_session_that_goes_on(tina):
    here = signed_in(tina)
    old = here.cookies["sessionid"].value
    new = "a-long-enough-secret-5"
    fields = {"old_password": factories.PASSWORD, "new_password1": new, "new_password2": new}
    here.post("/password/change/", fields)
    late = Client()
    late.cookies["sessionid"] = old
    assert not is_in(late)
    assert is_in(here)


def test_a_session_lost_from_its_row_is_signed_out(tina):
    client = signed_in(tina)
    tina.browser_sessions.all().delete()
    assert not is_in(client)
    assert client.get("/api/v1/me/").status_code == 401


def test_signing_in_over_somebody_else_s_session_works_and_is_listed(tina, ada):
    client = signed_in(tina)
    client.force_login(ada)
    assert is_in(client)
    assert len(client.get("/profile/").context["sessions"]) == 1
