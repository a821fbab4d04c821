"""People: invited, edited, deactivated, back again; somebody always manages accounts."""

import threading

import pytest
from django.db import connection

from accounts.choices import Action
from accounts.errors import LastAdministrator, RoleNeedsDepartment, UsernameTaken
from accounts.models import Membership, User
from accounts.roles import Role, Verb
from accounts.services import (
    authenticate_token,
    deactivate_user,
    invite_user,
    issue_token,
    reactivate_user,
    update_user,
)
from tests import factories


def invite(actor, username="kim", memberships=()):
    return invite_user(
        actor=actor,
        username=username,
        full_name="Kim Kind",
        email="kim@Hospital.Example",
        memberships=memberships,
    )


def test_invite_user_opens_an_account_when_the_name_is_free(administrator, department, recording):
    with recording() as events:
        user, path = invite(administrator, memberships=[("reviewer", department)])
    assert user.has_verb(Verb.REVIEW_CREATE)
    assert list(user.departments_for(Verb.STUDY_VIEW)) == [department]
    assert not user.has_usable_password()
    assert user.email == "kim@hospital.example"
    assert path.startswith("/password/set/#")
    assert [event.action for event in events] == [Action.USER_INVITED]
    assert events[0].actor_id == administrator.pk
    roles = ["Reviewer · Radiology"]
    assert events[0].details == {"username": "kim", "roles": roles, "granted_alone": roles}


@pytest.mark.parametrize("username", ["ada", "ADA", " Ada "])
def test_invite_user_refuses_when_the_name_was_ever_used(administrator, username, recording):
    other = factories.make_user(Role.ADMINISTRATOR)
    deactivate_user(actor=other, user=administrator)
    with recording() as events, pytest.raises(UsernameTaken):
        invite(other, username=username)
    assert events == []


@pytest.mark.parametrize(
    ("role", "has_department"), [("technician", False), ("auditor", True), ("administrator", True)]
)
def test_invite_user_opens_nothing_when_a_role_does_not_fit_its_department(
    administrator, department, recording, role, has_department
):
    grant = (role, department if has_department else None)
    with recording() as events, pytest.raises(RoleNeedsDepartment):
        invite(administrator, memberships=[grant])
    assert events == []
    assert not User.objects.filter(username="kim").exists()


def test_update_user_replaces_the_roles_when_they_differ(
    administrator, technician, department, recording
):
    kept = technician.memberships.get().pk
    with recording() as events:
        user = update_user(
            actor=administrator,
            user=technician,
            full_name="Tina Newname",
            email="",
            memberships=[("technician", department), ("auditor", None)],
        )
    assert user.verbs >= {Verb.STUDY_SUBMIT, Verb.AUDIT_VIEW}
    assert user.memberships.filter(pk=kept).exists()
    assert [event.action for event in events] == [Action.USER_UPDATED]
    assert events[0].details["changed"] == ["name", "roles"]
    assert events[0].details["old_roles"] == ["Technician · Radiology"]


def test_update_user_records_nothing_when_nothing_changed(
    administrator, technician, department, recording
):
    with recording() as events:
        update_user(
            actor=administrator,
            user=technician,
            full_name="Tina Technician",
            email="",
            memberships=[("technician", department)],
        )
    assert events == []


def take_role_away(actor, user):
    update_user(actor=actor, user=user, full_name="X", email="", memberships=[("auditor", None)])


def deactivate(actor, user):
    deactivate_user(actor=actor, user=user)


@pytest.mark.parametrize("change", [take_role_away, deactivate])
def test_change_is_refused_when_it_takes_the_last_administrator(administrator, recording, change):
    former = factories.make_user(Role.ADMINISTRATOR, is_active=False)
    with recording() as events, pytest.raises(LastAdministrator):
        change(administrator, administrator)
    assert events == []
    administrator.refresh_from_db()
    assert administrator.is_active
    assert administrator.full_name == "Ada Admin"
    assert former.memberships.exists()


@pytest.mark.parametrize("change", [take_role_away, deactivate])
def test_change_is_made_when_another_administrator_stays(administrator, recording, change):
    factories.make_user(Role.ADMINISTRATOR)
    with recording() as events:
        change(administrator, administrator)
    assert len(events) == 1


@pytest.mark.django_db(transaction=True)
def test_deactivate_user_keeps_one_when_two_administrators_deactivate_each_other():
    pair = [factories.make_user(Role.ADMINISTRATOR) for _ in range(2)]
    start, outcomes = threading.Barrier(2), []

    def deactivate_other(actor, user):
        start.wait()
        try:
            deactivate_user(actor=actor, user=user)
            outcomes.append("done")
        except LastAdministrator:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=deactivate_other, args=arguments)
        for arguments in (pair, pair[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "refused"]
    remaining = User.objects.filter(pk__in=[user.pk for user in pair], is_active=True)
    assert remaining.count() == 1


def test_deactivate_user_ends_sessions_and_tokens_when_somebody_leaves(
    administrator, technician, recording, client
):
    _, value = issue_token(actor=technician, user=technician, name="x", days=1)
    client.force_login(technician)
    with recording() as events:
        deactivate_user(actor=administrator, user=technician)
    assert authenticate_token(value) is None
    assert client.get("/profile/").status_code == 302
    assert [event.action for event in events] == [Action.USER_DEACTIVATED]
    assert events[0].details == {
        "username": "tina",
        "tokens_revoked": 1,
        "sessions_ended": 1,
    }


def test_deactivate_user_records_nothing_when_done_twice(administrator, technician, recording):
    deactivate_user(actor=administrator, user=technician)
    with recording() as events:
        deactivate_user(actor=administrator, user=technician)
    assert events == []


def test_reactivate_user_brings_back_roles_only_when_sessions_and_tokens_had_ended(
    administrator, technician, recording, client
):
    _, value = issue_token(actor=technician, user=technician, name="x", days=1)
    client.force_login(technician)
    deactivate_user(actor=administrator, user=technician)
    with recording() as events:
        user = reactivate_user(actor=administrator, user=technician)
    assert user.has_verb(Verb.STUDY_SUBMIT)
    assert authenticate_token(value) is None
    assert client.get("/profile/").status_code == 302
    assert client.login(username="tina", password=factories.PASSWORD)
    assert [event.action for event in events] == [Action.USER_REACTIVATED]


def test_reactivate_user_records_nothing_when_active(administrator, technician, recording):
    with recording() as events:
        reactivate_user(actor=administrator, user=technician)
    assert events == []


def test_departments_held_names_each_once_when_several_roles_are_held(technician, department):
    Membership.objects.create(user=technician, role=Role.REVIEWER, department=department)
    Membership.objects.create(user=technician, role=Role.AUDITOR)
    assert technician.departments_held == [department]
