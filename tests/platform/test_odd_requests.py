"""Every address × every method × what nobody foresaw: refused with a pointer, never a 5xx."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import resolve, reverse

from accounts.models import AuditEvent
from accounts.parameters import NOTHING_TAKEN, taken_fields, taken_parameters
from accounts.roles import Role
from medimaging.handler import Application
from tests.access_rules import RULES, Rule
from tests.test_access_matrix import TARGETS, World, make_world, state_of  # noqa: F401 - a fixture

PREFIXES = ("/api/", "/dicomweb/")
UNKNOWN = ("anything=1", "Anything=1", "%00=1", "a%00b=1", "=1", "anything=", "a.b[]=1", "%ff=1")
VALUES = ("", "%20", "%00", "a%00", "%ff")
"""What no parameter may be."""
STRANGE = ("-1", "1e999", "nan", "9" * 400, "x" * 3000, "%F0%9F%92%A9", "%27%22;--", "1.5")
"""What one may be, or may not; it only has to be answered."""
BODIES = (
    b'{"unexpected": 1}',
    b'{"\\u0000": 1}',
    b'{"\\ud800": "\\udfff"}',
    b"[1, 2]",
    b'"text"',
    b"1e999",
    b"[" * 50_000,
    b"\xff\xfe",
)


@pytest.fixture
def world(make_world: Any) -> World:  # noqa: F811 - the fixture
    """One of everything, and somebody who holds every role."""
    made: World = make_world(*Role)
    return made


@pytest.fixture
def everybody(world: World) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(world.user)
    return client


def addresses(world: World) -> Iterator[tuple[Rule, str]]:
    for rule in RULES:
        kwargs = TARGETS[rule[3]](world) if rule[3] else {}
        yield rule, reverse(rule[0], kwargs=kwargs)


def pointers(answer: HttpResponse) -> set[str]:
    return {error["pointer"] for error in answer.json()["errors"]}


def test_no_address_takes_a_parameter_that_its_view_does_not_name(
    world: World, everybody: Client
) -> None:
    """One kind of oddness for each address in turn, so that every kind meets many."""
    before, told = state_of(world), AuditEvent.objects.count()
    unknown, values = cycle(UNKNOWN), cycle(VALUES)
    for (_, method, *_), address in addresses(world):
        taken = taken_parameters(resolve(address).func, method)
        odd = [next(unknown), *(f"{name}={next(values)}" for name in sorted(taken.names))]
        odd += [f"{name}=1&{name}=1" for name in taken.names - taken.repeatable]
        for query in odd:
            answer = getattr(everybody, method)(f"{address}?{query}")
            assert answer.status_code == 400, (method, address, query)
            if address.startswith(PREFIXES) and method != "head":
                assert answer["Content-Type"] == "application/problem+json", (address, query)
                assert answer.json()["code"] == "invalid", (address, query)
                assert len(pointers(answer)) >= 1
            elif method != "head":
                assert "text/html" in answer["Content-Type"], (address, query)
        if address.startswith(PREFIXES) and method != "head":
            answer = getattr(everybody, method)(f"{address}?anything=1")
            assert pointers(answer) == {"/anything"}, address
    assert state_of(world) == before
    assert AuditEvent.objects.count() == told, "a stranger's words reached the trail"


def test_nothing_strange_breaks_an_address(world: World, everybody: Client) -> None:
    strange = cycle(STRANGE)
    for (_, method, *_), address in addresses(world):
        if method != "get":
            continue
        taken = taken_parameters(resolve(address).func, method)
        names = taken.names | ({"PatientName", "limit", "00100020"} if taken.is_open else set())
        for name in sorted(names):
            for value in (next(strange), next(strange)):
                answer = everybody.get(f"{address}?{name}={value}")
                assert answer.status_code < 500, (address, name, value)
    for odd in ("\0", "a\0b", "é", "1" * 400, "..", "'"):
        for name in ("api-dicomweb-study", "api-dicomweb-study-series"):
            answer = everybody.get(reverse(name, kwargs={"study_uid": odd}))
            assert answer.status_code in {400, 404}, odd


def test_no_address_takes_a_body_that_it_does_not_know(world: World, everybody: Client) -> None:
    before, bodies = state_of(world), cycle(BODIES)
    seen = set()
    for _, address in addresses(world):
        if address in seen or "dicomweb" in address:
            continue
        seen.add(address)
        is_api = address.startswith(PREFIXES)
        for method in ("post", "put", "patch", "delete", "foo"):
            for body in (next(bodies), next(bodies)) if is_api else ():
                answer = everybody.generic(method.upper(), address, body, "application/json")
                # 412: tus asks for its version first. 415: files come as multipart.
                assert answer.status_code in {400, 404, 405, 412, 415}, (method, address, body)
            if not is_api:
                form = "application/x-www-form-urlencoded"
                answer = everybody.generic(method.upper(), address, b"unexpected=1", form)
                assert answer.status_code == (400 if method == "post" else 405), (method, address)
    assert state_of(world) == before


def test_a_view_that_declares_nothing_takes_nothing() -> None:
    def view() -> None:
        """A page of tomorrow."""

    assert taken_parameters(view, "get") == NOTHING_TAKEN
    assert taken_fields(view, "post").names == {"csrfmiddlewaretoken"}


def test_a_charset_that_is_no_encoding_leaves_the_request_in_utf_8() -> None:
    for charset in ("rot13", "base64", "no-such", "a b"):
        environ = RequestFactory().get("/studies/?modality=%C3%A9").environ
        environ["CONTENT_TYPE"] = f"text/plain; charset={charset}"
        assert Application.request_class(environ).GET == {"modality": ["é"]}, charset


def test_who_is_not_signed_in_learns_no_parameter(world: World, client: Client) -> None:
    assert client.get("/api/v1/studies/?anything=1").status_code == 401
    assert client.get("/studies/?anything=1").status_code == 302


def test_a_page_says_in_words_what_it_does_not_know(world: World, everybody: Client) -> None:
    answer = everybody.get("/studies/?modalty=CT")
    assert answer.status_code == 400
    assert "modalty: Nothing of that name is known here." in answer.content.decode()
    for wrong in ({"modalty": "CT"}, {"modality": "BOGUS"}, {"state": ["", "open"]}):
        answer = everybody.post("/studies/", wrong, follow=True)
        assert answer.status_code == 400, wrong
        assert world.study.patient.display_name not in answer.content.decode()
    blank = everybody.post("/studies/", {"modality": "", "state": ""}, follow=True)
    assert blank.status_code == 200
