"""One sentence for each outcome, and the person's word before the model's."""

from dataclasses import replace

import pytest

from classifier.choices import ClassificationOutcome
from classifier.headlines import conclusion_of, headline_of, model_line_of
from classifier.models import Classification
from classifier.models.versions import DEFAULT_OPERATING_POINT
from classifier.services import runs
from classifier.services.reviews import review_classification
from ml import aggregation
from tests.classifier.outcomes import answer_of

SENTENCES = {
    "finding": ("Pneumonia, above its operating point", "Model: pneumonia 0.92"),
    "flagged": (
        "Tuberculosis can't be ruled out (0.32, flagged from 0.30). Most probable: normal 0.61",
        "Model: flagged tuberculosis 0.32, most probable normal 0.61",
    ),
    "no_finding": ("No finding passed its operating point", "Model: no finding passed"),
    "below_operating_point": (
        "No finding passed. Most probable: pneumonia 0.39 (operating point 0.40)",
        "Model: none passed, most probable pneumonia 0.39",
    ),
    "indeterminate": (
        "Indeterminate: tuberculosis 0.31 lies at its operating point 0.30. "
        "Most probable: normal 0.61",
        "Model: indeterminate, tuberculosis 0.31",
    ),
    "abstained": ("No result: another view", "Model: no result"),
}


def complete(claim, answer):
    assert runs.complete_classification(claim=claim, answer=answer)
    return Classification.objects.with_listing().get(pk=claim.classification_id)


def test_outcomes_and_the_default_operating_point_are_those_of_ml():
    assert set(ClassificationOutcome.values) == {one.value for one in aggregation.Outcome}
    assert aggregation.DEFAULT_OPERATING_POINT == DEFAULT_OPERATING_POINT


@pytest.mark.parametrize("outcome", SENTENCES)
def test_headline_says_what_the_numbers_say(claim, answer, outcome):
    row = complete(claim, answer_of(answer, outcome))
    assert row.outcome == outcome
    assert (headline_of(row), model_line_of(row)) == SENTENCES[outcome]
    assert conclusion_of(row) is None
    assert row.may_be_confirmed == (outcome in ("finding", "no_finding"))
    assert row.is_alarming == (outcome in ("finding", "flagged"))


@pytest.mark.parametrize("outcome", set(SENTENCES) - {"abstained"})
def test_likeliest_label_is_the_one_that_ml_tells(claim, answer, outcome):
    row = complete(claim, answer_of(answer, outcome))
    scores = row.probabilities
    assert row.likeliest_label == aggregation.find_likeliest(scores, row.named_label)
    assert scores[row.likeliest_label] == max(scores.values())


def test_headline_of_a_flag_names_what_else_passed(claim, answer):
    both = {"normal": 0.24, "pneumonia": 0.41, "tuberculosis": 0.35}
    flagged = replace(answer_of(answer, "flagged"), suspected_label="tuberculosis")
    row = complete(claim, replace(flagged, probabilities=both))
    assert headline_of(row) == (
        "Tuberculosis can't be ruled out (0.35, flagged from 0.30). "
        "Most probable: pneumonia 0.41. Also above its own: pneumonia 0.41"
    )


def test_headline_tells_a_probability_from_an_operating_point_that_it_rounds_to(claim, answer):
    near = {"normal": 0.3, "pneumonia": 0.3999, "tuberculosis": 0.3001}
    below = answer_of(answer, "below_operating_point")
    row = complete(claim, replace(below, probabilities=near))
    assert "pneumonia 0.3999 (operating point 0.4000)" in headline_of(row)


def test_headline_of_a_disease_in_question_that_leads_names_it_once(claim, answer):
    leading = {"normal": 0.2, "pneumonia": 0.2, "tuberculosis": 0.6}
    open_one = answer_of(answer, "indeterminate")
    row = complete(claim, replace(open_one, probabilities=leading))
    assert headline_of(row) == "Indeterminate: tuberculosis 0.60 lies at its operating point 0.30"


def test_headline_says_what_cannot_be_ruled_out_when_no_band_holds_it(claim, answer):
    unsure = {"normal": 0.9, "pneumonia": 0.04, "tuberculosis": 0.06}
    row = complete(claim, replace(answer_of(answer, "indeterminate"), probabilities=unsure))
    row.model_version.manifest["conformal"] = {"coverage": 0.9, "lowest": {"tuberculosis": 0.05}}
    expected = "Indeterminate: tuberculosis 0.06 can't be ruled out. Most probable: normal 0.90"
    assert headline_of(row) == expected
    row.model_version.manifest["operating"]["bands"] = {"tuberculosis": [0.05, 0.4]}
    assert "lies at its operating point 0.30" in headline_of(row)


def test_headline_of_a_finding_names_what_else_passed(claim, answer):
    both = {"normal": 0.1, "pneumonia": 0.55, "tuberculosis": 0.35}
    row = complete(claim, replace(answer, probabilities=both))
    assert headline_of(row) == (
        "Pneumonia, above its operating point. Also above its own: tuberculosis 0.35"
    )


def test_headline_of_what_has_not_ended_is_its_state(queued):
    assert headline_of(queued) == "Queued"
    assert not queued.may_be_confirmed


def test_conclusion_is_the_person_s_word_and_the_model_s_line_says_what_became_of_it(
    reviewer, answered
):
    decision = {"decision": "override", "label": "normal", "reason": "false_positive"}
    review_classification(actor=reviewer, classification=answered, **decision)
    row = Classification.objects.with_listing().get(pk=answered.pk)
    found = conclusion_of(row)
    assert (found.label, found.label_display, found.decision) == ("normal", "Normal", "override")
    assert (found.by, found.at) == (str(reviewer), row.review.created_at)
    assert headline_of(row) == "Pneumonia, above its operating point"
    assert model_line_of(row) == "Model: pneumonia 0.92, overridden"


def test_conclusion_of_a_study_that_cannot_be_assessed_has_words_and_no_label(reviewer, answered):
    refused = {"decision": "uninterpretable", "reason": "image_quality"}
    review_classification(actor=reviewer, classification=answered, **refused)
    found = conclusion_of(Classification.objects.with_listing().get(pk=answered.pk))
    assert (found.label, found.label_display) == ("", "Could not be assessed")
