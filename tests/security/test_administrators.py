"""Nobody makes themselves, or a puppet, one of the people who see patients."""

import datetime as dt

import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts.choices import Action
from accounts.models import AuditEvent, Membership, User
from accounts.roles import Role, Verb
from tests.factories import make_study, make_user
from tests.security.links import redeem, sign_in, signed_in
from tests.security.together import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return make_user(Role.ADMINISTRATOR, username="ada", email="ada@hospital.example")


@pytest.fixture
def second(ada):
    """Another administrator, so that there are two."""
    return make_user(Role.ADMINISTRATOR, username="zoe", email="zoe@hospital.example")


def edit(actor, person, **fields):
    """Send the form of a person's page, with the roles that are given and no others."""
    given = {"full_name": str(person), "email": person.email, **fields}
    return signed_in(actor).post(reverse("accounts:user-edit", args=[person.pk]), given)


def invite(actor, username, **fields):
    given = {"username": username, "full_name": username, "email": "", **fields}
    return signed_in(actor).post(reverse("accounts:user-invite"), given)


def proposals():
    from accounts.models import RoleProposal

    return RoleProposal.objects


def decide(actor, decision, proposal=None):
    proposal = proposal or proposals().get()
    address = reverse(f"accounts:role-proposal-{decision}", args=[proposal.pk])
    return signed_in(actor).post(address)


def roles_of(person):
    return {row.role for row in Membership.objects.filter(user=person)}


@pytest.mark.parametrize("field", ["technician_in", "reviewer_in", "integrator_in"])
def test_administrator_grants_themselves_a_clinical_role(ada, radiology, field):
    study = make_study(department=radiology)
    answer = edit(ada, ada, hospital_roles=["administrator"], **{field: [radiology.pk]})
    assert "yourself" in answer.content.decode()
    assert roles_of(ada) == {Role.ADMINISTRATOR}
    page = signed_in(ada).get(reverse("records:study-detail", args=[study.pk]))
    assert page.status_code == 403
    assert signed_in(ada).get(f"/api/v1/studies/{study.pk}/").status_code == 403


def test_administrator_grants_themselves_one_where_there_are_two(ada, second, radiology):
    edit(ada, ada, hospital_roles=["administrator"], reviewer_in=[radiology.pk])
    assert roles_of(ada) == {Role.ADMINISTRATOR}
    assert not proposals().exists()


def test_only_administrator_grants_to_another_and_the_trail_says_alone(ada, radiology):
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    assert roles_of(kim) == {Role.REVIEWER}
    event = AuditEvent.objects.get(action=Action.USER_UPDATED)
    assert event.details["granted_alone"] == ["Reviewer · Radiology"]


def test_own_second_account_by_the_same_address_gets_nothing(ada, radiology):
    invite(ada, "ada2", email="Ada@Hospital.example", reviewer_in=[radiology.pk])
    assert not User.objects.filter(username="ada2").exists()


def test_reviewer_s_address_is_turned_into_the_administrator_s(ada, radiology):
    reader = make_user(Role.REVIEWER, department=radiology, email="reader@hospital.example")
    edit(ada, reader, email="ada@hospital.example", reviewer_in=[radiology.pk])
    reader.refresh_from_db()
    assert reader.email == "reader@hospital.example"


@pytest.mark.parametrize("field", ["technician_in", "reviewer_in", "integrator_in"])
def test_one_of_two_administrators_grants_alone(ada, second, radiology, field):
    kim = make_user(username="kim")
    edit(ada, kim, **{field: [radiology.pk]})
    assert roles_of(kim) == set()
    assert proposals().get().proposed_by == ada


def test_one_of_two_administrators_makes_a_third_alone(ada, second):
    kim = make_user(username="kim")
    edit(ada, kim, hospital_roles=["administrator"])
    assert roles_of(kim) == set()


def test_puppet_is_invited_with_a_clinical_role(ada, second, radiology):
    study = make_study(department=radiology)
    link = invite(ada, "puppet", reviewer_in=[radiology.pk]).context["link"]
    redeem(signed_in(second), link)
    puppet = sign_in("puppet")
    assert puppet.get(reverse("records:study-detail", args=[study.pk])).status_code == 403


def test_roles_of_no_patient_and_removals_are_at_once(ada, second, radiology):
    kim = make_user(Role.TECHNICIAN, department=radiology, username="kim")
    edit(ada, kim, hospital_roles=["auditor"])
    assert roles_of(kim) == {Role.AUDITOR}


def test_second_administrator_accepts(ada, second, radiology):
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    listed = signed_in(second).get(reverse("accounts:role-proposal-list")).content.decode()
    assert "kim" in listed
    assert (
        "roles waiting: </span>1</span>"
        in signed_in(second).get(reverse("accounts:user-list")).content.decode()
    )
    decide(second, "accept")
    assert kim.memberships.get().department == radiology
    event = AuditEvent.objects.get(action=Action.ROLE_GRANTED)
    assert event.actor_id == second.pk
    assert event.details["proposed_by"] == str(ada)
    assert event.department_id == radiology.pk


def test_second_administrator_declines(ada, second, radiology):
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    decide(second, "decline")
    decide(second, "accept")
    assert roles_of(kim) == set()
    assert AuditEvent.objects.get(action=Action.ROLE_DECLINED).actor_id == second.pk


def test_proposer_accepts_their_own_proposal(ada, second, radiology):
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    answer = decide(ada, "accept")
    assert answer.status_code == 302
    assert roles_of(kim) == set()


def test_administrator_accepts_a_role_for_themselves(ada, second, radiology):
    edit(ada, second, hospital_roles=["administrator"], reviewer_in=[radiology.pk])
    decide(second, "accept")
    assert roles_of(second) == {Role.ADMINISTRATOR}


def test_proposer_accepts_through_a_link_for_the_second(ada, second, radiology):
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    address = reverse("accounts:user-password-link", args=[second.pk])
    redeem(signed_in(ada), signed_in(ada).post(address).context["link"])
    accept = reverse("accounts:role-proposal-accept", args=[proposals().get().pk])
    sign_in("zoe").post(accept)
    assert roles_of(kim) == set()


def test_administrator_proposes_through_a_link_and_accepts_as_themselves(ada, second, radiology):
    kim = make_user(username="kim")
    address = reverse("accounts:user-password-link", args=[second.pk])
    redeem(signed_in(ada), signed_in(ada).post(address).context["link"])
    given = {"full_name": "Kim", "email": "", "reviewer_in": [radiology.pk]}
    sign_in("zoe").post(reverse("accounts:user-edit", args=[kim.pk]), given)
    assert proposals().get().proposed_by == second
    decide(ada, "accept")
    assert roles_of(kim) == set()


@pytest.mark.parametrize("how", ["deactivate", "remove the role"])
def test_second_administrator_is_put_aside_first(ada, second, radiology, how):
    if how == "deactivate":
        signed_in(ada).post(reverse("accounts:user-deactivate", args=[second.pk]))
    else:
        edit(ada, second)
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    assert roles_of(kim) == set()


def test_new_administrator_is_made_to_accept(ada, second, radiology):
    """A puppet administrator needs a second administrator as much as a puppet reader."""
    invite(ada, "puppet", hospital_roles=["administrator"])
    assert not User.objects.get(username="puppet").has_verb(Verb.ACCOUNT_MANAGE)


def test_deactivated_reader_is_woken_up(ada, second, radiology):
    reader = make_user(Role.REVIEWER, department=radiology, is_active=False)
    signed_in(ada).post(reverse("accounts:user-reactivate", args=[reader.pk]))
    reader = User.objects.get(pk=reader.pk)
    assert reader.is_active
    assert not reader.has_verb(Verb.STUDY_VIEW)
    decide(second, "accept")
    assert User.objects.get(pk=reader.pk).has_verb(Verb.REVIEW_CREATE)


def test_only_administrator_wakes_a_reader_up_at_once(ada, radiology):
    reader = make_user(Role.REVIEWER, department=radiology, is_active=False)
    signed_in(ada).post(reverse("accounts:user-reactivate", args=[reader.pk]))
    assert User.objects.get(pk=reader.pk).has_verb(Verb.REVIEW_CREATE)


def test_proposal_is_accepted_after_its_time_or_for_somebody_who_left(ada, second, radiology):
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    proposals().update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    decide(second, "accept")
    assert roles_of(kim) == set()
    edit(ada, kim, reviewer_in=[radiology.pk])
    User.objects.filter(pk=kim.pk).update(is_active=False)
    decide(second, "accept", proposals().latest("proposed_at"))
    assert roles_of(kim) == set()


def test_same_proposal_is_made_again_and_again(ada, second, radiology):
    kim = make_user(username="kim")
    for _ in range(3):
        edit(ada, kim, reviewer_in=[radiology.pk])
    assert proposals().count() == 1
    assert AuditEvent.objects.filter(action=Action.ROLE_PROPOSED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_accepts_while_another_declines(ada, second, radiology):
    third = make_user(Role.ADMINISTRATOR)
    kim = make_user(username="kim")
    edit(ada, kim, reviewer_in=[radiology.pk])
    proposal = proposals().get()

    def close(actor, decision):
        decide(actor, decision, proposal)
        connection.close()

    at_once(lambda: close(second, "accept"), lambda: close(third, "decline"))
    decided = AuditEvent.objects.filter(action__in=[Action.ROLE_GRANTED, Action.ROLE_DECLINED])
    assert decided.count() == 1
    granted = decided.get().action == Action.ROLE_GRANTED
    assert roles_of(kim) == ({Role.REVIEWER} if granted else set())


def test_operator_s_command_grants_at_once_and_the_event_says_system(ada, second, radiology):
    call_command(
        "create_user",
        *("--username=kim", "--full-name=Kim", "--email=kim@hospital.example"),
        *("--role=reviewer", "--department=Radiology"),
    )
    assert roles_of(User.objects.get(username="kim")) == {Role.REVIEWER}
    assert AuditEvent.objects.get(action=Action.USER_INVITED).actor_kind == "system"
