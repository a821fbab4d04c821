"""What a study's timeline says: which decision was taken, and each look once."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.wording import describe_event
from classifier.choices import Action as ClassifierAction
from records.choices import Action
from records.timeline import fold_looks
from tests import factories

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def event(action, *, after=0, who="Ada", **fields):
    return AuditEvent(
        action=action,
        actor_id=f"00000000-0000-0000-0000-{abs(hash(who)) % 10**12:012}",
        actor_name=who,
        occurred_at=NOON + dt.timedelta(minutes=after),
        **fields,
    )


def test_opening_a_page_is_one_look_and_other_people_s_are_theirs():
    lines = fold_looks(
        [
            event(Action.STUDY_VIEWED),
            event(Action.STUDY_VIEWED, who="Ben"),
            event(ClassifierAction.CLASSIFICATION_VIEWED),
            event(ClassifierAction.CLASSIFICATION_VIEWED, after=4),
            event(ClassifierAction.CLASSIFICATION_VIEWED, after=60),
            event(ClassifierAction.REVIEW_CREATED, after=61, details={"decision": "confirm"}),
            event(Action.STUDY_VIEWED, after=62),
        ]
    )
    assert [line.sentence for line in lines] == [
        "Ada looked at the study and its result",
        "Ben looked at the study",
        "Ada looked at the study and its result",
        "Ada confirmed: –",
    ]


@pytest.mark.parametrize(
    ("details", "sentence"),
    [
        ({"decision": "confirm", "label": "viral_pneumonia"}, "Ada confirmed: viral pneumonia"),
        (
            {
                "decision": "override",
                "label": "normal",
                "label_display": "Normal",
                "model_label": "malignant",
                "model_label_display": "Malignant tumor of lung",
            },
            "Ada overrode the model (Malignant tumor of lung) and decided: Normal",
        ),
        (
            {"decision": "override", "label": "bkl", "model_label": ""},
            "Ada decided where the model had given no label: bkl",
        ),
        ({"decision": "uninterpretable", "label": ""}, "Ada decided: can't be assessed"),
        ({}, "Ada recorded a review"),
        ({"decision": ["confirm"]}, "Ada recorded a review"),
    ],
)
def test_a_review_s_sentence_says_what_was_decided(details, sentence):
    assert describe_event(event(ClassifierAction.REVIEW_CREATED, details=details)) == sentence


def test_timeline_is_drawn_anew_for_those_who_may_see_the_study(db):
    department = factories.make_department()
    study = factories.make_study(department=department)
    client = Client()
    client.force_login(factories.make_user(Role.REVIEWER, department=department, full_name="Eve"))
    address = reverse("records:study-timeline", args=[study.pk])
    assert address in client.get(study.get_absolute_url()).content.decode()
    page = client.get(address).content.decode()
    assert "Eve looked at the study" in page
    assert page.count("looked at") == 1
