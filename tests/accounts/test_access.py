"""Every address of accounts, for every role: who gets in, and that refusals are recorded."""

import uuid

import pytest
from django.db import transaction
from django.urls import reverse

from accounts.choices import Action
from accounts.models import AuditEvent, Department
from accounts.roles import Role
from accounts.urls import urlpatterns
from tests import factories

EVERYBODY = frozenset(Role)
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})
READERS_OF_THE_TRAIL = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})

PAGES = {
    "password-change": ("get", EVERYBODY),
    "profile": ("get", EVERYBODY),
    "token-create": ("get", EVERYBODY),
    "token-revoke": ("post", EVERYBODY),
    "notices-seen": ("post", EVERYBODY),
    "role-proposal-list": ("get", ADMINISTRATORS),
    "role-proposal-accept": ("post", ADMINISTRATORS),
    "role-proposal-decline": ("post", ADMINISTRATORS),
    "session-end": ("post", EVERYBODY),
    "session-end-others": ("post", EVERYBODY),
    "user-sessions-end": ("post", ADMINISTRATORS),
    "user-list": ("get", ADMINISTRATORS),
    "user-invite": ("get", ADMINISTRATORS),
    "user-edit": ("get", ADMINISTRATORS),
    "user-deactivate": ("get", ADMINISTRATORS),
    "user-reactivate": ("post", ADMINISTRATORS),
    "user-password-link": ("post", ADMINISTRATORS),
    "department-list": ("get", ADMINISTRATORS),
    "department-create": ("get", ADMINISTRATORS),
    "department-edit": ("get", ADMINISTRATORS),
    "audit-list": ("get", READERS_OF_THE_TRAIL),
    "audit-export": ("post", READERS_OF_THE_TRAIL),
}
OF_ONE_S_OWN = {
    "password-change",
    "profile",
    "notices-seen",
    "session-end",
    "session-end-others",
}
OPEN_TO_STRANGERS = {
    "sign-in",
    "sign-out",
    "password-reset",
    "password-reset-done",
    "password-link",
    "password-reset-confirm",
    "password-reset-complete",
}
API = {
    "/api/v1/me/": EVERYBODY,
    "/api/v1/departments/": EVERYBODY,
    "/api/v1/tokens/": EVERYBODY,
    "/api/v1/audit-events/": READERS_OF_THE_TRAIL,
    f"/api/v1/audit-events/{uuid.UUID(int=1)}/": READERS_OF_THE_TRAIL,
}
LET_IN = {200, 302, 404}


@pytest.fixture
def address_of(db):
    """Return the address of a page, about somebody or something that exists."""
    person = factories.make_user(Role.REVIEWER)
    unknown = uuid.uuid4()
    department = Department.objects.get()
    pks = {
        "user": person.pk,
        "department": department.pk,
        **dict.fromkeys(("token", "role", "session"), unknown),
    }
    with_pk = {
        pattern.name: "pk" in pattern.pattern.converters
        for pattern in urlpatterns
        if hasattr(pattern.pattern, "converters")
    }

    def find(name):
        args = [pks[name.partition("-")[0]]] if with_pk[name] else []
        return reverse(f"accounts:{name}", args=args)

    return find


def test_table_names_each_page_when_the_url_map_grows():
    assert {pattern.name for pattern in urlpatterns} == PAGES.keys() | OPEN_TO_STRANGERS


@pytest.mark.parametrize("role", Role)
def test_page_answers_by_role_when_signed_in(client, address_of, recording, role):
    user = factories.make_user(role)
    for name, (method, allowed) in PAGES.items():
        with transaction.atomic():
            client.force_login(user)
            with recording() as events:
                status = getattr(client, method)(address_of(name)).status_code
            transaction.set_rollback(True)
        refusals = [event for event in events if event.action == Action.ACCESS_REFUSED]
        if role in allowed:
            assert status in LET_IN, name
            assert refusals == [], name
        else:
            assert status == 403, name
            assert [(event.actor_id, event.target_id) for event in refusals] == [
                (user.pk, f"accounts:{name}")
            ]


def test_pages_ask_to_sign_in_when_anonymous(client, address_of, recording):
    for name, (method, _) in PAGES.items():
        with recording() as events:
            response = getattr(client, method)(address_of(name))
        assert response.status_code == 302, name
        assert response.url.startswith("/sign-in/?next="), name
        assert events == [], name


def test_pages_are_refused_when_no_role_is_held(client, address_of):
    client.force_login(factories.make_user())
    for name in PAGES.keys() - OF_ONE_S_OWN:
        assert getattr(client, PAGES[name][0])(address_of(name)).status_code == 403, name


@pytest.mark.parametrize("role", Role)
def test_api_answers_by_role_when_signed_in(client, db, role):
    client.force_login(factories.make_user(role))
    refused = 0
    for address, allowed in API.items():
        status = client.get(address).status_code
        assert status in LET_IN if role in allowed else status == 403, address
        refused += role not in allowed
        refusals = AuditEvent.objects.filter(action=Action.ACCESS_REFUSED).count()
        assert refusals == refused, address


def test_api_answers_401_when_anonymous(client, db):
    for address in API:
        response = client.get(address)
        assert response.status_code == 401, address
        assert response["WWW-Authenticate"].startswith("Bearer"), address


@pytest.mark.parametrize("name", sorted(OPEN_TO_STRANGERS - {"sign-out"}))
def test_page_is_open_when_nobody_has_signed_in(client, db, name):
    assert client.get(reverse(f"accounts:{name}")).status_code == 200
