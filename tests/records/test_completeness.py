"""When a study is whole: images in any order, by any doors, with pauses, copies and crashes.

Time is virtual: what the database holds is made older, nobody sleeps.
"""

import datetime as dt
import io
import random

import pytest
from django.conf import settings
from django.db.models import F
from pydicom.uid import generate_uid

from accounts.models import AuditEvent
from classifier.models import Classification
from records.choices import Action, Origin, StudyState, SubmissionState
from records.dimse.session import Session
from records.models import Instance, Study, Submission
from records.services import (
    close_submission,
    complete_idle_studies,
    open_submission,
    receive_file,
    sweep_submissions,
)
from tests.dicom.files import make_dicom
from tests.factories import make_model_version, make_node

pytestmark = pytest.mark.django_db

STEP_S = 30
IDLE_S = settings.STUDY_IDLE_AFTER.total_seconds()


class Association:
    """A sender that never says where a study ends."""

    def __init__(self, department) -> None:
        self.session = Session(address="10.0.0.1", node=make_node(department=department))

    def send(self, content: bytes) -> None:
        self.session.receive(name="a", stream=io.BytesIO(content))

    def beat(self) -> None:
        self.session.touch()

    def end(self) -> None:
        self.session.close()


class Upload:
    """A sender whose end says that its studies are whole."""

    def __init__(self, technician, department) -> None:
        self.actor = technician
        self.submission = open_submission(
            actor=technician, department=department, origin=Origin.WEB
        )

    def send(self, content: bytes) -> None:
        receive_file(
            actor=self.actor, submission=self.submission, name="a", stream=io.BytesIO(content)
        )

    def beat(self) -> None:
        """Nobody keeps an upload alive but its files."""

    def end(self) -> None:
        close_submission(actor=self.actor, submission=self.submission)


def make_slices(count: int, *, modality: str = "CT") -> list[bytes]:
    """A study that no two of these have in common."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    return [make_dicom(InstanceNumber=number, Modality=modality, **uids) for number in range(count)]


def pass_time(seconds: float, *alive: Association | Upload) -> None:
    """Let time pass in steps, with everything that goes by the clock."""
    while seconds > 0:
        step = dt.timedelta(seconds=min(seconds, STEP_S))
        seconds -= STEP_S
        Study.objects.update(last_received_at=F("last_received_at") - step)
        Submission.objects.update(touched_at=F("touched_at") - step)
        for sender in alive:
            sender.beat()
        sweep_submissions()
        complete_idle_studies()
        check_one_current_each()


def check_one_current_each() -> None:
    """A study that was ever complete has one current answer per task, and keeps the others."""
    for study in Study.objects.all():
        rows = Classification.objects.filter(study=study)
        ends = AuditEvent.objects.filter(action=Action.STUDY_COMPLETED, study_id=study.pk)
        assert rows.count() == ends.count()
        assert rows.current().count() == min(1, rows.count())
        if study.state == StudyState.COMPLETE:
            newest = rows.current().get()
            received = Instance.objects.filter(series__study=study).latest("created_at")
            assert newest.queued_at >= received.created_at


@pytest.fixture(autouse=True)
def _model(db):
    make_model_version(task="lung-ct")


@pytest.fixture
def association(department) -> Association:
    return Association(department)


def test_study_is_not_complete_during_a_long_pause_of_its_association(association):
    first, second = make_slices(2)
    association.send(first)
    pass_time(10 * IDLE_S, association)
    assert Study.objects.get().state == StudyState.OPEN

    association.send(second)
    association.end()
    pass_time(IDLE_S / 2)
    assert Study.objects.get().state == StudyState.OPEN
    pass_time(IDLE_S)

    assert Study.objects.get().state == StudyState.COMPLETE
    assert Classification.objects.get().task == "lung-ct"
    assert Study.objects.get().instance_count == 2


def test_study_is_complete_though_an_association_is_open_that_brought_nothing_of_it(
    association, department
):
    other = Association(department)
    other.send(make_slices(1)[0])
    [content] = make_slices(1)
    association.send(content)
    association.end()
    pass_time(2 * IDLE_S, other)

    states = Study.objects.order_by("received_at").values_list("state", flat=True)
    assert list(states) == [StudyState.OPEN, StudyState.COMPLETE]


def test_late_image_opens_the_study_again_and_supersedes_its_answer(association, department):
    first, late = make_slices(2)
    association.send(first)
    association.end()
    pass_time(2 * IDLE_S)
    old = Classification.objects.get()

    again = Association(department)
    again.send(late)
    assert Study.objects.get().state == StudyState.OPEN
    again.end()
    pass_time(2 * IDLE_S)

    old.refresh_from_db()
    assert old.state == "superseded"
    new = Classification.objects.current().get()
    assert new.supersedes == old
    assert Study.objects.get().state == StudyState.COMPLETE


def test_copy_of_a_held_image_opens_nothing(association, department):
    [content] = make_slices(1)
    association.send(content)
    association.end()
    pass_time(2 * IDLE_S)
    again = Association(department)
    again.send(content)

    assert Study.objects.get().state == StudyState.COMPLETE
    assert Classification.objects.count() == 1


def test_end_of_an_upload_completes_at_once(technician, department):
    upload = Upload(technician, department)
    upload.send(make_slices(1)[0])
    upload.end()
    assert Study.objects.get().state == StudyState.COMPLETE


def test_process_that_dies_in_an_association_holds_its_study_up_for_minutes_only(association):
    association.send(make_slices(1)[0])
    dead_after = settings.DICOM_ABANDONED_AFTER.total_seconds()
    pass_time(dead_after - STEP_S)
    assert Submission.objects.get().state == SubmissionState.RECEIVING
    assert Study.objects.get().state == StudyState.OPEN

    pass_time(3 * STEP_S)

    assert Submission.objects.get().state == SubmissionState.STORED
    assert Study.objects.get().state == StudyState.COMPLETE


def test_upload_without_a_heartbeat_is_given_the_longer_time(technician, department):
    upload = Upload(technician, department)
    upload.send(make_slices(1)[0])
    pass_time(2 * settings.DICOM_ABANDONED_AFTER.total_seconds())
    assert upload.submission.files.count() == 1
    assert Submission.objects.get().state == SubmissionState.RECEIVING


@pytest.mark.parametrize("seed", range(8))
def test_arrivals_of_any_kind_lose_nothing_and_end_in_one_answer(technician, department, seed):
    chance = random.Random(seed)
    contents = [slice_ for count in (4, 3) for slice_ in make_slices(count)]
    arrivals = contents + chance.sample(contents, 3)
    chance.shuffle(arrivals)
    alive: list[Association | Upload] = []
    for content in arrivals:
        if not alive or (len(alive) < 3 and chance.random() < 0.4):
            is_upload = chance.random() < 0.3
            alive.append(Upload(technician, department) if is_upload else Association(department))
        sender = chance.choice(alive)
        sender.send(content)
        fate = chance.random()
        if fate < 0.35:
            alive.remove(sender)
            sender.end()
        elif fate < 0.55:
            alive.remove(sender)  # it crashed: nobody ends it, nobody keeps it alive
        check_one_current_each()
        pass_time(chance.choice([0, 0, STEP_S, IDLE_S / 2, 2 * IDLE_S]), *alive)
    for sender in alive:
        sender.end()
    make_everything_older()

    assert Instance.objects.count() == len(contents)
    assert set(Study.objects.values_list("state", flat=True)) == {StudyState.COMPLETE}
    assert sorted(Study.objects.values_list("instance_count", flat=True)) == [3, 4]
    assert Classification.objects.current().count() == 2
    assert not Submission.objects.filter(state=SubmissionState.RECEIVING).exists()
    check_one_current_each()


def make_everything_older() -> None:
    """Let far more time pass than anything waits for."""
    Submission.objects.update(touched_at=F("touched_at") - dt.timedelta(days=1))
    pass_time(3 * IDLE_S)
