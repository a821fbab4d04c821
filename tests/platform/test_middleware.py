"""Request ids, the audit context, browser policy and idle sessions."""

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounts.audit import current_context
from medimaging import logs
from medimaging.middleware import RequestContextMiddleware, client_address


def context_of(**headers: str):
    seen = {}

    def view(request):
        seen.update(context=current_context(), logged=logs.request_id.get())
        return HttpResponse()

    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", headers=headers)
    response = RequestContextMiddleware(view)(request)
    return seen["context"], seen["logged"], response


def test_request_context_stamps_audit_and_log_with_one_id_and_clears_it() -> None:
    context, logged, response = context_of()

    assert context.request_id == logged == response["X-Request-ID"]
    assert context.source_address == "10.0.0.9"
    assert current_context().request_id == ""
    assert logs.request_id.get() == "-"


@pytest.mark.parametrize(
    ("proxies", "given", "is_kept"),
    [
        (1, "0af7651916cd43dd8448eb211c80319c", True),
        (1, "0af76519-16cd-43dd-8448-eb211c80319c", True),
        (1, "abc-12345", False),
        (1, "has space in it", False),
        (1, "a" * 65, False),
        (0, "0af7651916cd43dd8448eb211c80319c", False),
    ],
)
def test_request_context_keeps_a_given_id_only_when_a_proxy_of_ours_gave_it(
    proxies: int, given: str, is_kept: bool, settings
) -> None:
    settings.TRUSTED_PROXIES = proxies

    context, _, _ = context_of(**{"X-Request-ID": given})

    assert (context.request_id == given) is is_kept


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "1.1.1.1", "10.0.0.9"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (2, "1.1.1.1", "10.0.0.9"),
        (1, "", "10.0.0.9"),
        (1, "not an address", "10.0.0.9"),
    ],
)
def test_client_address_counts_back_over_our_own_proxies(
    proxies: int, forwarded: str, expected: str, settings
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9")
    if forwarded:
        request = RequestFactory().get(
            "/", REMOTE_ADDR="10.0.0.9", headers={"X-Forwarded-For": forwarded}
        )

    assert client_address(request) == expected


@pytest.mark.django_db
def test_pages_forbid_framing_foreign_code_and_sniffing(client: Client) -> None:
    response = client.get("/", follow=True)

    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"


@pytest.fixture
def signed_in(client: Client, django_user_model) -> Client:
    user = django_user_model(username="somebody", full_name="Some Body")
    user.set_password("a long enough password")
    user.save()
    client.force_login(user)
    return client


@pytest.mark.django_db
def test_pages_are_not_stored_when_somebody_is_signed_in(signed_in: Client) -> None:
    assert signed_in.get("/")["Cache-Control"] == "no-store"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "is_extended"), [("/", True), ("/queue/", False), ("/no-such-page/", True)]
)
def test_session_is_extended_by_people_and_not_by_polling(
    signed_in: Client, path: str, is_extended: bool
) -> None:
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    soon = timezone.now() + timezone.timedelta(minutes=5)
    Session.objects.update(expire_date=soon)

    signed_in.get(path)

    assert (Session.objects.get().expire_date > soon) is is_extended
