"""What becomes of good files: rows, messages, events."""

import hashlib
import io

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from accounts.models import AuditEvent
from records.choices import Action, Priority, StudyState, SubmissionState
from records.errors import FileNotTaken
from records.files.sandboxed import sandbox
from records.models import Instance, Patient, Series, Study, SubmissionFile
from records.services import DeclaredFields
from tests.dicom.files import make_dicom, make_report

pytestmark = pytest.mark.django_db


def test_receive_file_stores_the_very_bytes_under_their_hash(send_one):
    content = make_dicom()

    verdict = send_one(content)

    digest = hashlib.sha256(content).hexdigest()
    assert (verdict.verdict, verdict.code) == ("stored", "stored")
    instance = Instance.objects.get()
    assert instance.sha256 == instance.source_sha256 == digest
    assert instance.file.name == f"{digest[:2]}/{digest[2:4]}/{digest}.dcm"
    with instance.file.open("rb") as stored:
        assert stored.read() == content


def test_submit_study_fills_every_row_from_the_header(send_one):
    send_one(
        make_dicom(
            PatientName="Müller^Jürgen",
            StudyDescription="Thorax nativ",
            SeriesDescription="Lung 1.0",
            AccessionNumber="A-77",
            StudyDate="2026.02.03",
            StudyTime="101112.5",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, -42.5],
            WindowCenter=[40, 50],
            WindowWidth=[400, 350],
        ),
    )

    patient, study = Patient.objects.get(), Study.objects.get()
    series, instance = Series.objects.get(), Instance.objects.get()
    assert (patient.mrn, patient.name, str(patient.birth_date)) == (
        "P-1",
        "Müller^Jürgen",
        "1980-02-29",
    )
    assert (study.modalities, study.body_part, study.accession_number) == (["CT"], "CHEST", "A-77")
    assert (str(study.study_date), str(study.study_time)) == ("2026-02-03", "10:11:12.500000")
    assert study.instance_count == 1
    assert series.description == "Lung 1.0"
    assert (instance.slice_position, instance.window_center, instance.window_width) == (
        -42.5,
        40,
        400,
    )
    assert (instance.rows, instance.number_of_frames, instance.exclusion) == (16, 1, "")


def test_receive_file_again_changes_nothing_but_says_so(send_one):
    content = make_dicom()
    first = send_one(content)

    again = send_one(content)

    assert (again.verdict, again.instance) == ("duplicate", first.instance)
    assert again.submission.state == SubmissionState.STORED
    assert Study.objects.get().instance_count == Instance.objects.count() == 1
    assert AuditEvent.objects.filter(action=Action.FILE_DUPLICATE).count() == 1
    assert AuditEvent.objects.filter(action=Action.STUDY_COMPLETED).count() == 1


def test_same_data_set_in_another_wrapping_is_the_same_object(send_one):
    """As when a modality sends by C-STORE what somebody uploads from a disc as well."""
    content = make_dicom()
    first = send_one(content)
    rewrapped = dcmread(io.BytesIO(content))
    rewrapped.file_meta.ImplementationVersionName = "OTHER"
    rewrapped.file_meta.PrivateInformationCreatorUID = "1.2.3"
    rewrapped.file_meta.PrivateInformation = b"of any length"
    buffer = io.BytesIO()
    rewrapped.save_as(buffer)

    again = send_one(buffer.getvalue())

    assert (again.verdict, again.instance) == ("duplicate", first.instance)
    assert again.sha256 != first.sha256


def test_declared_fields_fill_gaps_and_replace_nothing(send_one):
    declared = DeclaredFields(
        patient_id="P-1", patient_name="Someone^Else", study_description="X", modality="MR"
    )

    send_one(make_dicom(PatientSex=""), declared=declared)

    study = Study.objects.get()
    assert study.patient.name == "Muster^Erika"
    assert study.description == "X"
    assert study.modalities == ["CT"]


def test_declared_patient_fills_nothing_when_the_file_names_another(send_one):
    declared = DeclaredFields(patient_id="P-2", patient_name="Someone^Else", sex="M")

    verdict = send_one(make_dicom(PatientName=None, PatientSex=None), declared=declared)

    patient = Patient.objects.get()
    assert (patient.mrn, patient.name, patient.sex) == ("P-1", "", "")
    assert verdict.code == "other_patient_id"
    assert "P-1" in verdict.message
    assert "P-2" in verdict.message


def test_file_without_patient_gets_a_temporary_record(send_one):
    verdict = send_one(make_dicom(PatientID=None, PatientName=None))

    patient = Patient.objects.get()
    assert verdict.code == "patient_unknown"
    assert not patient.is_identified
    assert patient.mrn.startswith("TEMP-")
    assert patient.mrn in verdict.message


@pytest.mark.parametrize("named_first", [True, False])
def test_study_takes_the_patient_of_whichever_file_names_one(send, named_first):
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    files = [
        ("named", make_dicom(**uids)),
        ("nameless", make_dicom(PatientID=None, PatientName=None, **uids)),
    ]

    submission = send(*(files if named_first else reversed(files)))

    assert submission.state == SubmissionState.STORED
    assert Study.objects.get().patient.mrn == "P-1"
    assert Patient.objects.count() == 1


@pytest.mark.parametrize("start", ["group 2", "group 8"])
def test_bare_data_set_is_wrapped_and_otherwise_unchanged(send_one, start):
    whole = make_dicom()
    bare = whole[132:] if start == "group 2" else whole[whole.index(b"\x08\x00\x05\x00") :]

    verdict = send_one(bare)
    again = send_one(bare)

    instance = Instance.objects.get()
    assert (verdict.code, again.code) == ("stored", "duplicate")
    assert instance.source_sha256 == hashlib.sha256(bare).hexdigest()
    with instance.file.open("rb") as stored:
        content = stored.read()
    assert content[128:132] == b"DICM"
    assert content.endswith(bare)


def test_report_is_stored_and_excluded(send_one):
    verdict = send_one(make_report())

    instance = Instance.objects.get()
    assert (verdict.verdict, verdict.code) == ("stored", "not_an_image")
    assert "Basic Text SR" in verdict.message
    assert (instance.number_of_frames, instance.exclusion) == (0, "not_an_image")
    assert not Instance.objects.classifiable().exists()


def test_unknown_transfer_syntax_is_stored_and_excluded(send_one):
    content = make_dicom().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")

    verdict = send_one(content)

    assert (verdict.verdict, verdict.code) == ("stored", "unsupported_transfer_syntax")


def test_constant_image_is_stored_and_excluded(send_one):
    verdict = send_one(make_dicom(PixelData=b"\7\0" * 256))

    assert (verdict.verdict, verdict.code) == ("stored", "constant_image")


def test_late_image_reopens_the_study_until_its_batch_closes(send_one):
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    send_one(make_dicom(**uids))

    send_one(make_dicom(**uids))

    study = Study.objects.get()
    assert (study.state, study.instance_count) == (StudyState.COMPLETE, 2)
    events = AuditEvent.objects.about_study(study.pk)
    actions = events.exclude(action__startswith="classification.")
    assert list(actions.values_list("action", flat=True)) == [
        "file.stored",
        "study.completed",
        "file.stored",
        "study.reopened",
        "study.completed",
    ]


def test_urgent_batch_makes_its_study_urgent(send_one):
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    send_one(make_dicom(**uids))

    send_one(make_dicom(**uids), priority=Priority.URGENT)

    assert Study.objects.get().priority == Priority.URGENT


def test_events_hold_no_name_of_patient_or_file(send):
    send(
        ("Muster_Erika.dcm", make_dicom()),
        ("Muster_Erika.txt", b"nothing"),
        declared=DeclaredFields(patient_name="Muster^Erika", patient_id="P-1"),
    )

    for event in AuditEvent.objects.all():
        assert "Muster" not in str(event.details) + event.target_id


def test_unknown_failure_is_raised_with_a_reference_once_the_others_are_filed(
    send, monkeypatch, caplog
):

    broken, good = make_dicom(InstanceNumber=13), make_dicom()
    examine = sandbox.examine

    def fail_once(stream):
        examined = examine(stream)
        if examined.header.stated.numbers["InstanceNumber"] == 13:
            raise ZeroDivisionError
        return examined

    monkeypatch.setattr(sandbox, "examine", fail_once)

    with pytest.raises(FileNotTaken) as caught:
        send(("Muster.dcm", broken), ("b", good))

    assert [file.verdict for file in SubmissionFile.objects.all()] == ["stored"]
    assert caught.value.context["reference"] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "Muster" not in caplog.text
