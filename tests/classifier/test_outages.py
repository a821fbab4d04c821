"""Classification while the store of images is away, and after a lost file has been put back."""

import datetime as dt
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from classifier import tasks
from classifier.models import Classification
from classifier.services import runs
from classifier.services.requests import request_classifications
from classifier.services.versions import register_bundles
from records.choices import Action
from records.files.stores import check_store, image_store
from records.models import Instance
from records.services import scrub_storage
from tests import factories
from tests.classifier.bundles import copy_chest
from tests.classifier.waiting import let_time_pass
from tests.records.outages import directory_away

CHEST = next(Path("samples").glob("chest-pneumonia*/*.dcm"))
QUEUED = 20

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(tmp_path, settings):
    copy_chest(tmp_path / "bundles")
    settings.BUNDLE_DIR = tmp_path / "bundles"
    register_bundles(actor=None, root=settings.BUNDLE_DIR, deploy=True)


@pytest.fixture
def directory() -> Path:
    """Where the session's store is."""
    check_store()
    return Path(image_store().path(""))


@pytest.fixture
def rung(monkeypatch) -> list[str]:
    """For which priorities the sweeper rang."""
    found: list[str] = []

    def ring(*, priority):
        found.append(priority)
        return True

    monkeypatch.setattr(runs, "ring", ring)
    return found


def queue_chest(department) -> Classification:
    study = factories.make_study(department=department, content=CHEST.read_bytes())
    (row,) = request_classifications(actor=None, study=study)
    return row


def damage_events() -> int:
    return AuditEvent.objects.filter(action=Action.STORAGE_DAMAGED).count()


def try_each(rows: list[Classification]) -> None:
    for row in rows:
        let_time_pass(row.pk)
        tasks.classify_next("routine")


def test_twenty_queued_studies_wait_out_an_outage_and_are_answered(
    department, model, directory, rung
):
    rows = [queue_chest(department) for _ in range(QUEUED)]

    with directory_away(directory, "not mounted"):
        for _ in range(4):  # more often than there are attempts
            try_each(rows)
        waiting = Classification.objects.filter(state="queued", attempt=0)
        assert waiting.filter(waiting_code="storage_unavailable").count() == QUEUED
        runs.sweep_classifications()
        assert rung == []

    runs.sweep_classifications()
    assert rung == ["routine"]
    for _ in rows:
        tasks.classify_next("routine")

    states = Classification.objects.values_list("state", "attempt", "waiting_code")
    assert set(states) == {("awaiting_review", 1, "")}
    assert damage_events() == 0
    assert not Instance.objects.damaged().exists()


def test_store_that_goes_in_the_middle_of_a_study_costs_no_attempt(
    department, model, directory, monkeypatch
):
    row = queue_chest(department)
    with ExitStack() as outage:

        def go_away(*args, **kwargs):
            outage.enter_context(directory_away(directory, "moved"))
            return original(*args, **kwargs)

        from classifier.inference import answers

        original = answers.read_study
        monkeypatch.setattr(answers, "read_study", go_away)
        tasks.classify_next("routine")

    row.refresh_from_db()
    assert (row.state, row.attempt, row.waiting_code) == ("queued", 0, "storage_unavailable")


def test_study_is_classified_again_once_its_lost_file_is_put_back(
    department, model, directory, rung
):
    row = queue_chest(department)
    instance = Instance.objects.get()
    path = directory / instance.file.name
    content = path.read_bytes()
    path.unlink()

    tasks.classify_next("routine")
    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "file_missing")
    instance.refresh_from_db()
    assert instance.damage == "missing"
    assert damage_events() == 1
    runs.sweep_classifications()
    assert Classification.objects.count() == 1

    path.write_bytes(content)
    assert scrub_storage(everything=True).recovered == 1
    runs.sweep_classifications()
    runs.sweep_classifications()

    again = Classification.objects.current().get()
    assert (again.state, again.supersedes_id) == ("queued", row.pk)
    assert Classification.objects.count() == 2
    tasks.classify_next("routine")
    again.refresh_from_db()
    assert again.state == "awaiting_review"


def test_study_with_another_file_still_lost_is_left_alone(department, model, directory):
    row = queue_chest(department)
    Classification.objects.filter(pk=row.pk).update(
        state="failed",
        failure_code="file_missing",
        finished_at=timezone.now() - dt.timedelta(hours=1),
    )
    series = row.study.series.get()
    factories.make_instance(series=series, content=b"lost", damage="missing")
    Instance.objects.filter(damage="").update(healed_at=timezone.now())

    assert runs.sweep_classifications()["resumed"] == 0

    Instance.objects.update(damage="")
    assert runs.sweep_classifications()["resumed"] == 1
