"""Refusals: each leaves an event or is counted, however many there are, through any door."""

import concurrent.futures
import datetime as dt
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.audit import bind_request_context
from accounts.choices import Action as AccountsAction
from accounts.models import ApiToken, AuditEvent, RefusalTally
from accounts.roles import Role
from accounts.services import issue_token, revoke_token
from records.choices import Action
from records.services import note_refused_association
from tests import factories


@pytest.fixture
def stranger(db):
    """Somebody of another department."""
    return factories.make_user(Role.TECHNICIAN, username="strange")


@pytest.fixture
def new_events(db):
    last = AuditEvent.objects.values_list("id", flat=True).first() or 0

    def find(*actions):
        found = AuditEvent.objects.filter(id__gt=last).order_by("id")
        return list(found.filter(action__in=actions) if actions else found)

    return find


def refused(events):
    return [event for event in events if event.outcome != 0]


def total(events):
    """How many refusals the trail speaks of."""
    return sum(event.details.get("times", 1) for event in refused(events))


def later_all_is_told(monkeypatch):
    from accounts.services import flush_refusals

    now = timezone.now() + dt.timedelta(hours=2)
    monkeypatch.setattr(timezone, "now", lambda: now)
    flush_refusals()


@pytest.mark.parametrize(
    "address",
    [
        "/studies/{study}/",
        "/patients/{patient}/",
        "/api/v1/studies/{study}/",
        "/api/v1/instances/{instance}/file/",
        "/dicomweb/studies/{uid}",
        "/dicomweb/studies/{uid}/metadata",
    ],
)
@pytest.mark.parametrize("is_token", [False, True])
def test_a_foreign_object_that_is_not_found_is_noted(
    radiology, stranger, new_events, address, is_token
):
    study = factories.make_study(department=radiology)
    path = address.format(
        study=study.pk,
        patient=study.patient_id,
        instance=study.series.get().instances.get().pk,
        uid=study.study_instance_uid,
    )
    client, headers = Client(), {}
    if is_token and path.startswith("/api"):
        _, value = issue_token(actor=stranger, user=stranger, name="x", days=1)
        headers = {"authorization": f"Token {value}"}
    else:
        client.force_login(stranger)
    assert client.get(path, headers=headers).status_code == 404
    (event,) = refused(new_events())
    assert event.actor_id == stranger.pk
    assert event.target_id in path


def test_a_foreign_object_is_noted_for_every_method(radiology, stranger, client, new_events):
    study = factories.make_study(department=radiology)
    client.force_login(stranger)
    client.post(f"/api/v1/studies/{study.pk}/deletion/")
    client.delete(f"/api/v1/studies/{study.pk}/")
    assert refused(new_events())


@pytest.mark.parametrize("case", ["unknown", "revoked", "expired", "none"])
@pytest.mark.parametrize("path", ["/api/v1/me/", "/dicomweb/studies"])
def test_a_token_that_opens_nothing_is_noted(stranger, client, new_events, case, path):
    token, value = issue_token(actor=stranger, user=stranger, name="x", days=1)
    if case == "revoked":
        revoke_token(actor=stranger, token=token)
    elif case == "expired":
        ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    headers = {} if case == "none" else {"authorization": f"Token {value}"}
    if case == "unknown":
        headers = {"authorization": "Token mi_invented"}
    assert client.get(path, headers=headers).status_code == 401
    (event,) = refused(new_events())
    assert event.source_address == "127.0.0.1"
    if case in {"revoked", "expired"}:
        assert (event.target_id, event.details["reason"]) == (str(token.pk), case)
    assert "mi_invented" not in str(event.details)


@pytest.mark.parametrize("path", ["/sign-in/", "/password/reset/", "/api/v1/tokens/", "/sign-out/"])
@pytest.mark.parametrize("is_signed_in", [False, True])
def test_a_forged_form_is_noted(stranger, new_events, path, is_signed_in):
    client = Client(enforce_csrf_checks=True)
    if is_signed_in:
        client.force_login(stranger)
    response = client.post(path, {}, content_type="application/json")
    if response.status_code not in {401, 403}:
        pytest.fail(f"{path} was let through: {response.status_code}")
    (event,) = refused(new_events())
    assert event.actor_id == (stranger.pk if is_signed_in else None)


def test_a_wrong_role_is_noted_once_and_then_counted(stranger, client, new_events, monkeypatch):
    client.force_login(stranger)
    for _ in range(40):
        assert client.get("/people/").status_code == 403
    assert len(refused(new_events())) == 1
    later_all_is_told(monkeypatch)
    assert total(new_events()) == 40
    assert refused(new_events())[-1].sentence.count("39") == 1


def test_different_objects_are_told_apart_and_then_sampled(
    stranger, client, new_events, monkeypatch
):
    client.force_login(stranger)
    ids = [str(uuid.uuid4()) for _ in range(30)]
    for pk in ids:
        client.get(f"/studies/{pk}/")
    later_all_is_told(monkeypatch)
    events = refused(new_events())
    assert total(events) == 30
    assert len(events) < 10
    named = {event.target_id for event in events}
    for event in events:
        named |= set(event.details.get("targets", []))
    assert set(ids) <= named


def test_failures_of_every_kind_stay_below_two_hundred_rows(stranger, new_events, monkeypatch):
    foreign, anonymous = Client(), Client(enforce_csrf_checks=True)
    foreign.force_login(stranger)
    for number in range(100):
        foreign.get(f"/studies/{uuid.uuid4()}/")
        foreign.get(("/people/", "/audit/", "/departments/", "/nodes/")[number % 4])
        Client().get("/api/v1/me/", headers={"authorization": f"Token mi_{number}"})
        anonymous.post("/sign-in/")
        Client().post("/sign-in/", {"username": f"n{number}", "password": "x"})
        lost = Client()
        lost.cookies["sessionid"] = f"{number:032}"
        lost.get("/")
    later_all_is_told(monkeypatch)
    events = refused(new_events())
    assert total(events) == 6 * 100
    assert len(events) < 200


def test_each_ae_title_that_is_tried_shows_and_then_their_number(new_events, monkeypatch):
    with bind_request_context(source_address="10.0.0.1", request_id=""):
        for number in range(60):
            note_refused_association(
                calling=f"GUESS{number}",
                called="MEDIMAGING",
                reason="the calling AE title isn't registered",
            )
    later_all_is_told(monkeypatch)
    events = new_events(Action.ASSOCIATION_REFUSED)
    assert total(events) == 60
    assert 2 < len(events) < 10
    assert events[-1].details["distinct"] >= 50


def test_addresses_without_number_do_not_fill_the_trail(new_events):
    for number in range(400):
        with bind_request_context(source_address=f"2001:db8:{number:x}::1", request_id=""):
            note_refused_association(calling="X", called="Y", reason="unknown")
    assert len(new_events(Action.ASSOCIATION_REFUSED)) < 200


def test_a_refusal_that_cannot_be_noted_is_an_error(stranger, monkeypatch):
    from accounts.services import refusals

    def broken(**_):
        raise RuntimeError("the trail is full")

    monkeypatch.setattr(refusals, "record_event", broken)
    client = Client(raise_request_exception=False)
    client.force_login(stranger)
    assert client.get(f"/studies/{uuid.uuid4()}/").status_code == 500


@pytest.mark.django_db(transaction=True)
def test_refusals_at_once_are_all_counted():
    def refuse(_):
        try:
            for number in range(10):
                Client().get("/api/v1/me/", headers={"authorization": f"Token mi_{number}"})
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(refuse, range(8)))
    told = AuditEvent.objects.filter(action=AccountsAction.TOKEN_REFUSED).count()
    counted = sum(RefusalTally.objects.values_list("count", flat=True))
    assert told + counted == 80
    assert told <= 5
