"""Set-password links as people follow them."""

from urllib.parse import urlsplit

from django.test import Client
from django.urls import reverse

NEW_PASSWORD = "quite-another-secret-7"


def make_link(administrator: Client, person) -> str:
    """The link that an administrator's page shows for a person."""
    made = administrator.post(reverse("accounts:user-password-link", args=[person.pk]))
    return made.context["link"]


def redeem(browser: Client, link: str, *, password: str = NEW_PASSWORD):
    """Follow a link and set the password that it asks for."""
    open_link(browser, link)
    return browser.post(
        reverse("accounts:password-reset-confirm"),
        {"new_password1": password, "new_password2": password},
    )


def open_link(browser: Client, link: str):
    """Do what the page's script does with what stands behind the #."""
    return browser.post(
        reverse("accounts:password-link"), {"link": urlsplit(link).fragment}, follow=True
    )


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
