"""API tokens: they fall with what they stand on, and give nothing that nobody chose."""

import concurrent.futures
import datetime as dt
import re

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.errors import KnownError
from accounts.models import ApiToken
from accounts.roles import Role
from accounts.services import change_password, deactivate_user, issue_token, revoke_token
from tests import factories

ME = "/api/v1/me/"
TOKENS = "/api/v1/tokens/"
NEW = "a-long-enough-secret-5"


@pytest.fixture
def tina(db):
    return factories.make_user(Role.TECHNICIAN, username="tina")


def mint(value, **wanted):
    body = {"name": "child", "days": 365, "scopes": ["token.own"], **wanted}
    return Client().post(
        TOKENS, body, content_type="application/json", headers={"authorization": f"Token {value}"}
    )


def opens(value):
    return Client().get(ME, headers={"authorization": f"Token {value}"}).status_code == 200


def make(user, days=30):
    return issue_token(actor=user, user=user, name="parent", days=days)


def test_tokens_fall_with_the_password(tina, client):
    _, value = make(tina)
    client.force_login(tina)
    fields = {"old_password": factories.PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert client.post("/password/change/", fields).status_code == 302
    assert not opens(value)


def test_tokens_fall_with_a_password_set_by_a_link(tina, client):
    from accounts.services import set_password

    _, value = make(tina)
    set_password(actor=tina, user=tina, password=NEW)
    assert not opens(value)


def test_a_child_falls_with_its_parent_and_so_do_its_children(tina):
    parent, value = make(tina)
    child = mint(value).json()["value"]
    grandchild = mint(child).json()["value"]
    assert opens(grandchild)
    revoke_token(actor=tina, token=parent)
    assert [opens(value), opens(child), opens(grandchild)] == [False] * 3


def test_a_child_does_not_outlive_its_parent(tina):
    parent, value = make(tina, days=2)
    response = mint(value, days=365)
    assert response.status_code == 201
    assert ApiToken.objects.get(name="child").expires_at <= parent.expires_at


def test_a_child_may_do_no_more_than_its_parent(tina):
    _, value = issue_token(
        actor=tina, user=tina, name="narrow", days=1, scopes=["token.own", "study.view"]
    )
    assert mint(value, scopes=["study.submit"]).status_code == 403
    assert mint(value, scopes=["study.view"]).status_code == 201


@pytest.mark.parametrize("scopes", [None, [], "leave out"])
def test_permissions_are_chosen_never_left_out(tina, client, scopes):
    client.force_login(tina)
    body = {"name": "all", "days": 1} | ({} if scopes == "leave out" else {"scopes": scopes})
    response = client.post(TOKENS, body, content_type="application/json")
    assert response.status_code == 400
    assert not ApiToken.objects.exists()


def test_the_page_ticks_nothing_and_speaks_in_words(tina, client):
    client.force_login(tina)
    page = client.get("/profile/tokens/new/").content.decode()
    assert not re.search(r"(?<!-)\bchecked\b", page)
    assert "Submit studies" in page
    assert ">study.submit<" not in page


def test_a_new_token_is_shown_once_after_a_redirect(tina, client):
    client.force_login(tina)
    fields = {"name": "scanner", "days": 7, "scopes": ["study.view"]}
    response = client.post("/profile/tokens/new/", fields)
    assert (response.status_code, response["Location"]) == (302, "/profile/")
    stored = str(dict(client.session))
    value = client.get("/profile/").context["new_token_value"]
    assert opens(value)
    assert value not in stored
    assert bytes(value, "ascii").hex() not in stored
    assert value not in client.get("/profile/").content.decode()
    assert ApiToken.objects.count() == 1


def test_the_half_in_the_session_is_nothing_without_the_browser(tina, client):
    client.force_login(tina)
    client.post("/profile/tokens/new/", {"name": "x", "days": 7, "scopes": ["study.view"]})
    thief = Client()
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    assert not thief.get("/profile/").context["new_token_value"]


def held_back(change, mint_one):
    """Begin `change`, try `mint_one` beside it, then commit; return whether a token was made."""

    def beside():
        try:
            mint_one()
        except KnownError:
            return False
        finally:
            connection.close()
        return True

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            change()
            running = pool.submit(beside)
            concurrent.futures.wait([running], timeout=1)
        return running.result(timeout=20)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ended_by", ["revocation", "deactivation", "password"])
def test_no_token_slips_through_while_what_it_stands_on_ends(ended_by):
    factories.make_user(Role.ADMINISTRATOR)
    tina = factories.make_user(Role.TECHNICIAN, username="tina")
    parent, _ = make(tina)
    asking = type(tina).objects.get(pk=tina.pk)
    change = {
        "revocation": lambda: revoke_token(actor=tina, token=parent),
        "deactivation": lambda: deactivate_user(actor=None, user=tina),
        "password": lambda: change_password(actor=tina, password=NEW),
    }[ended_by]
    given = {"parent": parent} if ended_by == "revocation" else {}

    def mint_one():
        issue_token(actor=asking, user=asking, name="late", days=1, scopes=["study.view"], **given)

    assert held_back(change, mint_one) is False
    assert not ApiToken.objects.usable().exists()


def test_an_expired_parent_mints_nothing(tina):
    parent, value = make(tina)
    earlier = timezone.now() - dt.timedelta(seconds=1)
    ApiToken.objects.filter(pk=parent.pk).update(expires_at=earlier)
    assert mint(value).status_code == 401
