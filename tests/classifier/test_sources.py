"""A model for its own source only: no label elsewhere, until somebody answers for it there."""

import json
import threading

import pydicom
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier import errors
from classifier.choices import Action
from classifier.models import SourceValidation
from classifier.services.sources import state_validation, withdraw_validation
from classifier.services.versions import register_bundles
from records.errors import ReasonMissing
from records.models import Instance, Submission, SubmissionFile
from tests import factories
from tests.classifier.bundles import IMAGES, change_manifest, copy_chest
from tests.classifier.test_inference import classified

TRANSFER = {
    "sources": {},
    "asked_recall": 0.8,
    "asked_specificity": 0.6,
    "unproven": ["tuberculosis"],
    "is_own_source_only": True,
}
STATED = {"figures": "60 films, sensitivity 0.93", "reason": "local audit"}


@pytest.fixture
def own_only(db, settings, tmp_path):
    """The chest model in use, for its own source only."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    change_manifest(copy_chest(settings.BUNDLE_DIR), transfer=TRANSFER)
    (version,) = register_bundles(actor=None, root=settings.BUNDLE_DIR, deploy=True).versions
    return version


@pytest.fixture
def administrator(db):
    return factories.make_user(Role.ADMINISTRATOR)


def film(tmp_path, **header):
    """The film of a pneumonia, from wherever its header says."""
    dataset = pydicom.dcmread(IMAGES["pneumonia"])
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    path = tmp_path / "film.dcm"
    dataset.save_as(path)
    return path.read_bytes()


def study_of(department, content):
    study = factories.make_study(department=department, content=content)
    size = {"rows": 256, "columns": 256}
    Instance.objects.filter(series__study=study).update(**size)
    return study


def state(administrator, version, **source):
    return state_validation(actor=administrator, version=version, **STATED, **source)


def test_no_label_is_given_where_nobody_answers_for_the_model(own_only, department, tmp_path):
    row = classified(study_of(department, film(tmp_path, InstitutionName="St Elsewhere")))
    assert (row.state, row.outcome, row.abstention) == (
        "abstained",
        "abstained",
        "source_not_validated",
    )
    assert (row.label, row.suspected_label, row.confidence, row.likeliest_label) == ("",) * 4
    assert sum(row.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert "not validated for this source" in row.abstention_reason
    # Neither a picture nor the score of an image says what the answer withholds.
    assert not row.explanations.exists()
    assert not row.instance_scores.exists()


@pytest.mark.parametrize(
    ("source", "is_answered"),
    [
        ({"kind": "institution", "value": "st  ELSEWHERE"}, True),
        ({"kind": "station", "value": "DX 7"}, True),
        ({"kind": "institution", "value": "DX 7"}, False),
        ({"kind": "institution", "value": "St Else"}, False),
        ({"kind": "calling_ae", "value": "ROOM1"}, True),
        ({"kind": "calling_ae", "value": "room1"}, False),
        ({"kind": "station", "value": "ROOM1"}, False),
    ],
)
def test_a_label_is_given_to_what_comes_from_a_stated_source(
    own_only, administrator, department, tmp_path, source, is_answered
):
    content = film(tmp_path, InstitutionName="St Elsewhere", StationName="DX 7")
    study = study_of(department, content)
    sent = Submission.objects.create(
        department=department, origin="dimse", calling_ae_title="ROOM1"
    )
    SubmissionFile.objects.create(
        submission=sent, name="1", verdict="stored", instance=Instance.objects.get()
    )
    state(administrator, own_only, **source)
    row = classified(study)
    assert (row.outcome != "abstained") == is_answered
    assert bool(row.label) == is_answered


def test_a_department_counts_and_another_s_statement_does_not(
    own_only, administrator, department, tmp_path
):
    elsewhere = factories.make_department()
    state(administrator, own_only, kind="department", department=elsewhere)
    content = film(tmp_path)
    assert classified(study_of(department, content)).abstention == "source_not_validated"
    assert classified(study_of(elsewhere, content)).label


def test_one_image_from_elsewhere_leaves_the_study_without_a_label(
    own_only, administrator, department, tmp_path
):
    state(administrator, own_only, kind="station", value="DX 7")
    study = study_of(department, film(tmp_path, StationName="DX 7"))
    for name in ("DX 8", ""):
        content = film(tmp_path, StationName=name)
        factories.make_instance(series=study.series.get(), content=content)
        Instance.objects.update(rows=256, columns=256)
        assert classified(study).abstention == "source_not_validated"


def test_a_withdrawn_statement_and_one_about_another_version_count_for_nothing(
    own_only, administrator, department, tmp_path
):
    other = factories.make_model_version(is_live=False)
    for version in (other, own_only):
        statement = state(administrator, version, kind="department", department=department)
    study = study_of(department, film(tmp_path))
    given = classified(study)
    assert given.label
    withdraw_validation(actor=administrator, statement=statement.pk, reason="moved house")
    assert classified(study).abstention == "source_not_validated"
    given.refresh_from_db()
    assert given.label


def test_stating_and_withdrawing_are_each_told_once_and_kept(administrator, version, department):
    statement = state(administrator, version, kind="department", department=department)
    withdraw_validation(actor=administrator, statement=statement.pk, reason="moved house")
    told = AuditEvent.objects.filter(target_id=str(version.pk))
    assert sorted(told.values_list("action", flat=True)) == [
        Action.MODEL_SOURCE_VALIDATED,
        Action.MODEL_SOURCE_WITHDRAWN,
    ]
    details = told.get(action=Action.MODEL_SOURCE_VALIDATED).details
    assert (details["source"], details["kind"]) == (department.name, "department")
    assert details["model_digest"] == version.digest
    with pytest.raises(errors.ValidationWithdrawn):
        withdraw_validation(actor=administrator, statement=statement.pk, reason="again")
    for change in (
        {"figures": "better ones"},
        {"withdrawn_at": None},
        {"withdrawal_reason": "another"},
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            SourceValidation.objects.filter(pk=statement.pk).update(**change)
    assert state(administrator, version, kind="department", department=department)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"kind": "department"}, errors.SourceRequired),
        ({"kind": "station", "value": "  "}, errors.SourceRequired),
        ({"kind": "station", "value": "x" * 65}, errors.SourceRequired),
        ({"kind": "station", "value": "DX 7", "figures": " "}, errors.FiguresMissing),
        ({"kind": "station", "value": "DX 7", "reason": ""}, ReasonMissing),
    ],
)
def test_a_statement_without_source_figures_or_reason_is_refused(
    administrator, version, given, error
):
    with pytest.raises(error):
        state_validation(actor=administrator, version=version, **{**STATED, **given})
    assert not SourceValidation.objects.exists()


def test_the_same_source_is_stated_once(administrator, version, department):
    for source in (
        {"kind": "station", "value": "DX 7"},
        {"kind": "department", "department": department},
    ):
        state(administrator, version, **source)
        with pytest.raises(errors.SourceStated):
            state(administrator, version, **source)
        with pytest.raises(IntegrityError), transaction.atomic():
            SourceValidation.objects.create(model_version=version, **STATED, **source)


@pytest.mark.django_db(transaction=True)
def test_two_who_state_the_same_at_once_state_it_once(transactional_db):
    version = factories.make_model_version()
    administrator = factories.make_user(Role.ADMINISTRATOR)
    ends = []

    def run():
        try:
            state(administrator, version, kind="station", value="DX 7")
            ends.append("stated")
        except errors.SourceStated:
            ends.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["refused", "stated"]


def test_the_page_folds_the_probabilities_away_and_the_api_has_them(
    client, own_only, department, reviewer, tmp_path
):
    row = classified(study_of(department, film(tmp_path)))
    client.force_login(reviewer)
    page = client.get(reverse("classifier:opinion", args=[row.pk])).content.decode()
    assert "No result: not validated for this source" in page
    folded = page[page.index("Probabilities, not an answer") :]
    assert "<details" in page[: page.index("Probabilities, not an answer")][-60:]
    assert " open" not in page[: page.index("Probabilities, not an answer")][-60:]
    assert "Pneumonia" in folded
    assert "data-overlay-switch" not in page
    listed = client.get(reverse("classifier:worklist")).content.decode()
    assert "not validated for this source" in listed
    answer = client.get(f"/api/v1/classifications/{row.pk}/").json()
    assert answer["abstention"] == "source_not_validated"
    assert set(answer["probabilities"]) == set(own_only.labels)
    assert [answer[name] for name in ("label", "suspected_label", "likeliest_label")] == [None] * 3
    assert answer["probability"] is None


def test_an_administrator_states_and_withdraws_on_the_page(client, own_only, department):
    administrator = factories.make_user(Role.ADMINISTRATOR)
    client.force_login(administrator)
    where = reverse("classifier:source-validation-create", args=[own_only.pk])
    refused = client.post(where, {"kind": "department", **STATED})
    assert "It isn&#x27;t said which source" in refused.content.decode()
    assert STATED["figures"] in refused.content.decode()
    given = {"kind": "department", "department": department.pk, **STATED}
    page = client.post(where, given, follow=True).content.decode()
    assert "Own source only" in page
    assert department.name in page
    statement = SourceValidation.objects.get()
    assert statement.stated_by == administrator
    listed = client.get(f"/api/v1/model-versions/{own_only.pk}/").json()
    assert listed["is_own_source_only"] is True
    assert listed["source_validations"][0]["source"] == department.name
    away = reverse("classifier:source-validation-withdraw", args=[statement.pk])
    assert department.name in client.get(away).content.decode()
    page = client.post(away, {"reason": "moved house"}, follow=True).content.decode()
    assert "moved house" in page
    assert SourceValidation.objects.get().withdrawn_by == administrator
    page = client.post(away, {"reason": "again"}).content.decode()
    assert "withdrawn already" in page


def test_predict_withholds_the_label_likewise(own_only, settings, capsys):
    from ml.workshop.cli import main

    arguments = ["predict", "--task", "chest-xray", "--bundles", str(settings.BUNDLE_DIR)]
    file = str(IMAGES["pneumonia"])
    assert main([*arguments, file]) == 0
    assert main([*arguments, "--validated-source", file]) == 0
    withheld, given = map(json.loads, capsys.readouterr().out.splitlines())
    assert withheld["abstention"]["code"] == "source_not_validated"
    assert (withheld["label"], withheld["likeliest_label"]) == (None, None)
    assert withheld["probabilities"] == given["probabilities"]
    assert given["label"] == given["likeliest_label"] == "pneumonia"
