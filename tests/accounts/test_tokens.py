"""API tokens: shown once, limited in time and in what they may do."""

import datetime as dt
import hashlib

import pytest
from django.utils import timezone

from accounts.choices import Action
from accounts.errors import PersonInactive, TokenLifetimeInvalid, VerbNotHeld
from accounts.models import ApiToken
from accounts.services import (
    authenticate_token,
    deactivate_user,
    issue_token,
    revoke_token,
)


@pytest.fixture
def issued(technician):
    return issue_token(actor=technician, user=technician, name="scanner", days=30)


def test_issue_token_keeps_only_the_hash_when_issued(technician, recording):
    with recording() as events:
        token, value = issue_token(actor=technician, user=technician, name="scanner", days=30)
    assert value.startswith("mi_")
    assert len(value) == 46
    assert token.digest == hashlib.sha256(value.encode()).hexdigest()
    assert value.startswith(token.prefix)
    assert set(token.scopes) == technician.verbs
    assert [event.action for event in events] == [Action.TOKEN_ISSUED]
    assert value not in str(events[0].details)


@pytest.mark.parametrize("days", [0, -1, 366])
def test_issue_token_refuses_when_the_lifetime_is_out_of_range(technician, recording, days):
    with recording() as events, pytest.raises(TokenLifetimeInvalid):
        issue_token(actor=technician, user=technician, name="x", days=days)
    assert events == []


def test_issue_token_refuses_when_the_owner_lacks_the_permission(technician, recording):
    with recording() as events, pytest.raises(VerbNotHeld):
        issue_token(actor=technician, user=technician, name="x", days=1, scopes=["account.manage"])
    assert events == []


def test_issue_token_refuses_when_the_owner_is_deactivated(administrator, technician, recording):
    user = deactivate_user(actor=administrator, user=technician)
    with recording() as events, pytest.raises(PersonInactive):
        issue_token(actor=administrator, user=user, name="x", days=1)
    assert events == []


def test_authenticate_token_returns_it_when_usable(issued, technician):
    token, value = issued
    found = authenticate_token(value)
    assert found == token
    assert found.user == technician
    token.refresh_from_db()
    assert token.last_used_at is not None


def test_authenticate_token_returns_none_when_unknown(issued):
    assert authenticate_token("mi_unknown") is None
    assert authenticate_token("") is None


def test_authenticate_token_returns_none_when_expired(issued):
    token, value = issued
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert authenticate_token(value) is None


def test_authenticate_token_returns_none_when_revoked(issued, technician, recording):
    token, value = issued
    with recording() as events:
        revoke_token(actor=technician, token=token)
        revoke_token(actor=technician, token=token)
    assert authenticate_token(value) is None
    assert [event.action for event in events] == [Action.TOKEN_REVOKED]


def test_authenticate_token_notes_its_use_when_a_minute_has_passed(
    issued, django_assert_num_queries
):
    token, value = issued
    with django_assert_num_queries(2):
        authenticate_token(value)
    with django_assert_num_queries(1):
        authenticate_token(value)
    earlier = timezone.now() - dt.timedelta(minutes=1, seconds=1)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=earlier)
    with django_assert_num_queries(2):
        authenticate_token(value)
