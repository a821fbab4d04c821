"""From a claimed row to an answer with the bundle that ships, and what happens when it can't be."""

import json
import shutil
from pathlib import Path
from unittest.mock import Mock

import pydicom
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent
from classifier import tasks
from classifier.choices import Action
from classifier.models import Deployment, ModelVersion
from classifier.services.requests import request_classifications
from classifier.services.versions import register_bundles, withdraw_task
from records.models import Instance
from tests import factories
from tests.classifier.bundles import change_manifest, copy_chest

CHEST = next(Path("samples").glob("chest-pneumonia*/*.dcm"))


@pytest.fixture
def bundle_dir(tmp_path, settings):
    """A copy of the chest bundle that a test may damage, and no other."""
    copy = tmp_path / "bundles"
    copy_chest(copy)
    settings.BUNDLE_DIR = copy
    return copy


@pytest.fixture
def live(db, bundle_dir):
    register_bundles(actor=None, root=bundle_dir, deploy=True)
    return Deployment.objects.live_version("chest-xray")


def stored_study(department, content=None, **fields):
    study = factories.make_study(
        department=department, content=content or CHEST.read_bytes(), **fields
    )
    read = pydicom.dcmread(CHEST, stop_before_pixels=True)
    Instance.objects.filter(series__study=study).update(rows=read.Rows, columns=read.Columns)
    return study


def classified(study):
    (row,) = request_classifications(actor=None, study=study)
    tasks.classify_next("routine")
    row.refresh_from_db()
    return row


def test_classify_next_answers_with_the_shipped_bundle(department, live):
    row = classified(stored_study(department))
    assert row.state == "awaiting_review"
    assert row.label in live.labels
    assert sum(row.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert (row.model_version, row.model_digest) == (live, live.digest)
    assert "openvino" in row.runtime.lower()
    assert row.input_hashes == [Instance.objects.get(series__study=row.study).sha256]
    assert set(row.explanations.get().activation_maps) == set(live.labels)
    assert row.instance_scores.get().is_deciding
    assert row.outcome in ("finding", "no_finding")


def test_classify_next_says_so_when_the_answer_is_too_close_to_call(department, bundle_dir):
    shipped = next(bundle_dir.glob("chest-xray/*/"))
    operating = json.loads((shipped / "manifest.json").read_text())["operating"]
    change_manifest(shipped, operating=operating | {"bands": {"pneumonia": [0.1, 1.0]}})
    register_bundles(actor=None, root=bundle_dir, deploy=True)
    row = classified(stored_study(department))
    assert (row.state, row.outcome) == ("awaiting_review", "indeterminate")
    assert (row.label, row.suspected_label) == ("", "pneumonia")
    assert "pneumonia" in row.notes[0]
    assert "too close to its operating point" in row.notes[0]


def test_classify_next_changes_nothing_when_it_is_delivered_twice(department, live):
    row = classified(stored_study(department))
    events = AuditEvent.objects.count()
    tasks.classify_next("routine")
    assert AuditEvent.objects.count() == events
    assert row.instance_scores.count() == 1


def test_classify_next_gives_the_same_scores_every_time(department, live):
    first, second = (classified(stored_study(department)) for _ in range(2))
    assert first.probabilities == second.probabilities


def test_classify_next_abstains_when_no_model_is_in_use(department, live):
    withdraw_task(actor=None, task="chest-xray")
    row = classified(stored_study(department))
    assert (row.state, row.abstention, row.label) == ("abstained", "no_deployed_model", "")


def test_classify_next_abstains_on_a_lateral_view(department, live, tmp_path):
    lateral = pydicom.dcmread(CHEST)
    lateral.ViewPosition = "LL"
    lateral.save_as(tmp_path / "lateral.dcm")
    row = classified(stored_study(department, (tmp_path / "lateral.dcm").read_bytes()))
    assert (row.state, row.abstention) == ("abstained", "wrong_view")
    assert "lateral" in row.abstention_reason
    assert row.probabilities == {}


def test_classify_next_leaves_a_lateral_view_out_beside_a_frontal_one(department, live, tmp_path):
    study = stored_study(department)
    lateral = pydicom.dcmread(CHEST)
    lateral.ViewPosition = "LL"
    lateral.save_as(tmp_path / "lateral.dcm")
    factories.make_instance(
        series=study.series.get(), content=(tmp_path / "lateral.dcm").read_bytes()
    )
    row = classified(study)
    assert row.state == "awaiting_review"
    assert row.instance_scores.count() == 1
    assert any("1 of 2 images were left out" in note for note in row.notes)


def test_classify_next_fails_with_the_reason_when_the_file_is_damaged(department, live):
    row = classified(stored_study(department, CHEST.read_bytes()[:3000]))
    assert row.state == "failed"
    assert row.failure_code in {"image_truncated", "image_unreadable"}
    assert row.failure_action


def test_classify_next_goes_back_to_the_queue_after_something_unexpected(
    department, live, monkeypatch, settings
):
    settings.CLASSIFICATION_MAX_ATTEMPTS = 2
    settings.CLASSIFICATION_RING_AGAIN_SECONDS = 0
    monkeypatch.setattr(tasks, "answer_for", lambda *_, **__: 1 / 0)
    (row,) = request_classifications(actor=None, study=stored_study(department))
    for state in ("queued", "failed"):
        with pytest.raises(ZeroDivisionError):
            tasks.classify_next("routine")
        row.refresh_from_db()
        assert row.state == state
    assert "reference" in row.failure_message


def test_classify_next_says_so_when_the_time_of_every_attempt_ended(
    department, live, monkeypatch, settings
):
    settings.CLASSIFICATION_MAX_ATTEMPTS = 2
    settings.CLASSIFICATION_RING_AGAIN_SECONDS = 0
    monkeypatch.setattr(tasks, "answer_for", Mock(side_effect=SoftTimeLimitExceeded))
    (row,) = request_classifications(actor=None, study=stored_study(department))
    for _ in range(2):
        with pytest.raises(SoftTimeLimitExceeded):
            tasks.classify_next("routine")

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "time_limit_exceeded")
    requeued = AuditEvent.objects.get(action=Action.CLASSIFICATION_REQUEUED)
    assert requeued.details["reason"] == "time_limit_exceeded"


def test_register_bundles_registers_once_and_deploys_only_what_never_was(live, bundle_dir):
    register_bundles(actor=None, root=bundle_dir, deploy=True)
    withdraw_task(actor=None, task="chest-xray")
    register_bundles(actor=None, root=bundle_dir, deploy=True)
    assert ModelVersion.objects.filter(task="chest-xray").count() == 1
    assert Deployment.objects.live_version("chest-xray") is None
    assert AuditEvent.objects.filter(action=Action.MODEL_REGISTERED).count() == 1


def test_register_bundles_goes_on_past_a_damaged_one_and_says_what_to_do(db, bundle_dir):
    shipped = next(bundle_dir.glob("chest-xray/*/"))
    shutil.copytree(shipped, shipped.with_name("99.0.0"))
    (shipped.with_name("99.0.0") / "stranger.txt").write_text("added")
    with pytest.raises(CommandError, match=r"chest-xray 99\.0\.0 was refused.*Restore it"):
        call_command("register_bundles", deploy=True)
    assert Deployment.objects.live_version("chest-xray").version == shipped.name
