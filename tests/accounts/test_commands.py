"""The commands that set up the first people of an installation."""

import io

import pytest
from django.core.management import CommandError, call_command

from accounts.choices import Action
from accounts.models import User
from accounts.roles import Role, Verb
from accounts.services import authenticate_token, sign_in_user

PASSWORD = "a-long-enough-secret-5"


def create_user(*more, out=None):
    call_command(
        "create_user",
        "--username=kim",
        "--full-name=Kim Kind",
        "--email=kim@hospital.example",
        *more,
        stdout=out or io.StringIO(),
        stderr=io.StringIO(),
    )


def test_create_user_prints_a_link_when_no_password_is_given(db, client, recording):
    out = io.StringIO()
    with recording() as events:
        create_user("--role=administrator", out=out)
    address, _, secret = out.getvalue().strip().partition("#")
    assert client.post(address, {"link": secret}, follow=True).context["validlink"]
    assert User.objects.get(username="kim").has_verb(Verb.ACCOUNT_MANAGE)
    assert [event.action for event in events] == [Action.USER_INVITED]


def test_create_user_sets_the_password_when_it_comes_on_stdin(db, monkeypatch, department):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    out = io.StringIO()
    create_user(
        "--role=reviewer", "--role=auditor", "--department=RADIOLOGY", "--password-stdin", out=out
    )
    user = sign_in_user(username="kim", password=PASSWORD)
    assert {row.role for row in user.memberships.all()} == {Role.REVIEWER, Role.AUDITOR}
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("options", "stdin"),
    [
        (["--role=administrator", "--password-stdin"], "short\n"),
        (["--role=administrator", "--email=kim"], ""),
        (["--role=administrator", "--username=kim kind"], ""),
        (["--role=reviewer"], ""),
        (["--role=reviewer", "--department=Nowhere"], ""),
        (["--role=king"], ""),
    ],
)
def test_create_user_opens_nothing_when_something_is_wrong(db, monkeypatch, options, stdin):
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    with pytest.raises(CommandError):
        create_user(*options)
    assert not User.objects.exists()


def test_create_user_refuses_when_the_name_is_taken(db):
    create_user("--role=administrator")
    with pytest.raises(CommandError, match="already in use"):
        create_user("--role=administrator")


def issue_token(*options):
    out = io.StringIO()
    call_command("issue_token", *options, stdout=out)
    return out.getvalue()


def test_issue_token_prints_only_the_value_when_issued(technician, recording):
    with recording() as events:
        printed = issue_token("--user=TINA", "--days=1", "--scope=study.view")
    token = authenticate_token(printed.strip())
    assert token.user == technician
    assert token.scopes == ["study.view"]
    assert [event.action for event in events] == [Action.TOKEN_ISSUED]


@pytest.mark.parametrize(
    "options",
    [
        ["--user=nobody", "--days=1"],
        ["--user=tina", "--days=0"],
        ["--user=tina", "--days=1", "--scope=account.manage"],
        ["--user=tina", "--days=1", "--scope=everything"],
    ],
)
def test_issue_token_prints_nothing_when_refused(technician, options, recording):
    with recording() as events, pytest.raises(CommandError):
        issue_token(*options)
    assert events == []
