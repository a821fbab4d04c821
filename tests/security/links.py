"""Set-password links as people follow them."""

from django.test import Client
from django.urls import reverse

NEW_PASSWORD = "quite-another-secret-7"


def make_link(administrator: Client, person) -> str:
    """The link that an administrator's page shows for a person."""
    made = administrator.post(reverse("accounts:user-password-link", args=[person.pk]))
    return made.context["link"]


def redeem(browser: Client, link: str, *, password: str = NEW_PASSWORD):
    """Follow a link and set the password that it asks for."""
    landing = browser.get(link)
    where = landing.url if landing.status_code == 302 else link
    return browser.post(where, {"new_password1": password, "new_password2": password})


def sign_in(username: str, password: str = NEW_PASSWORD) -> Client:
    """A browser in which somebody signed in with a password."""
    browser = Client()
    given = {"username": username, "password": password}
    assert browser.post(reverse("accounts:sign-in"), given).status_code == 302
    return browser


def signed_in(user) -> Client:
    """A browser in which `user` has signed in."""
    browser = Client()
    browser.force_login(user)
    return browser
