"""A link that an administrator made is redeemed by that administrator, in another's name."""

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.choices import Action
from accounts.models import AuditEvent, User
from accounts.roles import Role
from accounts.services import issue_token, send_waiting_mails
from classifier.choices import Action as ClassifierAction
from classifier.models import Classification, Review
from records.choices import Action as RecordsAction
from tests.factories import PASSWORD, make_model_version, make_study, make_user
from tests.security.links import NEW_PASSWORD, make_link, open_link, redeem, sign_in, signed_in
from tests.security.together import at_once

pytestmark = pytest.mark.django_db

OWN = "a-password-of-my-own-3"


@pytest.fixture
def ada():
    return make_user(Role.ADMINISTRATOR, username="ada", full_name="Ada Admin")


@pytest.fixture
def reader(radiology):
    return make_user(
        Role.REVIEWER,
        department=radiology,
        username="reader7",
        full_name="Reader Seven",
        email="reader7@hospital.example",
    )


@pytest.fixture
def to_review(radiology):
    version = make_model_version()
    return Classification.objects.create(
        study=make_study(department=radiology),
        task="chest-xray",
        state="awaiting_review",
        finished_at="2026-01-01T00:00:00Z",
        model_version=version,
        model_digest=version.digest,
        outcome="finding",
        label="pneumonia",
        probabilities={"normal": 0.1, "pneumonia": 0.9},
    )


def latest(action):
    return AuditEvent.objects.filter(action=action).latest("id")


def change_password(browser, *, old, new=OWN):
    given = {"old_password": old, "new_password1": new, "new_password2": new}
    return browser.post(reverse("accounts:password-change"), given)


def through(event):
    return event.responsible_name


def test_administrator_signs_a_review_in_another_s_name(ada, reader, to_review):
    browser = signed_in(ada)
    redeem(browser, make_link(browser, reader))
    impostor = sign_in("reader7")
    address = reverse("classifier:review-create", args=[to_review.pk])
    impostor.post(address, {"decision": "confirm"})

    assert through(latest(Action.PASSWORD_CHANGED)) == "Ada Admin"
    assert through(latest(Action.SIGNED_IN)) == "Ada Admin"
    signed = latest(ClassifierAction.REVIEW_CREATED)
    assert (signed.actor_id, signed.responsible_id) == (reader.pk, ada.pk)
    assert "Ada Admin" in signed.sentence
    assert Review.objects.get().responsible == ada
    page = sign_in("reader7").get(reverse("records:study-detail", args=[to_review.study_id]))
    assert "Ada Admin" in page.content.decode()
    reviews = impostor.get(f"/api/v1/classifications/{to_review.pk}/reviews/").json()
    assert "'responsible': 'ada'" in str(reviews)


def test_administrator_signs_it_by_the_api(ada, reader, to_review):
    browser = signed_in(ada)
    redeem(browser, make_link(browser, reader))
    impostor = sign_in("reader7")
    address = f"/api/v1/classifications/{to_review.pk}/reviews/"
    given = {"decision": "confirm"}
    assert impostor.post(address, given, content_type="application/json").status_code == 201
    assert latest(ClassifierAction.REVIEW_CREATED).responsible_id == ada.pk


def test_token_made_in_such_a_session_carries_the_administrator(ada, reader, to_review):
    browser = signed_in(ada)
    redeem(browser, make_link(browser, reader))
    given = {"name": "x", "days": 90, "scopes": ["study.view", "review.create", "token.own"]}
    made = sign_in("reader7").post("/api/v1/tokens/", given, content_type="application/json")
    bearer = {"Authorization": f"Bearer {made.json()['value']}"}
    child = Client().post("/api/v1/tokens/", given, content_type="application/json", headers=bearer)
    for value in (made.json()["value"], child.json()["value"]):
        Client().get(
            f"/api/v1/studies/{to_review.study_id}/", headers={"Authorization": f"Bearer {value}"}
        )
    Client().post(
        f"/api/v1/classifications/{to_review.pk}/reviews/",
        {"decision": "confirm"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {child.json()['value']}"},
    )
    assert latest(Action.TOKEN_ISSUED).responsible_id == ada.pk
    assert latest(RecordsAction.STUDY_VIEWED).responsible_id == ada.pk
    assert latest(ClassifierAction.REVIEW_CREATED).responsible_id == ada.pk


def test_person_s_own_tokens_stay_their_own(ada, reader, to_review):
    _, value = issue_token(actor=reader, user=reader, name="x", days=1)
    browser = signed_in(ada)
    make_link(browser, reader)
    Client().get(
        f"/api/v1/studies/{to_review.study_id}/", headers={"Authorization": f"Bearer {value}"}
    )
    assert latest(RecordsAction.STUDY_VIEWED).responsible_id is None


@pytest.mark.django_db(transaction=True)
def test_person_learns_of_the_link_at_once_and_of_its_use(ada, reader, settings, mailoutbox):
    settings.MAIL_ENABLED = True
    browser = signed_in(ada)
    theirs = sign_in("reader7", PASSWORD)
    link = make_link(browser, reader)
    page = theirs.get(reverse("home")).content.decode()
    assert "Ada Admin made a link" in page
    told = [mail for mail in mailoutbox if mail.to == [reader.email] and link not in mail.body]
    assert any("Ada Admin made a link" in mail.body for mail in told)
    assert User.objects.get(pk=reader.pk).check_password(PASSWORD)  # it holds until then

    redeem(browser, link)
    impostor = sign_in("reader7")
    assert "was set through a link" in impostor.get(reverse("home")).content.decode()
    assert any("was set through a link" in mail.body for mail in mailoutbox)


def test_administrator_hides_the_notice_from_the_person(ada, reader):
    browser = signed_in(ada)
    redeem(browser, make_link(browser, reader))
    impostor = sign_in("reader7")
    impostor.post(reverse("accounts:notices-seen"))
    assert "Ada Admin made a link" in impostor.get(reverse("home")).content.decode()
    change_password(impostor, old=NEW_PASSWORD)
    theirs = sign_in("reader7", OWN)
    assert "Ada Admin made a link" in theirs.get(reverse("home")).content.decode()
    theirs.post(reverse("accounts:notices-seen"))
    assert "Ada Admin made a link" not in theirs.get(reverse("home")).content.decode()
    assert "Ada Admin made a link" in theirs.get(reverse("accounts:profile")).content.decode()


def test_administrator_changes_the_password_in_that_session_and_goes_on(ada, reader, to_review):
    browser = signed_in(ada)
    redeem(browser, make_link(browser, reader))
    impostor = sign_in("reader7")
    change_password(impostor, old=NEW_PASSWORD)
    impostor.post(reverse("classifier:review-create", args=[to_review.pk]), {"decision": "confirm"})
    assert latest(Action.PASSWORD_CHANGED).responsible_id == ada.pk
    assert latest(ClassifierAction.REVIEW_CREATED).responsible_id == ada.pk


def test_mark_ends_with_the_person_s_own_password(ada, reader, to_review):
    redeem(Client(), make_link(signed_in(ada), reader))
    change_password(sign_in("reader7"), old=NEW_PASSWORD)
    theirs = sign_in("reader7", OWN)
    theirs.post(reverse("classifier:review-create", args=[to_review.pk]), {"decision": "confirm"})
    assert latest(Action.SIGNED_IN).responsible_id is None
    assert latest(ClassifierAction.REVIEW_CREATED).responsible_id is None
    assert Review.objects.get().responsible is None


def mailed_link(mailoutbox):
    words = [word for word in mailoutbox[-1].body.split() if "/password/set/" in word]
    return words[0]


def ask_for_a_link(address):
    Client().post(reverse("accounts:password-reset"), {"email": address})
    send_waiting_mails()


def test_mark_ends_with_a_link_that_the_person_asked_for(
    ada, reader, to_review, settings, mailoutbox
):
    settings.MAIL_ENABLED = True
    redeem(Client(), make_link(signed_in(ada), reader))
    ask_for_a_link(reader.email)
    redeem(Client(), mailed_link(mailoutbox), password=OWN)
    sign_in("reader7", OWN)
    assert latest(Action.SIGNED_IN).responsible_id is None


@pytest.mark.django_db(transaction=True)
def test_administrator_sends_the_mailed_link_to_an_address_of_their_own(
    ada, reader, radiology, settings, mailoutbox
):
    settings.MAIL_ENABLED = True
    given = {"full_name": "Reader Seven", "reviewer_in": [radiology.pk]}
    address = reverse("accounts:user-edit", args=[reader.pk])
    signed_in(ada).post(address, given | {"email": "mallory@elsewhere.example"})
    assert any(
        mail.to == ["reader7@hospital.example"] and "e-mail address" in mail.body
        for mail in mailoutbox
    )
    ask_for_a_link("mallory@elsewhere.example")
    redeem(Client(), mailed_link(mailoutbox))
    sign_in("reader7")
    assert latest(Action.PASSWORD_CHANGED).responsible_id == ada.pk
    assert latest(Action.SIGNED_IN).responsible_id == ada.pk


def test_administrator_goes_on_from_one_person_to_the_next(ada, reader, radiology):
    """A link made in a session through a link is the first administrator's too."""
    second = make_user(Role.ADMINISTRATOR, username="zoe")
    browser = signed_in(ada)
    redeem(browser, make_link(browser, second))
    as_second = sign_in("zoe")
    redeem(as_second, make_link(as_second, reader))
    sign_in("reader7")
    assert latest(Action.SIGNED_IN).responsible_id == ada.pk


def test_invited_person_s_first_session_is_the_administrator_s_word(ada, radiology):
    given = {"username": "kim", "full_name": "Kim", "email": "", "reviewer_in": [radiology.pk]}
    made = signed_in(ada).post(reverse("accounts:user-invite"), given)
    redeem(Client(), made.context["link"])
    kim = sign_in("kim")
    assert latest(Action.SIGNED_IN).responsible_id == ada.pk
    assert "change your password" in kim.get(reverse("home")).content.decode()


def test_operator_s_link_marks_nobody(reader):
    from accounts.services import issue_password_link

    redeem(Client(), issue_password_link(actor=None, user=reader))
    sign_in("reader7")
    assert latest(Action.SIGNED_IN).responsible_id is None


def test_page_of_the_link_says_what_it_means(ada, reader):
    address = reverse("accounts:user-password-link", args=[reader.pk])
    page = signed_in(ada).post(address).content.decode()
    assert "recorded as done through your link" in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["deactivate", "reactivate"])
def test_person_is_told_when_shut_out_and_let_in(ada, reader, how, settings, mailoutbox):
    settings.MAIL_ENABLED = True
    browser = signed_in(ada)
    browser.post(reverse("accounts:user-deactivate", args=[reader.pk]))
    if how == "reactivate":
        browser.post(reverse("accounts:user-reactivate", args=[reader.pk]))
        page = signed_in(User.objects.get(pk=reader.pk)).get(reverse("home")).content.decode()
        assert "Ada Admin reactivated your account" in page
    assert any(f"Ada Admin {how}d your account" in mail.body for mail in mailoutbox)


@pytest.mark.django_db(transaction=True)
def test_link_is_redeemed_twice_at_once(ada, reader):
    link = make_link(signed_in(ada), reader)
    first, second = Client(), Client()
    for browser in (first, second):
        open_link(browser, link)

    def choose(browser, password):
        given = {"new_password1": password, "new_password2": password}
        browser.post(reverse("accounts:password-reset-confirm"), given)
        connection.close()

    at_once(
        *[
            lambda browser=browser, number=number: choose(browser, f"{NEW_PASSWORD}-{number}")
            for number, browser in enumerate((first, second))
        ]
    )
    assert AuditEvent.objects.filter(action=Action.PASSWORD_CHANGED).count() == 1
