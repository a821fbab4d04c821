"""Plain HTTP to a server of the tests: what is sent is what stands here, byte for byte."""

import contextlib
import http.client
import re
import socket
from urllib.parse import urlencode

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from accounts.models import User
from accounts.roles import Role
from tests import factories

PASSWORD = "a-long-enough-secret-5"
FORM = "application/x-www-form-urlencoded"


def ask(
    port: int, method: str, path: str, body: bytes | str | None = None, **headers: str
) -> http.client.HTTPResponse:
    """Ask, read the whole answer, and return it; `answer.text` is its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.text = answer.read().decode(errors="replace")
    finally:
        connection.close()
    return answer


def send_raw(port: int, sent: bytes) -> bytes:
    """Send bytes that no client library would, and return what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        # A server that had enough of it may reset the connection.
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
    return received


class Browser:
    """Cookies and form tokens, kept as a browser keeps them."""

    def __init__(self, port: int, **headers: str) -> None:
        self.port = port
        self.headers = headers
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        """Ask with the cookies so far, and take the new ones."""
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = ask(self.port, method, path, body, **self.headers, **cookie, **headers)
        for line in answer.headers.get_all("Set-Cookie", []):
            self.set_cookies.append(line)
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def token(self, path: str) -> str:
        """The form token of a page."""
        page = self.ask("GET", path).text
        return re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]

    def submit(self, page: str, *, to: str = "", **fields: str) -> http.client.HTTPResponse:
        """Send a form that stands on `page`."""
        form = {"csrfmiddlewaretoken": self.token(page), **fields}
        return self.ask("POST", to or page, urlencode(form), **{"Content-Type": FORM})


def person_with_password(*roles: Role) -> User:
    """Somebody whose password a server checks too: the tests' own hashes are none of its."""
    user = factories.make_user(*roles)
    user.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt-of-the-tests", 1000)
    user.save(update_fields=["password"])
    return user
