"""Whether an answer tells a sender that another department holds a study, an image or a patient."""

import time

import pytest
from pydicom.uid import generate_uid

from accounts.models import User
from accounts.roles import Role
from records.models import Instance, Study
from tests.factories import make_node, make_user
from tests.security.doors import (
    DOORS,
    ERIKA,
    by_rest,
    by_stow,
    dicom,
    everything_seen,
    last_verdict,
    uids_of,
)
from tests.security.links import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def theirs(dermatology) -> User:
    return make_user(Role.TECHNICIAN, department=dermatology)


@pytest.fixture
def held(radiology) -> dict[str, str]:
    """The UIDs of what Radiology holds."""
    content = dicom(**ERIKA)
    user = make_user(Role.TECHNICIAN, department=radiology)
    by_rest(signed_in(user), user, radiology, content)
    return uids_of(content)


NAMES = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
KNOWN = {
    "all": NAMES,
    "study": ("StudyInstanceUID",),
    "series": ("SeriesInstanceUID",),
    "image": ("SOPInstanceUID",),
    "none": (),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("known", KNOWN)
def test_a_uid_of_another_department_is_answered_as_a_new_one(
    radiology, dermatology, theirs, held, known, door
):
    content = dicom(PatientID="P-9", **{name: held[name] for name in KNOWN[known]})
    client = signed_in(theirs)

    DOORS[door](client, theirs, dermatology, content)
    verdict = last_verdict(dermatology)

    assert (verdict.verdict, verdict.code, verdict.message) == ("stored", "stored", "Stored.")
    study = Study.objects.get(department=dermatology)
    assert client.get(study.get_absolute_url()).status_code == 200
    address = f"/dicomweb/studies/{study.study_instance_uid}"
    assert client.get(address).status_code == 200
    assert Study.objects.get(department=radiology).instance_count == 1


@pytest.mark.parametrize("door", DOORS)
def test_the_very_bytes_of_another_department_are_stored_again(
    radiology, dermatology, theirs, held, door
):
    content = dicom(**ERIKA, **held)
    for _ in range(2):
        DOORS[door](signed_in(theirs), theirs, dermatology, content)

    verdicts = dermatology.submissions.order_by("created_at").values_list("files__code", flat=True)
    assert list(verdicts) == ["stored", "duplicate"]
    assert Instance.objects.filter(sop_instance_uid=held["SOPInstanceUID"]).count() == 2


def test_a_deleted_study_of_another_department_is_answered_as_a_new_one(
    radiology, dermatology, theirs, held
):
    reviewer = make_user(Role.REVIEWER, department=radiology)
    uid = held["StudyInstanceUID"]
    assert signed_in(reviewer).delete(f"/dicomweb/studies/{uid}?reason=Wrong").status_code == 204

    by_stow(signed_in(theirs), theirs, dermatology, dicom(StudyInstanceUID=uid))

    assert last_verdict(dermatology).code == "stored"


@pytest.mark.parametrize("name", ["", "Muster^Erika", "Else^Who"])
@pytest.mark.parametrize("issuer", ["", "HOSP"])
def test_an_id_of_another_department_is_answered_as_a_new_one(
    dermatology, theirs, held, name, issuer
):
    client = signed_in(theirs)
    verdicts, rows = [], []
    for patient_id in ("P-1", "P-2"):
        stated = {"PatientID": patient_id, "PatientName": name, "IssuerOfPatientID": issuer}
        by_rest(client, theirs, dermatology, dicom(**stated))
        verdict = last_verdict(dermatology)
        verdicts.append((verdict.verdict, verdict.code, verdict.message, verdict.action))
        listed = client.get("/api/v1/patients/").json()["results"]
        (row,) = [row for row in listed if row["patient_id"] == patient_id]
        rows.append({key: row[key] for key in ("name", "birth_date", "sex")})

    assert verdicts[0] == verdicts[1]
    assert rows[0] == rows[1]
    assert "held by several" not in everything_seen(client)
    assert client.get("/api/v1/conflicts/").json()["results"] == []


def test_quarantine_of_another_department_is_not_shared(radiology, dermatology, theirs, held):
    """Bytes that Radiology keeps apart already are kept apart for the other department too."""
    user = make_user(Role.TECHNICIAN, department=radiology)
    changed = dicom(**ERIKA, Rows=8, Columns=32, **held)
    by_rest(signed_in(user), user, radiology, changed)
    assert last_verdict(radiology).code == "uid_conflict"
    by_rest(signed_in(theirs), theirs, dermatology, dicom(**ERIKA, **held))

    by_rest(signed_in(theirs), theirs, dermatology, changed)

    verdict = last_verdict(dermatology)
    assert verdict.code == "uid_conflict"
    assert verdict.quarantined_files.get().submission.department == dermatology


def test_who_sees_the_study_is_told_that_it_is_held(radiology, dermatology, held):
    both = make_user(Role.TECHNICIAN, department=dermatology)
    both.memberships.create(role=Role.TECHNICIAN, department=radiology)

    by_rest(signed_in(both), both, dermatology, dicom(**ERIKA, **held))

    assert last_verdict(dermatology).code == "held_by_other_department"
    assert not Study.objects.filter(department=dermatology).exists()


def test_a_node_finds_its_own_departments_study(radiology, dermatology, theirs, held):
    by_rest(signed_in(theirs), theirs, dermatology, dicom(PatientID="P-9", **held))

    for department, patient_id in ((radiology, "P-1"), (dermatology, "P-9")):
        study = Study.objects.visible_to_node(make_node(department=department)).get()
        assert study.patient.mrn == patient_id


@pytest.mark.slow
def test_time_tells_nothing_of_a_uid(dermatology, theirs, held):
    client, seconds = signed_in(theirs), {"held": [], "new": []}
    for number in range(12):
        for kind in seconds:
            uid = held["StudyInstanceUID"] if kind == "held" else generate_uid()
            content = dicom(PatientID=f"T-{number}-{kind}", StudyInstanceUID=uid)
            started = time.monotonic()
            by_rest(client, theirs, dermatology, content)
            seconds[kind].append(time.monotonic() - started)
            sent = Study.objects.filter(department=dermatology, study_instance_uid=uid)
            sent.update(study_instance_uid=generate_uid())
    medians = {kind: sorted(taken)[len(taken) // 2] for kind, taken in seconds.items()}
    assert 0.5 < medians["held"] / medians["new"] < 2
