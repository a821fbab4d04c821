"""One's own pages: tokens and passwords."""

import pytest
from django.test import Client

from accounts.choices import Action, Outcome
from accounts.models import ApiToken
from accounts.services import issue_token, send_waiting_mails
from tests import factories

NEW_PASSWORD = "a-long-enough-secret-5"


@pytest.fixture
def own_client(client, technician):
    client.force_login(technician)
    return client


def test_token_page_shows_the_value_once_when_created(own_client, recording):
    with recording() as events:
        response = own_client.post(
            "/profile/tokens/new/",
            {"name": "scanner", "days": 7, "scopes": ["study.view"]},
            follow=True,
        )
    value = response.context["new_token_value"]
    assert value in response.content.decode()
    assert [event.action for event in events] == [Action.TOKEN_ISSUED]
    later = own_client.get("/profile/")
    assert value not in later.content.decode()
    assert [token.scopes for token in later.context["tokens"]] == [["study.view"]]
    assert value not in str(dict(own_client.session))


@pytest.mark.parametrize(
    "fields",
    [{"days": 0}, {"days": 366}, {"scopes": ["account.manage"]}, {"scopes": []}, {"name": ""}],
)
def test_token_page_makes_nothing_when_a_field_is_wrong(own_client, fields):
    wanted = {"name": "scanner", "days": 7, "scopes": ["study.view"], **fields}
    response = own_client.post("/profile/tokens/new/", wanted)
    assert response.status_code == 200
    assert list(response.context["form"].errors) == list(fields)
    assert not ApiToken.objects.exists()


def test_token_revoke_page_shuts_it_when_it_is_ones_own(own_client, technician, recording):
    token, _ = issue_token(actor=technician, user=technician, name="x", days=1)
    with recording() as events:
        response = own_client.post(f"/tokens/{token.pk}/revoke/")
    assert response.url == "/profile/"
    assert [event.action for event in events] == [Action.TOKEN_REVOKED]


def test_password_page_ends_other_sessions_when_changed(own_client, technician, recording):
    elsewhere = Client()
    elsewhere.force_login(technician)
    with recording() as events:
        response = own_client.post(
            "/password/change/",
            {
                "old_password": factories.PASSWORD,
                "new_password1": NEW_PASSWORD,
                "new_password2": NEW_PASSWORD,
            },
        )
    assert response.url == "/profile/"
    assert [event.action for event in events] == [Action.PASSWORD_CHANGED]
    assert own_client.get("/profile/").status_code == 200
    assert elsewhere.get("/profile/").status_code == 302


@pytest.mark.parametrize(("old", "new"), [("wrong", NEW_PASSWORD), (factories.PASSWORD, "short")])
def test_password_page_changes_nothing_when_refused(own_client, technician, recording, old, new):
    with recording() as events:
        own_client.post(
            "/password/change/", {"old_password": old, "new_password1": new, "new_password2": new}
        )
    technician.refresh_from_db()
    assert technician.check_password(factories.PASSWORD)
    assert [event.action for event in events] == ([Action.SIGN_IN_FAILED] * (old == "wrong"))


@pytest.mark.parametrize(("email", "is_known"), [("TINA@x.example", True), ("no@x.example", False)])
def test_reset_page_answers_alike_when_the_address_is_unknown(
    client, technician, mailoutbox, recording, settings, email, is_known
):
    settings.MAIL_ENABLED = True
    technician.email = "tina@x.example"
    technician.save()
    with recording() as events:
        response = client.post("/password/reset/", {"email": email})
        assert response.url == "/password/reset/sent/"
        assert mailoutbox == []
        send_waiting_mails()
    assert len(mailoutbox) == is_known
    (event,) = events
    assert event.action == Action.PASSWORD_RESET_REQUESTED
    assert event.outcome == (Outcome.SUCCESS if is_known else Outcome.MINOR_FAILURE)
    assert event.target_id == (str(technician.pk) if is_known else "")


def test_reset_page_sends_to_the_administrator_when_there_is_no_mail_server(
    client, technician, recording
):
    with recording() as events:
        response = client.post("/password/reset/", {"email": "tina@x.example"})
    assert "Ask your administrator" in response.content.decode()
    assert events == []
