"""How studies leave and come back: deletion, legal holds, destruction, and what is sent again."""

import datetime as dt
import re
from typing import Any

import pytest
from django.core.files.storage import storages
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from pydicom.datadict import DicomDictionary

from accounts.errors import NotYourDepartment
from accounts.models import AuditEvent, User
from accounts.roles import Role
from records import errors, tasks
from records.choices import Action, StudyState
from records.dicom.attributes import ATTRIBUTES, Level
from records.models import (
    Instance,
    LegalHold,
    Patient,
    Series,
    Study,
    StudyTombstone,
    UnreferencedFile,
)
from records.services import (
    apply_retention,
    complete_idle_studies,
    delete_study,
    hold_study,
    lift_hold,
    restore_study,
)
from tests.dicom.files import make_dicom, make_item
from tests.dicom.saying import make_telling_dicom
from tests.factories import make_department, make_patient, make_study, make_user

pytestmark = pytest.mark.django_db

LONG_AGO = dt.timedelta(days=91)
TEXTS = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}
DESCRIPTIVE = {0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040}
"""The groups of patient, study, equipment and request (PS3.6)."""

READ_AS_A_CODE = {
    *("ImageType", "Modality", "PatientSex", "PhotometricInterpretation", "SpecificCharacterSet"),
    *("PatientID", "PatientName"),
}
"""What an image can't be read without, and who the patient is: their record stays."""

OUTLIVING = {
    *("StudyDate", "StudyTime", "TimezoneOffsetFromUTC", "ModalitiesInStudy", "Modality"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    *("SeriesNumber", "InstanceNumber", "SOPClassUID", "AvailableTransferSyntaxUID"),
    *("Rows", "Columns", "BitsStored", "NumberOfFrames", "PhotometricInterpretation"),
}
"""What stays beside a destroyed study's answers: dates, numbers, and what images of it were."""


@pytest.fixture
def reviewer(department) -> User:
    return make_user(Role.REVIEWER, Role.TECHNICIAN, department=department)


@pytest.fixture
def administrator() -> User:
    return make_user(Role.ADMINISTRATOR)


@pytest.fixture
def content() -> bytes:
    return make_dicom()


@pytest.fixture
def study(send_one, content) -> Study:
    return send_one(content).study


def delete(study: Study, reviewer: User, *, ago: dt.timedelta | None = None) -> Study:
    deleted = delete_study(actor=reviewer, study=study, reason="Sent by mistake")
    if ago:
        Study.objects.filter(pk=study.pk).update(deleted_at=timezone.now() - ago)
    deleted.refresh_from_db()
    return deleted


def events(action: Action) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))


def test_delete_study_takes_it_out_of_sight_and_says_why(study, reviewer):
    delete(study, reviewer)

    for model in (Study, Series, Instance, Patient):
        assert not model.objects.visible_to(reviewer).exists()
    assert list(Study.objects.restorable_by(reviewer)) == [study]
    (event,) = events(Action.STUDY_DELETED)
    assert (event.study_id, event.details["reason"]) == (study.pk, "Sent by mistake")


def test_delete_study_again_changes_nothing(study, reviewer):
    first = delete(study, reviewer)
    second = delete_study(actor=reviewer, study=study, reason="Once more")

    assert (second.deletion_reason, second.deleted_at) == ("Sent by mistake", first.deleted_at)
    assert len(events(Action.STUDY_DELETED)) == 1


@pytest.mark.parametrize(
    ("reason", "error"), [("  \n", errors.ReasonMissing), ("x" * 401, errors.ReasonTooLong)]
)
def test_delete_study_is_refused_without_a_fitting_reason(study, reviewer, reason, error):
    with pytest.raises(error):
        delete_study(actor=reviewer, study=study, reason=reason)

    assert list(Study.objects.visible_to(reviewer)) == [study]


def test_delete_and_restore_are_refused_to_others(study, technician, reviewer):
    elsewhere = make_user(Role.REVIEWER, department=make_department())
    for person in (technician, elsewhere):
        with pytest.raises(NotYourDepartment):
            delete_study(actor=person, study=study, reason="x")
    deleted = delete(study, reviewer)
    for person in (technician, elsewhere):
        with pytest.raises(NotYourDepartment):
            restore_study(actor=person, study=deleted)


def test_restore_study_brings_everything_back(study, reviewer):
    deleted = delete(study, reviewer)

    restore_study(actor=reviewer, study=deleted)

    assert list(Study.objects.visible_to(reviewer)) == [study]
    assert Instance.objects.visible_to(reviewer).count() == 1
    assert Patient.objects.visible_to(reviewer).count() == 1
    (event,) = events(Action.STUDY_RESTORED)
    assert event.details["reason"] == "Sent by mistake"


def test_restore_study_is_refused_when_it_is_not_deleted(study, reviewer):
    with pytest.raises(errors.StudyNotDeleted):
        restore_study(actor=reviewer, study=study)


def test_database_refuses_a_deletion_without_reason(study):
    with pytest.raises(IntegrityError), transaction.atomic():
        Study.objects.filter(pk=study.pk).update(deleted_at=timezone.now())


def test_open_study_is_not_completed_while_it_is_deleted(study, reviewer):
    long_ago = timezone.now() - dt.timedelta(hours=1)
    Study.objects.update(state=StudyState.OPEN, last_received_at=long_ago)
    deleted = delete(study, reviewer)

    assert complete_idle_studies() == 0

    restore_study(actor=reviewer, study=deleted)
    assert complete_idle_studies() == 1


def test_same_file_is_refused_while_its_study_is_deleted(study, reviewer, send_one, content):
    delete(study, reviewer)

    file = send_one(content)

    assert (file.verdict, file.code) == ("rejected", "study_deleted")
    assert "restore it" in file.action
    (event,) = events(Action.FILE_REJECTED)
    assert event.study_id == study.pk


def test_late_image_is_refused_while_its_study_is_deleted(study, reviewer, send_one):
    delete(study, reviewer)

    file = send_one(make_dicom(StudyInstanceUID=study.study_instance_uid))

    assert (file.verdict, file.code) == ("rejected", "study_deleted")
    assert Instance.objects.count() == 1


def test_other_departments_are_not_told_that_a_study_was_deleted(
    study, reviewer, send_one, content, stranger
):
    delete(study, reviewer)

    file = send_one(content, actor=stranger, department=stranger.departments.get())

    assert file.code == "stored"
    assert file.study != study


def test_apply_retention_destroys_what_was_deleted_long_ago(study, reviewer, content, send_one):
    deleted = delete(study, reviewer, ago=LONG_AGO)
    instance = Instance.objects.get()
    uids = (study.study_instance_uid, instance.sop_instance_uid)
    held_files = [instance.file.name]

    assert apply_retention() == {"deleted": 0, "purged": 1}
    assert apply_retention() == {"deleted": 0, "purged": 0}

    assert not any(storages["images"].exists(name) for name in held_files)
    assert not UnreferencedFile.objects.exists()
    tombstone = StudyTombstone.objects.get()
    (object_,) = tombstone.instances
    assert (tombstone.study_instance_uid, object_["sop_instance_uid"]) == uids
    assert object_["sha256"] == instance.sha256
    assert tombstone.deletion_reason == "Sent by mistake"
    assert tombstone.deleted_at == deleted.deleted_at
    deleted.refresh_from_db()
    assert deleted.purged_at
    assert str(deleted.study_instance_uid).startswith("purged.")
    assert not Study.objects.restorable_by(reviewer).exists()
    with pytest.raises(errors.StudyNotDeleted):
        restore_study(actor=reviewer, study=deleted)
    assert len(events(Action.STUDY_PURGED)) == len(events(Action.STUDY_DELETED)) == 1
    assert deleted.submission_files.get().name == "(destroyed)"


def test_apply_retention_empties_what_identifies_in_the_rows(send_one, reviewer):
    order = make_item(ScheduledProcedureStepID="S1", RequestedProcedureID="R1")
    study = send_one(
        make_dicom(
            ReferringPhysicianName="Yamada^Tarou=山田^太郎=やまだ^たろう",
            StudyID="RAD-7",
            RequestAttributesSequence=[order],
        )
    ).study
    assert study.referring_physician_search_name

    delete(study, reviewer, ago=LONG_AGO)
    apply_retention()

    study.refresh_from_db()
    assert (study.study_id, str(study.referring_physician)) == ("", "")
    assert study.referring_physician_search_name == ""
    assert study.series.get().request_attributes == []


def test_no_text_of_the_file_is_left_of_a_destroyed_study(send_one, reviewer):
    """Whatever attribute a sender misuses: a name typed into the view's code is a name."""
    texts = {
        keyword: f"LEFT{tag:08X}"
        for tag, (vr, multiplicity, _, retired, keyword) in DicomDictionary.items()
        if keyword and not retired and vr in TEXTS and multiplicity.startswith("1")
        if keyword not in READ_AS_A_CODE and tag >> 16 in DESCRIPTIVE
    }
    request = make_item(ScheduledProcedureStepID="LEFTSTEP", RequestedProcedureID="LEFTPROCEDURE")
    study = send_one(make_dicom(**texts, RequestAttributesSequence=[request])).study
    keywords = {text: keyword for keyword, text in texts.items()}
    stored = {keywords.get(text, text) for text in read_texts("LEFT")}
    # "LEFT" alone is what Patient's Age has room for.
    expected = {"ViewPosition", "BodyPartExamined", "Laterality", "StudyID", "LEFTSTEP", "LEFT"}
    assert expected <= stored

    delete(study, reviewer, ago=LONG_AGO)
    apply_retention()

    # The issuer is the patient's, whose record stays.
    left = {keywords.get(text, text) for text in read_texts("LEFT")}
    assert left == {"IssuerOfPatientID"}


def test_nothing_of_the_table_of_attributes_outlives_its_study_but_what_is_named(
    send_one, reviewer
):
    study = send_one(make_telling_dicom()).study
    before = read_table(study)
    assert [key for key, value in before.items() if not value] == []

    delete(study, reviewer, ago=LONG_AGO)
    apply_retention()

    after = read_table(study)
    assert {key[0] for key in after if after[key] == before[key]} == OUTLIVING
    renamed = {key[0] for key in after if after[key] and after[key] != before[key]}
    assert renamed == {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}


def test_the_patient_s_record_stays_after_their_last_study(send_one, reviewer):
    study = send_one(make_telling_dicom()).study
    before = Patient.objects.values("mrn", "issuer", "name", "birth_date", "sex").get()

    delete(study, reviewer, ago=LONG_AGO)
    apply_retention()

    assert Patient.objects.values("mrn", "issuer", "name", "birth_date", "sex").get() == before


def read_table(study: Study) -> dict[tuple[str, str], Any]:
    """What the study's rows hold, by attribute and column."""
    instance = Instance.objects.select_related("series__study").get(series__study=study)
    series = instance.series
    rows = {Level.STUDY: series.study, Level.SERIES: series, Level.INSTANCE: instance}
    return {
        (one.keyword, column): getattr(rows[one.level], column)
        for one in ATTRIBUTES
        for column in one.columns
    }


def read_texts(beginning: str) -> set[str]:
    """The words in any row of any table that begin so."""
    found: set[str] = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT row_to_json(one)::text FROM "{table}" one')
            for (row,) in cursor.fetchall():
                found.update(re.findall(rf"{beginning}\w*", row))
    return found


def test_study_is_taken_in_as_new_after_it_was_destroyed(study, reviewer, content, send_one):
    delete(study, reviewer, ago=LONG_AGO)
    tasks.apply_retention()

    file = send_one(content)

    assert (file.verdict, file.code) == ("stored", "stored")
    assert file.study != study
    assert file.study.study_instance_uid == StudyTombstone.objects.get().study_instance_uid
    with file.instance.file.open("rb") as stream:
        assert stream.read() == content


def test_apply_retention_leaves_what_was_deleted_lately(study, reviewer):
    delete(study, reviewer, ago=LONG_AGO - dt.timedelta(days=2))

    assert apply_retention()["purged"] == 0
    assert storages["images"].exists(Instance.objects.get().file.name)


def test_apply_retention_keeps_a_file_that_another_study_has_too(department, reviewer):
    """Contents are stored once, whoever points to them."""
    one, other = (make_study(department=department, content=b"same") for _ in range(2))
    shared = Instance.objects.get(series__study=one).file.name
    Instance.objects.filter(series__study=other).update(file=shared)
    delete(one, reviewer, ago=LONG_AGO)

    assert apply_retention()["purged"] == 1

    assert storages["images"].exists(shared)


def test_apply_retention_goes_on_after_one_that_fails(department, reviewer, caplog):
    studies = [make_study(department=department) for _ in range(2)]
    for study in studies:
        delete(study, reviewer, ago=LONG_AGO)
    broken = studies[0]
    StudyTombstone.objects.create(
        study=broken,
        study_instance_uid="1.2",
        instances=[],
        received_at=broken.received_at,
        deleted_at=timezone.now(),
        deletion_reason="x",
        purged_at=timezone.now(),
    )

    assert apply_retention()["purged"] == 1

    assert str(broken.pk) in caplog.text
    assert Study.objects.get(pk=broken.pk).purged_at is None


def test_tombstone_can_be_neither_changed_nor_deleted(study, reviewer):
    delete(study, reviewer, ago=LONG_AGO)
    apply_retention()

    for change in (
        lambda: StudyTombstone.objects.update(deletion_reason="x"),
        lambda: StudyTombstone.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


@pytest.mark.parametrize("by", ["study_instance_uid", "accession_number"])
def test_hold_study_forbids_deletion_until_it_is_lifted(study, reviewer, administrator, by):
    Study.objects.update(accession_number="A-17")
    study.refresh_from_db()

    (hold,) = hold_study(actor=administrator, given=f" {getattr(study, by)} ", reason="Case 4")

    with pytest.raises(errors.StudyHeld):
        delete(study, reviewer)
    lift_hold(actor=administrator, hold=hold, reason="Case closed")
    delete(study, reviewer)
    assert [event.details["reason"] for event in events(Action.STUDY_HELD)] == ["Case 4"]
    assert [event.details["reason"] for event in events(Action.STUDY_RELEASED)] == ["Case closed"]
    with pytest.raises(errors.HoldLifted):
        lift_hold(actor=administrator, hold=hold, reason="Again")


def test_hold_study_keeps_a_deleted_study_from_being_destroyed(study, reviewer, administrator):
    delete(study, reviewer, ago=LONG_AGO)
    one, other = (
        hold_study(actor=administrator, given=study.study_instance_uid, reason=reason)[0]
        for reason in ("Case 4", "Case 5")
    )

    assert apply_retention()["purged"] == 0
    lift_hold(actor=administrator, hold=one, reason="Closed")
    assert apply_retention()["purged"] == 0
    lift_hold(actor=administrator, hold=other, reason="Closed")
    assert apply_retention()["purged"] == 1


@pytest.mark.parametrize("given", ["", "1.2.3", "A-17"])
def test_hold_study_is_refused_for_what_is_not_there(study, administrator, given):
    with pytest.raises(errors.NoSuchStudy):
        hold_study(actor=administrator, given=given, reason="Case 4")

    assert not LegalHold.objects.exists()


def test_studies_are_kept_for_ever_unless_a_retention_is_set(department, settings):
    old = make_study(department=department, study_date=dt.date(2001, 2, 28))
    make_study(department=department, study_date=timezone.localdate())
    undated = make_study(department=department)
    Study.objects.filter(pk=undated.pk).update(received_at=timezone.now() - dt.timedelta(days=9000))

    assert not Study.objects.past_retention().exists()
    settings.RETENTION_YEARS = 10

    assert set(Study.objects.past_retention()) == {old, undated}
    assert apply_retention() == {"deleted": 0, "purged": 0}


def test_apply_retention_deletes_what_is_due_when_that_is_automatic(
    department, settings, administrator
):
    settings.RETENTION_YEARS, settings.RETENTION_AUTOMATIC = 10, True
    due, held = (
        make_study(department=department, study_date=dt.date(2001, 2, 28)) for _ in range(2)
    )
    hold_study(actor=administrator, given=held.study_instance_uid, reason="Case 4")

    assert apply_retention() == {"deleted": 1, "purged": 0}

    due.refresh_from_db()
    held.refresh_from_db()
    assert due.deletion_reason == "Kept for 10 years, as the retention rule says."
    assert (due.deleted_by, held.deleted_at) == (None, None)
    (event,) = events(Action.STUDY_DELETED)
    assert event.actor_kind == "system"


def test_patient_of_a_deleted_study_is_counted_without_it(department, reviewer):
    patient = make_patient()
    one, _ = (make_study(department=department, patient=patient) for _ in range(2))
    delete(one, reviewer)

    found = Patient.objects.visible_to(reviewer).with_counts(reviewer).get()

    assert (found, found.study_count) == (patient, 1)
