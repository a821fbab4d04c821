"""Set-password links: the secret is in no address, lives a day at most, and works once."""

import re
import threading
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings as project
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.choices import Action
from accounts.models import AuditEvent, PasswordLink, User
from accounts.roles import Role
from accounts.services import issue_password_link, send_waiting_mails, sign_in_user
from accounts.services.passwords import password_link_path, password_links
from tests import factories
from tests.e2e.browser import chromium
from tests.gunicorn import Gunicorn
from tests.security.links import open_link

NEW = "a-long-enough-secret-5"
FORM = {"new_password1": NEW, "new_password2": NEW}


@pytest.fixture
def owner(db: None) -> User:
    return factories.make_user(Role.TECHNICIAN, email="kim@hospital.example")


def choose(client: Client, **fields: str) -> HttpResponse:
    return client.post(reverse("accounts:password-reset-confirm"), FORM | fields)


def test_the_secret_stands_behind_the_hash_alone(owner: User) -> None:
    parts = urlsplit(password_link_path(owner, issued_by=None))

    assert parts.path == "/password/set/"
    assert not parts.query
    assert len(parts.fragment) > 40


def test_mailed_links_keep_the_secret_behind_the_hash(
    client: Client, owner: User, settings, mailoutbox
) -> None:
    settings.MAIL_ENABLED = True
    client.post(reverse("accounts:password-reset"), {"email": owner.email})
    send_waiting_mails()

    link = re.findall(r"https?://\S+", mailoutbox[0].body)[0]
    assert urlsplit(link).path == "/password/set/"
    assert open_link(client, link).context["validlink"]
    assert choose(client).status_code == 302


def test_an_address_with_the_secret_in_its_path_opens_nothing(client: Client, owner: User) -> None:
    uid, _, token = urlsplit(password_link_path(owner, issued_by=None)).fragment.partition(".")

    for path in (f"/password/set/{uid}/{token}/", f"/password/set/{uid}.{token}"):
        assert client.get(path).status_code == 404
    client.get(f"/password/set/?link={uid}.{token}")
    assert not client.get(reverse("accounts:password-reset-confirm")).context["validlink"]


@pytest.mark.parametrize("prefix", ["https://imaging.hospital.example/password/set/#", "#", " "])
def test_without_a_script_the_link_can_be_pasted(client: Client, owner: User, prefix: str) -> None:
    pasted = prefix + urlsplit(password_link_path(owner, issued_by=None)).fragment
    page = client.get(reverse("accounts:password-link")).content.decode()
    assert 'name="link"' in page

    answer = client.post(reverse("accounts:password-link"), {"link": pasted}, follow=True)
    assert answer.context["validlink"]
    assert choose(client).status_code == 302
    assert sign_in_user(username=owner.username, password=NEW) == owner


@pytest.mark.parametrize("pasted", ["", "nonsense", "a.b", "MQ.set-password", "." * 5, "x" * 9000])
def test_what_is_no_link_opens_nothing(client: Client, db: None, pasted: str) -> None:
    client.post(reverse("accounts:password-link"), {"link": pasted})

    assert not client.get(reverse("accounts:password-reset-confirm")).context["validlink"]
    assert not choose(client).context["validlink"]


def test_a_token_that_no_link_was_made_of_sets_nothing(client: Client, owner: User) -> None:
    owner_id = urlsplit(password_link_path(owner, issued_by=None)).fragment.partition(".")[0]
    PasswordLink.objects.update(redeemed_at=timezone.now())
    open_link(client, f"/password/set/#{owner_id}.{password_links.make_token(owner)}")

    assert not choose(client).context["validlink"]
    assert sign_in_user(username=owner.username, password=NEW) is None


def test_a_link_works_once(client: Client, owner: User) -> None:
    link = password_link_path(owner, issued_by=None)
    open_link(client, link)
    choose(client)

    assert not open_link(Client(), link).context["validlink"]
    assert not choose(client, new_password1="another-secret-of-mine-7").context["validlink"]


@pytest.mark.django_db(transaction=True)
def test_a_link_works_once_when_two_use_it_together() -> None:
    owner = factories.make_user(Role.TECHNICIAN)
    link = password_link_path(owner, issued_by=None)
    clients = [Client(), Client(), Client(), Client()]
    for client in clients:
        open_link(client, link)
    barrier, statuses = threading.Barrier(len(clients)), []

    def run(number: int, client: Client) -> None:
        secret = f"the-secret-of-number-{number}-9"
        barrier.wait()
        answer = choose(client, new_password1=secret, new_password2=secret)
        statuses.append(answer.status_code)
        connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 200, 200, 302]
    assert AuditEvent.objects.filter(action=Action.PASSWORD_CHANGED).count() == 1


def test_a_link_ends_with_the_day(client: Client, owner: User, monkeypatch) -> None:
    assert project.PASSWORD_RESET_TIMEOUT <= 24 * 60 * 60
    link = password_link_path(owner, issued_by=None)
    tomorrow = datetime.now() + timedelta(days=1, seconds=2)  # noqa: DTZ005 - as Django counts
    monkeypatch.setattr(type(password_links), "_now", lambda self: tomorrow)

    assert not open_link(client, link).context["validlink"]


def test_a_session_that_somebody_planted_does_not_get_the_link(owner: User) -> None:
    stranger, victim = Client(), Client()
    session = stranger.session
    session["something"] = 1
    session.save()
    stranger.cookies[project.SESSION_COOKIE_NAME] = session.session_key
    victim.cookies[project.SESSION_COOKIE_NAME] = session.session_key

    open_link(victim, password_link_path(owner, issued_by=None))

    assert not stranger.get(reverse("accounts:password-reset-confirm")).context["validlink"]
    assert choose(victim).status_code == 302


def test_a_link_needs_the_pages_own_token(owner: User) -> None:
    strict = Client(enforce_csrf_checks=True)

    assert open_link(strict, password_link_path(owner, issued_by=None)).status_code == 403


def test_the_pages_of_a_link_are_kept_in_no_cache(client: Client, owner: User) -> None:
    link = issue_password_link(actor=None, user=owner)
    opened = open_link(client, link)

    for answer in (client.get(reverse("accounts:password-link")), opened):
        assert "no-store" in answer["Cache-Control"]
        assert urlsplit(link).fragment not in answer.content.decode()


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_browser_opens_a_link_and_sends_its_secret_in_no_address(
    tmp_path: Path,
    has_scripts: bool,
) -> None:
    owner = factories.make_user(Role.TECHNICIAN)
    link = password_link_path(owner, issued_by=None)
    secret = urlsplit(link).fragment
    server = Gunicorn(tmp_path / "gunicorn.log", LOG_LEVEL="INFO")
    server.start()
    asked: list[str] = []
    try:
        with chromium(java_script_enabled=has_scripts) as context:
            page = context.new_page()
            page.on("request", lambda request: asked.append(f"{request.url} {request.headers}"))
            page.goto(f"{server.url}{link}")
            if not has_scripts:
                page.get_by_label("Set-password link").fill(f"{server.url}{link}")
                page.get_by_role("button", name="Continue").click()
            page.locator("[name=new_password1]").fill(NEW)
            page.locator("[name=new_password2]").fill(NEW)
            assert urlsplit(page.url).path == "/password/set/new/"
            assert secret not in page.url
            page.get_by_role("button", name="Set password").click()
            page.wait_for_url(re.compile("/password/set/done/"))
    finally:
        server.stop()

    # What the browser shows in its own bar aside, the secret is nowhere but in the form.
    sent = [line.replace(f"{server.url}{link} ", "") for line in asked]
    assert not [line for line in sent if secret in line]
    assert secret not in server.log.read_text()
    owner.refresh_from_db()
    assert owner.has_usable_password()
