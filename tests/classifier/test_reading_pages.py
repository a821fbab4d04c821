"""What pages say of an answer: what its numbers mean, and a person's word before the model's."""

import copy
import datetime as dt
import html
import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from classifier.headlines import headline_of
from classifier.models import Classification
from classifier.services.requests import request_classifications
from classifier.services.reviews import review_classification
from tests import factories

ANSWERS = {
    "finding": ("pneumonia", "", {"normal": 0.06, "pneumonia": 0.92, "tuberculosis": 0.02}),
    "flagged": ("", "tuberculosis", {"normal": 0.61, "pneumonia": 0.07, "tuberculosis": 0.32}),
    "no_finding": ("normal", "", {"normal": 0.97, "pneumonia": 0.02, "tuberculosis": 0.01}),
    "below_operating_point": (
        "",
        "pneumonia",
        {"normal": 0.30, "pneumonia": 0.39, "tuberculosis": 0.31},
    ),
    "indeterminate": (
        "",
        "tuberculosis",
        {"normal": 0.61, "pneumonia": 0.02, "tuberculosis": 0.31},
    ),
}
BOLD = re.compile(r"<(strong|b|em)\b[^>]*>(.*?)</\1>|class=\"[^\"]*\bstrong\b[^\"]*\"[^>]*>([^<]*)")


@pytest.fixture
def make_answered(department, reviewer):
    version = factories.make_model_version(stage="research")

    def make(outcome="finding", *, state="awaiting_review", **fields):
        label, suspected, probabilities = ANSWERS[outcome]
        notes = fields.pop("notes", [])
        study = fields.pop("study", None) or factories.make_study(department=department, **fields)
        return Classification.objects.create(
            study=study,
            task="chest-xray",
            state=state,
            outcome=outcome,
            label=label,
            suspected_label=suspected,
            probabilities=probabilities,
            confidence="high",
            notes=notes,
            finished_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            model_version=version,
            model_digest=version.digest,
        )

    return make


@pytest.fixture
def page(reviewer):
    client = Client()
    client.force_login(reviewer)

    def read(address: str) -> str:
        return html.unescape(client.get(address).content.decode())

    return read


def without_notice(body: str) -> str:
    """The page but for the line above its list, which is hidden where no row is marked."""
    return re.sub(r'<p class="research-notice.*?</p>', "", body, flags=re.DOTALL)


def addresses_of(row) -> dict[str, str]:
    return {
        "home": reverse("home"),
        "worklist": reverse("classifier:worklist") + "?state=all",
        "row": reverse("classifier:status", args=[row.pk]) + "?as=row",
        "opinion": reverse("classifier:opinion", args=[row.pk]),
        "patient": reverse("classifier:patient-results", args=[row.study.patient_id]),
    }


@pytest.mark.parametrize("outcome", ANSWERS)
def test_every_page_says_what_the_numbers_mean(page, make_answered, outcome):
    row = make_answered(outcome)
    for name, address in addresses_of(row).items():
        body = page(address)
        assert headline_of(row) in body, name
        assert ("is-finding" in body) == (outcome == "finding"), name
        assert ("is-flagged" in body) == (outcome == "flagged"), name
        if outcome != "finding":
            bold = " ".join("".join(found[1:]) for found in BOLD.findall(body))
            assert not re.search(r"0\.\d\d|umonia|ubercul", bold), name


def test_superseded_answer_keeps_its_headline_on_the_study_page(page, make_answered):
    row = make_answered("indeterminate", state="superseded")
    assert headline_of(row) in page(row.study.get_absolute_url())


@pytest.mark.parametrize("outcome", ANSWERS)
def test_one_key_confirms_only_what_gives_a_label(page, make_answered, outcome):
    body = page(addresses_of(make_answered(outcome))["opinion"])
    is_confirmable = outcome in {"finding", "no_finding"}
    assert ('value="confirm"' in body) == is_confirmable
    assert ("State a finding" in body) == (not is_confirmable)
    assert ("Sign override" in body) == is_confirmable


def test_a_study_without_a_model_is_asked_nothing_about_a_model(page, department, reviewer):
    study = factories.make_study(department=department, modality="MG", body_part="BREAST")
    (row,) = request_classifications(actor=reviewer, study=study)
    body = page(addresses_of(row)["opinion"])
    form = body[body.index("data-review") :]
    assert "State a finding" in form
    assert "Sign your finding" in form
    assert "Sign override" not in form
    offered = re.findall(r'<option[^>]*data-for="[^"]*uninterpretable[^"]*"[^>]*>([^<]*)', form)
    assert len(offered) >= 3
    assert not any("model" in words.lower() for words in offered)
    review = review_classification(
        actor=reviewer,
        classification=row,
        decision="override",
        label="other",
        comment="Cluster of calcifications",
    )
    assert review.reason == "no_model_label"
    body = page(addresses_of(row)["opinion"])
    assert "Another finding" in body
    assert "Stated by" in body
    assert "verridden" not in body


@pytest.mark.parametrize(
    ("decision", "first", "line"),
    [
        (
            {"decision": "override", "label": "normal", "reason": "false_positive"},
            "Normal",
            "Model: pneumonia 0.92, overridden",
        ),
        ({"decision": "confirm"}, "Pneumonia", "Model: pneumonia 0.92, confirmed"),
        (
            {"decision": "uninterpretable", "reason": "image_quality"},
            "Could not be assessed",
            "Model: pneumonia 0.92",
        ),
    ],
)
def test_the_person_s_word_comes_first_once_signed(
    page, make_answered, reviewer, decision, first, line
):
    row = make_answered("finding")
    review_classification(actor=reviewer, classification=row, **decision)
    for name, address in addresses_of(row).items():
        body = page(address)
        start = body.index("reading-line") if name != "opinion" else body.index("conclusion")
        said = body[start:]
        assert line in said, name
        assert said.index(first) < said.index(line), name
        assert "Research" not in said[: said.index(line)], name
        assert headline_of(row) not in said[: said.index(line)], name
        assert str(reviewer) in said, name
    opinion = page(addresses_of(row)["opinion"])
    is_finding = decision["decision"] == "confirm"
    assert ('class="conclusion is-finding"' in opinion) == is_finding


def test_research_is_said_once_in_a_panel_and_once_in_a_row(page, make_answered):
    row = make_answered("finding")
    for name, address in addresses_of(row).items():
        marks = re.findall(
            r"research-strip|research-word|chip-research", without_notice(page(address))
        )
        assert len(marks) == 1, name


def test_limits_of_this_study_stand_open_before_those_of_the_model(page, make_answered):
    patient = factories.make_patient(mrn="TMP-1", is_identified=False)
    row = make_answered("finding", patient=patient, notes=["1 of 9 images was left out."])
    version = row.model_version
    manifest = copy.deepcopy(version.manifest)
    manifest["limits"] = [f"General limit {number}." for number in range(1, 6)]
    type(version).objects.filter(pk=version.pk).update(manifest=manifest)
    body = page(addresses_of(row)["opinion"])
    why = body[body.index("Why this may be wrong") :]
    shown, folded = why.split("<details", 1)
    assert "1 of 9 images was left out." in shown
    assert "not identified" in shown
    assert "General limit" not in shown
    assert all(f"General limit {number}." in folded for number in range(1, 6))


def test_worklist_says_its_order_and_only_states_that_differ(
    page, make_answered, reviewer, department
):
    names = ("First^Signed", "Second^Signed", "Third^Open")
    rows = [make_answered(patient=factories.make_patient(name=name)) for name in names]
    for row in (rows[1], rows[0]):
        review_classification(actor=reviewer, classification=row, decision="confirm")
    worklist = reverse("classifier:worklist")
    opened = page(worklist)
    assert "Urgent first, then the longest waiting" in opened
    assert "Third, Open" in opened
    assert "Awaiting review</span>" not in opened.replace(
        '<span class="visually-hidden">Awaiting review</span>', ""
    )
    reviewed = page(f"{worklist}?state=reviewed")
    assert "The latest decision first" in reviewed
    assert "longest waiting" not in reviewed
    assert reviewed.index("First, Signed") < reviewed.index("Second, Signed")
    assert "chip-ok" not in reviewed


def test_identity_in_question_is_a_chip_of_its_own(page, make_answered):
    row = make_answered(is_in_question=True)
    for address in (reverse("classifier:worklist"), reverse("records:study-list")):
        body = page(address)
        cell = body[body.index('class="patient-cell"') :]
        assert "Identity in question" not in cell[: cell.index("</div>")]
        assert "chip-whole" in cell
    assert "Identity in question" in page(addresses_of(row)["patient"])


def test_patient_page_is_one_table_by_the_day_of_the_examination(
    page, make_answered, department, reviewer
):
    patient = factories.make_patient()
    days = [dt.date(2025, 1, 10), dt.date(2026, 1, 10), dt.date(2025, 6, 10)]
    outcomes = ["finding", "no_finding", "indeterminate"]
    rows = [
        make_answered(outcome, patient=patient, study_date=day)
        for outcome, day in zip(outcomes, days, strict=True)
    ]
    factories.make_study(department=department, patient=patient, study_date=dt.date(2024, 2, 3))
    review_classification(
        actor=reviewer,
        classification=rows[0],
        decision="override",
        label="tuberculosis",
        reason="wrong_finding",
    )
    body = page(reverse("classifier:patient-results", args=[patient.pk]))
    assert body.count("<table") == 1
    table_rows = re.findall(r"<tr data-href.*?</tr>", body, re.DOTALL)
    dates = [re.search(r"\d+ \w{3} \d{4}", row).group() for row in table_rows]
    assert dates == ["10 Jan 2026", "10 Jun 2025", "10 Jan 2025", "3 Feb 2024"]
    assert headline_of(rows[1]) in table_rows[0]
    assert headline_of(rows[2]) in table_rows[1]
    assert "No person has decided" in table_rows[1]
    signed = table_rows[2]
    assert signed.index("Tuberculosis") < signed.index("Model: pneumonia 0.92, overridden")
    assert "No model was asked" in table_rows[3]
    whole = page(reverse("records:patient-detail", args=[patient.pk]))
    assert whole.count("<table") == 1
    assert [whole.index(date) for date in dates] == sorted(whole.index(date) for date in dates)


def test_a_decision_tells_the_page_that_its_timeline_is_out_of_date(make_answered, reviewer):
    row = make_answered("finding")
    client = Client()
    client.force_login(reviewer)
    answer = client.post(
        reverse("classifier:review-create", args=[row.pk]), {"decision": "confirm"}
    )
    assert "study:changed" in answer["HX-Trigger-After-Swap"]
    timeline = client.get(reverse("records:study-timeline", args=[row.study_id])).content.decode()
    assert f"{reviewer} confirmed: Pneumonia" in html.unescape(timeline)
    assert AuditEvent.objects.filter(action="review.created").count() == 1
