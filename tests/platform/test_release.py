"""Where the number of the release is told: to people who are signed in, and to nobody else."""

import pytest
from django.urls import reverse

from accounts.roles import Role
from medimaging.release import VERSION
from tests.factories import make_department, make_user

pytestmark = pytest.mark.django_db

SHOWN = f"Release {VERSION}"


@pytest.mark.parametrize("role", [*Role])
def test_foot_of_a_page_tells_the_release_to_whoever_is_signed_in(client, role):
    client.force_login(make_user(role, department=make_department()))

    page = client.get("/", follow=True)

    foot = page.content.decode().partition("<footer")[2].partition("</footer>")[0]
    assert SHOWN in foot


@pytest.mark.parametrize("path", ["/", "/nothing-here/", "/healthz", "/readyz"])
def test_strangers_are_told_no_release(client, path):
    answer = client.get(path, follow=True, headers={"Host": "localhost"})

    assert VERSION not in answer.content.decode()
    assert VERSION not in str(answer.headers)


def test_pages_of_the_gate_tell_no_release(client):
    for name in ("accounts:sign-in", "accounts:password-reset"):
        assert VERSION not in client.get(reverse(name)).content.decode()
