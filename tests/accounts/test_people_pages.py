"""The administrators' pages about people and departments."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.choices import Action
from accounts.models import Department, User
from accounts.roles import Role
from accounts.services import deactivate_user, issue_token
from tests import factories

NEW_PASSWORD = "a-long-enough-secret-5"


@pytest.fixture
def admin_client(client, administrator):
    client.force_login(administrator)
    return client


def page(name, *args):
    return reverse(f"accounts:{name}", args=args)


def invitation(department, **fields):
    return {
        "username": "kim",
        "full_name": "Kim Kind",
        "email": "kim@hospital.example",
        "reviewer_in": [str(department.pk)],
        **fields,
    }


def open_link(client, link):
    """Hand over what stands behind the #, as the page's script does."""
    return client.post(page("password-link"), {"link": link.partition("#")[2]}, follow=True)


def set_password_through(client, link):
    """Open the link as the invited person, and send the form it leads to."""
    landing = open_link(client, link)
    return client.post(
        landing.request["PATH_INFO"], {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    )


def test_invitation_leads_to_a_sign_in_when_followed(
    admin_client, client_class, department, recording
):
    with recording() as events:
        response = admin_client.post(page("user-invite"), invitation(department))
    link = response.context["link"]
    assert link.startswith("http://testserver/password/set/#")
    assert link in response.content.decode()
    assert [event.action for event in events] == [Action.USER_INVITED]

    person = client_class()
    with recording() as events:
        response = set_password_through(person, link)
    assert response.url == page("password-reset-complete")
    assert [event.action for event in events] == [Action.PASSWORD_CHANGED]
    response = person.post(page("sign-in"), {"username": "KIM", "password": NEW_PASSWORD})
    assert response.status_code == 302
    assert person.get(page("profile")).context["user"].username == "kim"


@pytest.fixture
def client_class():
    """A browser of somebody else's."""
    from django.test import Client

    return Client


def test_password_link_works_once_when_used(admin_client, client_class, department):
    link = admin_client.post(page("user-invite"), invitation(department)).context["link"]
    set_password_through(client_class(), link)
    again = open_link(client_class(), link)
    assert again.status_code == 200
    assert not again.context["validlink"]


def test_password_link_is_dead_when_the_person_was_deactivated(
    admin_client, administrator, client_class, department
):
    link = admin_client.post(page("user-invite"), invitation(department)).context["link"]
    deactivate_user(actor=administrator, user=User.objects.get(username="kim"))
    assert not open_link(client_class(), link).context["validlink"]


def test_invitation_is_mailed_when_there_is_a_mail_server(
    admin_client, department, settings, mailoutbox
):
    settings.MAIL_ENABLED = True
    response = admin_client.post(page("user-invite"), invitation(department))
    assert response.context["mailed"]
    (mail,) = mailoutbox
    assert mail.to == ["kim@hospital.example"]
    assert response.context["link"] in mail.body


def test_invitation_goes_on_when_the_mail_server_is_down(admin_client, department, settings):
    settings.MAIL_ENABLED = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1
    response = admin_client.post(page("user-invite"), invitation(department))
    assert response.context["mailed"] is False
    assert User.objects.filter(username="kim").exists()


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"username": "ADA"}, "username"),
        ({"username": "kim kind"}, "username"),
        ({"full_name": ""}, "full_name"),
        ({"email": "kim"}, "email"),
        ({"hospital_roles": ["technician"]}, "hospital_roles"),
        ({"reviewer_in": ["00000000-0000-0000-0000-000000000000"]}, "reviewer_in"),
    ],
)
def test_invite_page_says_what_is_wrong_when_it_is_sent(admin_client, department, fields, wrong):
    response = admin_client.post(page("user-invite"), invitation(department, **fields))
    assert list(response.context["form"].errors) == [wrong]
    assert User.objects.count() == 1


def test_edit_page_changes_roles_when_saved(admin_client, technician, department, recording):
    address = page("user-edit", technician.pk)
    shown = admin_client.get(address)
    assert shown.context["form"].initial["technician_in"] == [department.pk]
    with recording() as events:
        response = admin_client.post(
            address, {"full_name": "Tina Technician", "hospital_roles": ["auditor"]}
        )
    assert response.status_code == 302
    assert [str(row) for row in User.objects.get(pk=technician.pk).memberships.all()] == ["Auditor"]
    assert [event.action for event in events] == [Action.USER_UPDATED]


def test_saving_a_person_unchanged_keeps_every_role(admin_client, department):
    person = factories.make_user(*Role, department=department)
    held = set(person.memberships.values_list("role", "department"))
    address = page("user-edit", person.pk)

    fields = admin_client.get(address).context["form"].initial
    response = admin_client.post(address, fields)

    assert response.status_code == 302
    assert set(person.memberships.values_list("role", "department")) == held
    assert {role for role, _ in held} == set(Role)


def test_edit_page_offers_what_fits_when_the_person_is_active_or_not(
    admin_client, administrator, technician
):
    issue_token(actor=technician, user=technician, name="scanner", days=1)
    address = page("user-edit", technician.pk)
    active = admin_client.get(address).content.decode()
    deactivate_user(actor=administrator, user=technician)
    inactive = admin_client.get(address).content.decode()
    for name in ("user-deactivate", "user-password-link"):
        assert page(name, technician.pk) in active
        assert page(name, technician.pk) not in inactive
    assert page("user-reactivate", technician.pk) in inactive
    assert page("user-reactivate", technician.pk) not in active
    assert "scanner" in active


def test_edit_page_explains_when_it_would_take_the_last_administrator(admin_client, administrator):
    response = admin_client.post(page("user-edit", administrator.pk), {"full_name": "Ada"})
    assert "last active administrator" in response.content.decode()
    assert response.context["form"].errors["__all__"].as_data()[0].code == "last_administrator"


def test_deactivate_page_asks_first_when_opened(admin_client, technician, recording):
    with recording() as events:
        response = admin_client.get(page("user-deactivate", technician.pk))
    assert "Deactivate" in response.content.decode()
    assert events == []
    with recording() as events:
        admin_client.post(page("user-deactivate", technician.pk))
    assert [event.action for event in events] == [Action.USER_DEACTIVATED]
    with recording() as events:
        admin_client.post(page("user-reactivate", technician.pk))
    assert [event.action for event in events] == [Action.USER_REACTIVATED]


def test_deactivate_page_explains_when_it_is_the_last_administrator(admin_client, administrator):
    response = admin_client.post(page("user-deactivate", administrator.pk), follow=True)
    assert "last active administrator" in response.content.decode()
    administrator.refresh_from_db()
    assert administrator.is_active


def test_password_link_page_shows_a_link_when_the_person_is_active(
    admin_client, administrator, technician, recording
):
    with recording() as events:
        response = admin_client.post(page("user-password-link", technician.pk))
    assert response.context["link"].startswith("http://testserver/password/set/#")
    assert [event.action for event in events] == [Action.PASSWORD_LINK_ISSUED]
    deactivate_user(actor=administrator, user=technician)
    with recording() as events:
        response = admin_client.post(page("user-password-link", technician.pk))
    assert response.status_code == 302
    assert events == []


def test_token_revoke_page_serves_administrators_when_it_is_somebody_elses(
    admin_client, technician, auditor, client_class
):
    token, _ = issue_token(actor=technician, user=technician, name="x", days=1)
    stranger = client_class()
    stranger.force_login(auditor)
    assert stranger.post(page("token-revoke", token.pk)).status_code == 404
    response = admin_client.post(page("token-revoke", token.pk))
    assert response.url == page("user-edit", technician.pk)
    token.refresh_from_db()
    assert token.revoked_at is not None


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"q": "tina"}, {"tina"}),
        ({"q": "AUDITOR"}, {"otto"}),
        ({"role": "technician"}, {"tina"}),
        ({"role": "technician", "q": "otto"}, set()),
        ({"state": "inactive"}, {"gone"}),
        ({}, {"ada", "otto", "tina", "gone"}),
    ],
)
def test_user_list_narrows_when_filtered(admin_client, technician, auditor, filters, found):
    factories.make_user(username="gone", is_active=False)
    response = admin_client.post(page("user-list"), filters, follow=True)
    assert {user.username for user in response.context["users"]} == found
    assert response.context["total"] == len(found)


def test_user_list_loads_the_rest_when_asked_for_more(admin_client):
    for number in range(60):
        factories.make_user(username=f"extra{number:02}")
    first = admin_client.get(page("user-list"))
    rest = admin_client.post(
        page("user-list"),
        {"cursor": first.context["next_cursor"]},
        headers={"HX-Request": "true"},
    )
    names = [user.username for part in (first, rest) for user in part.context["users"]]
    assert names == ["ada", *(f"extra{number:02}" for number in range(60))]
    assert rest.context["next_cursor"] is None
    assert not re.search("<html|<h1", rest.content.decode())


def test_user_list_asks_the_database_as_often_when_there_are_more_people(
    admin_client, technician, django_assert_num_queries
):
    with CaptureQueriesContext(connection) as before:
        admin_client.get(page("user-list"))
    for _ in range(20):
        factories.make_user("reviewer", "auditor")
    with django_assert_num_queries(len(before)):
        admin_client.get(page("user-list"))


def test_department_pages_create_and_rename_when_posted(admin_client, recording):
    with recording() as events:
        admin_client.post(page("department-create"), {"name": "Neurology"})
        department = Department.objects.get(name="Neurology")
        admin_client.post(page("department-edit", department.pk), {"name": "Neuro"})
    assert [event.action for event in events] == [
        Action.DEPARTMENT_CREATED,
        Action.DEPARTMENT_RENAMED,
    ]
    shown = admin_client.get(page("department-list")).context["department_list"]
    assert [row.name for row in shown] == ["Neuro"]


def test_department_pages_explain_when_the_name_is_taken(admin_client, department):
    other = factories.make_department("Neuro")
    for address in (page("department-create"), page("department-edit", other.pk)):
        response = admin_client.post(address, {"name": "radiology"})
        assert list(response.context["form"].errors) == ["name"]


def test_department_list_counts_active_people_when_somebody_left(
    admin_client, administrator, technician, department
):
    factories.make_user("technician", "reviewer", department=department)
    deactivate_user(actor=administrator, user=technician)
    (row,) = admin_client.get(page("department-list")).context["department_list"]
    assert row.member_count == 1
