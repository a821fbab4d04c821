"""The rail: each entry leads where its holder may go, and is marked on its own pages."""

import re
from fnmatch import fnmatchcase

import pytest
from django.urls import reverse

from accounts.roles import ROLE_VERBS, Role
from medimaging.navigation import ENTRIES
from tests import factories
from tests.access_rules import RULES

NAMES = {name for name, *_ in RULES}


def rail_of(client, name: str) -> str:
    page = client.get(reverse(name)).content.decode()
    return page[page.index('id="rail"') : page.index("rail-foot")]


def marked_in(rail: str) -> list[str]:
    return re.findall('class="rail-link" href="([^"]+)" aria-current="page"', rail)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.word)
def test_every_entry_asks_for_the_verb_of_its_page(entry):
    assert (entry.address, "get", entry.verb) in {rule[:3] for rule in RULES}
    for page in entry.pages:
        assert any(fnmatchcase(name, page) for name in NAMES), page


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
def test_rail_shows_what_the_role_may_open_and_marks_its_page(client, role):
    client.force_login(factories.make_user(role, department=factories.make_department()))
    allowed = [entry.address for entry in ENTRIES if entry.verb in ROLE_VERBS[role]]

    rail = rail_of(client, "accounts:profile")
    shown = re.findall('class="rail-link" href="([^"]+)"', rail)
    assert shown == [reverse(name) for name in allowed]
    assert marked_in(rail) == []
    for name in allowed:
        assert reverse(name) in marked_in(rail_of(client, name))


@pytest.mark.django_db
def test_rail_counts_what_waits(client):
    department = factories.make_department()
    factories.make_proposal(department=department)
    client.force_login(factories.make_user(Role.ADMINISTRATOR))

    assert ", roles waiting: </span>1</span>" in rail_of(client, "accounts:profile")
