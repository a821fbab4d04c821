"""Behind TLS every cookie is bound to this host: no neighbour of the domain can plant one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gunicorn import Gunicorn
from tests.security.asking import PASSWORD, Browser, person_with_password

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    server = Gunicorn(tmp_path / "gunicorn.log", BEHIND_TLS="true", TRUSTED_PROXIES="1")
    server.start()
    try:
        yield Browser(
            server.port,
            **{
                "X-Forwarded-Proto": "https",
                "X-Forwarded-For": "127.0.0.1",
                "Referer": f"https://127.0.0.1:{server.port}/",
            },
        )
    finally:
        server.stop()


def signed_in(browser: Browser) -> Browser:
    user = person_with_password()
    answer = browser.submit("/sign-in/", username=user.username, password=PASSWORD)
    assert answer.status == 302, answer.text
    return browser


def test_every_cookie_is_of_this_host_and_of_tls_alone(browser: Browser) -> None:
    signed_in(browser)
    browser.submit("/password/change/", old_password="wrong")
    browser.submit(
        "/password/change/",
        old_password=PASSWORD,
        new_password1=f"{PASSWORD}-6",
        new_password2=f"{PASSWORD}-6",
    )
    browser.ask("GET", "/profile/")
    browser.submit("/profile/", to="/sign-out/")

    assert browser.set_cookies
    for cookie in browser.set_cookies:
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert cookie.startswith("__Host-"), cookie
        assert {"secure", "path=/"} <= attributes, cookie
        assert attributes & {"samesite=lax", "samesite=strict"}, cookie
        assert not any(attribute.startswith("domain") for attribute in attributes), cookie


def test_cookies_of_the_old_names_open_nothing(browser: Browser) -> None:
    signed_in(browser)
    assert browser.ask("GET", "/profile/").status == 200

    browser.cookies = {
        name.removeprefix("__Host-"): value for name, value in browser.cookies.items()
    }

    assert browser.ask("GET", "/profile/").status == 302
