"""The task of a study: what its header says and what its images look like, together."""

import dataclasses
import re
import shutil
from pathlib import Path

import pydicom
import pytest
from django.db import DatabaseError, IntegrityError, transaction

from accounts.errors import NotYourDepartment
from accounts.models import AuditEvent
from accounts.roles import Role
from classifier import tasks
from classifier.answers import Routed
from classifier.choices import Abstention, Action
from classifier.errors import NotRerunnable, NotStatable
from classifier.inference import reading
from classifier.inference.looks import judge_series
from classifier.models import Classification, Deployment, ModelVersion
from classifier.models.classifications import CHOSEN_SENTENCE
from classifier.routing import tasks_to_state
from classifier.services import runs
from classifier.services.requests import (
    request_classifications,
    rerun_classification,
    state_task,
)
from classifier.services.reviews import review_classification
from classifier.services.versions import register_bundles, withdraw_task
from ml.quality import COMPLAINTS
from ml.router import ROUTED_ELSEWHERE
from ml.study import SERIES_NOT_VALIDATED
from records.choices import Action as RecordsAction
from records.models import Instance, Series
from tests import factories
from tests.classifier.bundles import IMAGES, copy_chest, make_router


@pytest.fixture(scope="module")
def routed_bundles(tmp_path_factory):
    """The chest bundle that ships, and a body-part model beside it."""
    root = tmp_path_factory.mktemp("routed") / "bundles"
    shipped = copy_chest(root)
    shutil.copytree(shipped, root / "body-part" / shipped.name)
    make_router(root / "body-part" / shipped.name)
    return root


@pytest.fixture
def router(db, settings, routed_bundles):
    settings.BUNDLE_DIR = routed_bundles
    register_bundles(actor=None, root=routed_bundles, deploy=True)
    return Deployment.objects.live_version("body-part")


@pytest.fixture
def make(department):
    """A study of one series that holds the named images."""

    def make_study(*names, modality="CR", body_part="CHEST", **fields):
        fields.setdefault("patient", factories.make_patient(birth_date="1970-01-01"))
        study = factories.make_study(
            department=department, modality=modality, body_part=body_part, images=0, **fields
        )
        fill(study.series.get(), *names)
        return study

    return make_study


def fill(series, *names):
    for number, name in enumerate(names, start=1):
        factories.make_instance(
            series=series, content=IMAGES[name].read_bytes(), instance_number=number
        )


def add_series(study, *names, modality="OT", body_part=""):
    series = Series.objects.create(
        study=study,
        series_instance_uid=pydicom.uid.generate_uid(),
        series_number=2,
        modality=modality,
        body_part_examined=body_part,
    )
    fill(series, *names)
    return series


def classified(study, actor=None):
    (row,) = request_classifications(actor=actor, study=study)
    tasks.classify_next("routine")
    row.refresh_from_db()
    return row


def test_classify_next_records_that_header_and_image_agree(make, router):
    row = classified(make("normal"))
    assert (row.task, row.state, row.label) == ("chest-xray", "awaiting_review", "normal")
    assert (row.routing["label"], row.routing["agreement"]) == ("chest-xr", "agrees")
    assert row.routing["probability"] > 0.9
    assert row.routing["model_digest"] == router.digest
    assert row.notes == []


def test_classify_next_abstains_when_the_image_surely_shows_something_else(make, router):
    study = make("pneumonia")
    row = classified(study)
    assert (row.task, row.state, row.abstention) == ("chest-xray", "abstained", "routed_elsewhere")
    assert row.abstention_reason == (
        "The header says a chest X-ray, the image looks like a fundus photograph."
    )
    assert (row.label, row.probabilities) == ("", {})
    assert row.routing["agreement"] == "disagrees"
    assert "a fundus photograph (1 of 1 images" in row.notes[0]
    assert row.input_hashes == [Instance.objects.get(series__study=study).sha256]


def test_classify_next_judges_each_series_once(make, router, monkeypatch):
    judged = []

    def judge(series_id, routings):
        judged.append(series_id)
        return judge_series(series_id, routings)

    monkeypatch.setattr(reading, "judge_series", judge)
    study = make("pneumonia")
    classified(study)

    assert judged == [str(study.series.get().pk)]


def test_classify_next_answers_when_the_router_is_not_sure(make, router):
    row = classified(make("normal", "unsure"))
    assert row.state == "awaiting_review"
    assert row.routing["agreement"] == "agrees"


def test_classify_next_leaves_out_the_frames_of_another_kind(make, router):
    row = classified(make("normal", "normal", "tuberculosis"))
    assert (row.state, row.label) == ("awaiting_review", "normal")
    assert row.instance_scores.count() == 2
    assert row.notes == [
        "1 of 3 images were left out. "
        "The header says a chest X-ray, the image looks like a hand X-ray."
    ]
    assert Instance.objects.filter(series__study=row.study).count() == 3


def test_classify_next_abstains_when_most_frames_show_something_else(make, router):
    row = classified(make("normal", "pneumonia", "pneumonia"))
    assert (row.state, row.abstention) == ("abstained", "routed_elsewhere")
    assert row.instance_scores.count() == 0


@pytest.mark.parametrize(("modality", "body_part"), [("OT", ""), ("", ""), ("SC", "CHEST")])
def test_classify_next_lets_the_image_choose_when_the_header_is_silent(
    make, router, modality, body_part
):
    row = classified(make("normal", modality=modality, body_part=body_part))
    assert (row.task, row.state, row.label) == ("chest-xray", "awaiting_review", "normal")
    assert (row.routing["agreement"], row.is_chosen_by_image) == ("chosen", True)
    assert row.notes == [CHOSEN_SENTENCE]
    events = AuditEvent.objects.filter(target_id=str(row.pk)).order_by("id")
    assert list(events.values_list("action", flat=True)) == [
        Action.CLASSIFICATION_QUEUED,
        Action.CLASSIFICATION_STARTED,
        Action.CLASSIFICATION_ROUTED,
        Action.CLASSIFICATION_COMPLETED,
    ]


@pytest.mark.parametrize(
    ("image", "modality", "body_part", "code", "words"),
    [
        ("unsure", "OT", "", "route_unsure", "Say which body part this is."),
        ("tuberculosis", "OT", "", "no_task", "looks like a hand X-ray. No model looks"),
        ("normal", "MR", "", "routed_elsewhere", "The header says MR, the image looks like a"),
        ("pneumonia", "SC", "CHEST", "routed_elsewhere", "The header says SC CHEST, the image"),
    ],
)
def test_classify_next_abstains_when_a_silent_header_s_image_gives_no_task(
    make, router, image, modality, body_part, code, words
):
    row = classified(make(image, modality=modality, body_part=body_part))
    assert (row.task, row.state, row.abstention) == ("unrouted", "abstained", code)
    assert words in row.abstention_reason
    assert row.routing["model_digest"] == router.digest
    assert "The body-part model" in row.notes[0]


def test_classify_next_gives_each_kind_of_image_a_row_of_its_own(make, router):
    study = make("normal", modality="OT", body_part="")
    add_series(study, "pneumonia")
    classified(study)
    tasks.classify_next("routine")
    chest, retina = study.classifications.order_by("task")
    assert (chest.task, chest.state) == ("chest-xray", "awaiting_review")
    assert (retina.task, retina.abstention) == ("retina", "no_deployed_model")
    assert chest.instance_scores.count() == 1
    assert (len(chest.chosen_series), len(retina.chosen_series)) == (1, 1)


def test_request_classifications_asks_no_image_beside_a_header_that_names_the_task(make, router):
    study = make("normal")
    add_series(study, "pneumonia")
    row = classified(study)
    assert (row.task, row.state) == ("chest-xray", "awaiting_review")
    assert list(row.routing["series"]) == [str(study.series.get(modality="CR").pk)]


def test_request_classifications_abstains_as_before_when_no_router_is_in_use(make, router):
    withdraw_task(actor=None, task="body-part")
    (row,) = request_classifications(actor=None, study=make("normal", modality="OT", body_part=""))
    assert (row.task, row.state, row.abstention) == ("", "abstained", "no_task")


def test_classify_next_routes_nothing_when_the_router_was_withdrawn_meanwhile(make, router):
    study = make("normal", modality="OT", body_part="")
    (row,) = request_classifications(actor=None, study=study)
    withdraw_task(actor=None, task="body-part")
    tasks.classify_next("routine")
    row.refresh_from_db()
    assert (row.task, row.state, row.abstention) == ("unrouted", "abstained", "no_task")


def test_classify_next_waits_while_the_router_in_use_is_missing(make, router):
    ModelVersion.objects.filter(task="body-part").update(digest="0" * 64)
    row = classified(make("normal"))
    assert (row.state, row.waiting_code, row.attempt) == ("queued", "model_missing", 0)
    silent = classified(make("normal", modality="OT", body_part=""))
    assert (silent.task, silent.waiting_code) == ("unrouted", "model_missing")


def test_request_classifications_routes_anew_when_a_late_image_comes(make, router):
    study = make("normal", modality="OT", body_part="")
    first = classified(study)
    (again,) = request_classifications(actor=None, study=study)
    first.refresh_from_db()
    assert (first.state, again.task, again.supersedes) == ("superseded", "unrouted", first)


def test_rerun_classification_keeps_the_task_that_the_image_decided(make, router, technician):
    row = classified(make("normal", modality="OT", body_part=""))
    again = rerun_classification(actor=technician, classification=row)
    tasks.classify_next("routine")
    again.refresh_from_db()
    assert (again.task, again.state, again.label) == ("chest-xray", "awaiting_review", "normal")
    assert again.is_chosen_by_image
    withdraw_task(actor=None, task="body-part")
    assert rerun_classification(actor=technician, classification=again).task == "chest-xray"


def test_rerun_classification_lets_the_image_choose_once_there_is_a_router(
    make, router, technician
):
    withdraw_task(actor=None, task="body-part")
    (row,) = request_classifications(actor=None, study=make("normal", modality="OT", body_part=""))
    Deployment.objects.create(task="body-part", model_version=router)
    again = rerun_classification(actor=technician, classification=row)
    assert (again.task, again.supersedes) == ("unrouted", row)
    assert row.study.classifications.current().get() == again


def claimed(study):
    (row,) = request_classifications(actor=None, study=study)
    found = runs.claim_classification(worker="one")
    assert found is not None
    return found


ROUTED = Routed(
    tasks=("chest-xray", "retina"),
    routing={"label": "chest-xr", "probability": 0.98, "model_digest": "0", "chosen": True},
)


def test_route_classification_is_dropped_when_the_row_is_no_longer_the_worker_s(make, router):
    study = make("normal", modality="OT", body_part="")
    claim = claimed(study)
    request_classifications(actor=None, study=study)
    assert runs.route_classification(claim=claim, routed=ROUTED) is None
    current = study.classifications.current().get()
    assert (current.task, current.routing) == ("unrouted", {})


def test_classify_next_goes_on_with_the_task_when_the_worker_died_after_routing(
    make, router, settings
):
    study = make("normal", modality="OT", body_part="")
    claim = claimed(study)
    (series,) = study.series.all()
    routed = dataclasses.replace(
        ROUTED,
        tasks=("chest-xray",),
        routing={**ROUTED.routing, "series": {str(series.pk): {"task": "chest-xray"}}},
    )
    assert runs.route_classification(claim=claim, routed=routed)
    Classification.objects.filter(pk=claim.classification_id).update(
        lease_expires_at="2020-01-01T00:00:00Z"
    )
    assert runs.sweep_classifications()["requeued"] == 1
    tasks.classify_next("routine")
    row = Classification.objects.get(pk=claim.classification_id)
    assert (row.task, row.state, row.attempt) == ("chest-xray", "awaiting_review", 2)


def test_state_task_classifies_what_a_person_names(make, router, technician):
    study = make("unsure", modality="OT", body_part="")
    row = classified(study)
    (stated,) = state_task(actor=technician, classification=row, task="chest-xray")
    row.refresh_from_db()
    assert (row.state, stated.task, stated.supersedes) == ("superseded", "chest-xray", row)
    assert (stated.state, stated.requested_by) == ("queued", technician)
    event = AuditEvent.objects.get(action=RecordsAction.STUDY_DESCRIBED)
    assert (event.actor_id, event.study_id) == (technician.pk, study.pk)
    (series,) = study.series.all()
    assert (series.modality, series.stated_modality, series.stated_body_part) == (
        "OT",
        "CR",
        "CHEST",
    )
    study.refresh_from_db()
    assert study.body_part == "CHEST"


def test_classify_next_shows_a_disagreement_with_what_a_person_stated(make, router, technician):
    row = classified(make("tuberculosis", modality="OT", body_part=""))
    (stated,) = state_task(actor=technician, classification=row, task="chest-xray")
    tasks.classify_next("routine")
    stated.refresh_from_db()
    assert (stated.state, stated.abstention) == ("abstained", "routed_elsewhere")
    assert stated.abstention_reason == (
        "A person stated a chest X-ray, the image looks like a hand X-ray."
    )
    (again,) = state_task(actor=technician, classification=stated, task="retina")
    assert again.task == "retina"


@pytest.mark.parametrize(
    ("modality", "body_part", "task"),
    [("CR", "", "brain-mri"), ("OT", "SKIN", "retina"), ("OT", "", "body-part"), ("OT", "", "")],
)
def test_state_task_refuses_what_the_header_rules_out(
    make, router, technician, modality, body_part, task
):
    row = classified(make("unsure", modality=modality, body_part=body_part))
    with pytest.raises(NotStatable):
        state_task(actor=technician, classification=row, task=task)
    assert row.study.series.get().stated_body_part == ""


def test_state_task_refuses_when_a_person_has_decided_on_the_study(
    make, router, technician, reviewer
):
    study = make("normal", modality="OT", body_part="")
    add_series(study, "pneumonia")
    classified(study)
    chest, retina = study.classifications.order_by("task")
    tasks.classify_next("routine")
    tasks.classify_next("routine")
    review_classification(actor=reviewer, classification=chest, decision="confirm")
    with pytest.raises(NotRerunnable, match="Confirmed"):
        state_task(actor=technician, classification=retina, task="skin-lesion")
    assert set(study.classifications.current()) == {chest, retina}


def test_state_task_refuses_another_department(make, router):
    row = classified(make("unsure", modality="OT", body_part=""))
    with pytest.raises(NotYourDepartment):
        state_task(
            actor=factories.make_user(Role.TECHNICIAN), classification=row, task="chest-xray"
        )


@pytest.mark.parametrize(
    ("modality", "body_part", "offered"),
    [
        ("OT", "", ["brain-mri", "chest-xray", "head-ct", "lung-ct", "retina", "skin-lesion"]),
        ("XC", "", ["retina", "skin-lesion"]),
        ("OT", "CHEST", ["chest-xray", "lung-ct"]),
        ("CR", "CHEST", []),
        ("CT", "KNEE", []),
    ],
)
def test_tasks_to_state_are_those_that_the_header_leaves_open(make, modality, body_part, offered):
    study = make("normal", modality=modality, body_part=body_part)
    assert tasks_to_state(study) == offered


def test_abstention_has_every_code_of_ml():
    sources = "".join(path.read_text() for path in Path("ml").rglob("*.py"))
    codes = set(re.findall(r'\bAbstention\(\s*"([a-z_]+)"', sources))
    assert {"wrong_view", "unlike_training"} <= codes
    codes |= {complaint.code for complaint in COMPLAINTS.values()}
    assert codes | {ROUTED_ELSEWHERE, SERIES_NOT_VALIDATED} <= set(Abstention.values)


def test_database_refuses_a_classification_by_the_router(make):
    with pytest.raises(IntegrityError, match="classification_task_is_no_router"):
        Classification.objects.create(study=make("normal"), task="body-part")


@pytest.mark.parametrize("change", [{"routing": {}}, {"outcome": "indeterminate"}])
def test_database_refuses_to_alter_what_the_router_saw(make, router, change):
    row = classified(make("normal"))
    with pytest.raises(DatabaseError, match="keeps its answer"), transaction.atomic():
        Classification.objects.filter(pk=row.pk).update(**change)
