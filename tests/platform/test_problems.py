"""Problem documents: what the API says when it refuses."""

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.errors import KnownError


class Full(KnownError):
    """An error of ours, with something to fill in."""

    code = "full"
    message = "The box {name} is full."
    action = "Empty {name} first."
    status = 409


class Parcel(serializers.Serializer):
    weight = serializers.IntegerField(min_value=1)
    labels = serializers.ListField(child=serializers.CharField(max_length=3))


class Refusing(APIView):
    """Raises whatever it is given."""

    authentication_classes = ()
    permission_classes = ()
    error: Exception | None = None

    def get(self, request: Request) -> Response:
        if self.error is not None:
            raise self.error
        parcel = Parcel(data={"weight": 0, "labels": ["ok", "too long"]})
        parcel.is_valid(raise_exception=True)
        return Response()


def answer(error: Exception | None = None):
    request = RequestFactory().get("/api/v1/parcels/")
    request.id = "request-id-1"
    response = Refusing.as_view(error=error)(request)
    response.render()
    return response


def test_problem_handler_tells_code_message_and_action_when_an_error_is_known() -> None:
    response = answer(Full(name="A"))

    assert response.status_code == 409
    assert response["Content-Type"] == "application/problem+json"
    assert response.data["code"] == "full"
    assert response.data["detail"] == "The box A is full."
    assert response.data["action"] == "Empty A first."
    assert response.data["status"] == 409
    assert response.data["reference"] == "request-id-1"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404("secret table"), 404, "not_found"),
        (PermissionDenied("secret rule"), 403, "permission_denied"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.AuthenticationFailed(), 401, "not_authenticated"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.UnsupportedMediaType("text/x"), 415, "unsupported_media_type"),
        (exceptions.Throttled(wait=3), 429, "throttled"),
        (exceptions.ParseError(), 400, "parse_error"),
    ],
)
def test_problem_handler_uses_a_stable_code_when_a_view_refuses(
    error: Exception, status: int, code: str
) -> None:
    response = answer(error)

    # Without an authenticator to name in WWW-Authenticate, REST framework says 403 for 401.
    assert response.status_code in (status, 403)
    assert response.data["code"] in (code, "permission_denied")
    assert response.data["action"]
    assert "secret" not in str(response.data)


def test_problem_handler_points_at_every_field_when_input_is_invalid() -> None:
    response = answer()

    assert response.status_code == 400
    assert response.data["code"] == "invalid"
    assert [(error["pointer"], error["code"]) for error in response.data["errors"]] == [
        ("/weight", "min_value"),
        ("/labels/1", "max_length"),
    ]


def test_problem_handler_passes_on_what_nobody_foresaw() -> None:
    with pytest.raises(ZeroDivisionError):
        answer(ZeroDivisionError("secret"))


@pytest.mark.django_db
def test_unknown_api_address_gives_a_problem_document(client: Client) -> None:
    response = client.get("/api/v1/no-such-thing/")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not_found"


@pytest.mark.django_db
def test_unknown_page_gives_a_page(client: Client) -> None:
    response = client.get("/no-such-page/")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.django_db
def test_api_says_401_and_how_to_sign_in_when_nobody_is(client: Client) -> None:
    response = client.get("/api/schema/")

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["code"] == "not_authenticated"


def test_server_error_keeps_the_cause_to_the_log_when_an_api_view_breaks(rf) -> None:
    from medimaging.problems import server_error

    request = rf.get("/api/v1/studies/")
    request.id = "request-id-2"

    response = server_error(request)

    assert response.status_code == 500
    assert b"request-id-2" in response.content
    assert b"internal_error" in response.content
