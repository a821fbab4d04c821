"""Answers given before there were outcomes, carried over and back."""

import itertools

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from classifier.models import Classification, Review
from ml.aggregation import Outcome, decide
from tests import factories

BEFORE = [("classifier", "0005_review_responsible")]
AFTER = [("classifier", "0006_outcome")]
NAMES = ("normal", "pneumonia", "tuberculosis")
BANDS = {"operating": {"thresholds": {"pneumonia": 0.4}, "bands": {"pneumonia": [0.35, 0.6]}}}
# What was written -> the outcome, the label and the suspected label that it gets.
ANSWERS = {
    "passed": (("pneumonia", False, (0.3, 0.65, 0.05)), ("finding", "pneumonia", "")),
    "doubtful": (("pneumonia", True, (0.3, 0.41, 0.29)), ("indeterminate", "", "pneumonia")),
    "normal, one doubtful": (
        ("normal", True, (0.6, 0.36, 0.04)),
        ("indeterminate", "", "pneumonia"),
    ),
    "none passed": (
        ("tuberculosis", False, (0.3, 0.2, 0.49)),
        ("below_operating_point", "", "tuberculosis"),
    ),
    "no threshold, passed": (
        ("tuberculosis", False, (0.3, 0.2, 0.5)),
        ("finding", "tuberculosis", ""),
    ),
    "normal": (("normal", False, (0.9, 0.06, 0.04)), ("no_finding", "normal", "")),
    "without scores": (("pneumonia", False, ()), ("indeterminate", "", "pneumonia")),
}


@pytest.fixture
def answers_of(migrate):
    """The answers at some migrations."""
    return lambda to: migrate(to).get_model("classifier", "Classification")


@pytest.fixture
def before(answers_of):
    return answers_of(BEFORE)


def write_old(rows, version, label, is_indeterminate, scores):
    study = factories.make_study(department=factories.make_department())
    return rows.objects.create(
        study_id=study.pk,
        task="chest-xray",
        state="awaiting_review",
        finished_at=timezone.now(),
        model_version_id=version.pk,
        model_digest=version.digest,
        label=label,
        is_indeterminate=is_indeterminate,
        probabilities=dict(zip(NAMES, scores, strict=True)) if scores else {},
    )


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_answers_of_before_get_their_outcome_and_give_it_back(answers_of, before):
    version = factories.make_model_version(is_live=False)
    version.manifest |= BANDS
    version.save()
    old = {name: write_old(before, version, *given) for name, (given, _) in ANSWERS.items()}
    study = factories.make_study(department=factories.make_department())
    for state, abstention in (("abstained", "no_image"), ("queued", "")):
        fields = {"task": "" if abstention else "chest-xray", "abstention": abstention}
        ended = timezone.now() if abstention else None
        old[state] = before.objects.create(
            study_id=study.pk, state=state, finished_at=ended, **fields
        )

    after = answers_of(AFTER)

    wanted = {name: outcome for name, (_, outcome) in ANSWERS.items()}
    wanted |= {"abstained": ("abstained", "", ""), "queued": ("", "", "")}
    for name, row in old.items():
        found = after.objects.get(pk=row.pk)
        assert (found.outcome, found.label, found.suspected_label) == wanted[name], name
    with pytest.raises(DatabaseError, match="keeps its answer"), transaction.atomic():
        after.objects.filter(pk=old["passed"].pk).update(outcome="no_finding", label="normal")

    again = answers_of(BEFORE)

    for name, (given, _) in ANSWERS.items():
        kept = again.objects.get(pk=old[name].pk)
        assert (kept.label, kept.is_indeterminate) == given[:2], name


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_flag_is_a_finding_before_there_were_flags_and_stays_one(answers_of):
    version = factories.make_model_version()
    study = factories.make_study(department=factories.make_department())
    row = Classification.objects.create(
        study=study,
        task="chest-xray",
        state="awaiting_review",
        finished_at=timezone.now(),
        model_version=version,
        model_digest=version.digest,
        outcome="flagged",
        suspected_label="tuberculosis",
        probabilities={"normal": 0.61, "pneumonia": 0.07, "tuberculosis": 0.32},
    )
    for to in ("0010_due_at", "0014_flags_and_sources"):
        found = answers_of([("classifier", to)]).objects.get(pk=row.pk)
        assert (found.outcome, found.label, found.suspected_label) == (
            "finding",
            "tuberculosis",
            "",
        )
    with pytest.raises(DatabaseError, match="keeps its answer"), transaction.atomic():
        Classification.objects.filter(pk=row.pk).update(outcome="no_finding", label="normal")


def write_as_before(study, version, probabilities):
    """What a worker of the release before writes: one label whatever it is, and no outcome."""
    row = Classification.objects.create(
        study=study,
        task="chest-xray",
        state="superseded",
        finished_at=timezone.now(),
        model_version=version,
        model_digest=version.digest,
        label=max(probabilities, key=probabilities.get),
        probabilities=probabilities,
    )
    row.refresh_from_db()
    return row.outcome, row.label, row.suspected_label


@pytest.mark.django_db
def test_an_answer_that_the_release_before_writes_gets_the_outcome_that_ours_would_give():
    version = factories.make_model_version()
    version.manifest |= BANDS
    version.save()
    study = factories.make_study(department=factories.make_department())
    thresholds, bands = (BANDS["operating"][name] for name in ("thresholds", "bands"))
    parts = [0, 0.2, 0.3, 0.35, 0.39, 0.4, 0.45, 0.5, 0.6, 0.61, 0.95, 1]
    wanted, found = {}, {}
    for scores in itertools.product(parts, repeat=3):
        probabilities = dict(zip(NAMES, scores, strict=True))
        given = decide(probabilities, "normal", thresholds=thresholds, bands=bands)
        wanted[scores] = (given.outcome.value, given.label or "", given.suspected_label or "")
    for scores in wanted:
        found[scores] = write_as_before(study, version, dict(zip(NAMES, scores, strict=True)))

    assert found == wanted
    assert {outcome for outcome, *_ in wanted.values()} == set(Outcome) - {Outcome.ABSTAINED}


def test_the_release_before_cant_confirm_an_answer_that_gives_no_label(answered, reviewer):
    with pytest.raises(IntegrityError, match="review_confirm_says_what"), transaction.atomic():
        Review.objects.create(classification=answered, reviewer=reviewer, decision="confirm")
