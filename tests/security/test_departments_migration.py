"""Data of before patients and UIDs were a department's own, carried over and back."""

import uuid

import pytest

BEFORE = [("records", "0012_quarantine_checked")]
AFTER = [("records", "0013_departments_apart")]


@pytest.fixture
def before(migrate):
    return migrate(BEFORE)


def make(apps, model, /, **fields):
    return apps.get_model("records", model).objects.create(**fields)


def make_study(apps, patient, department, uid):
    study = make(
        apps, "Study", study_instance_uid=uid, patient_id=patient.pk, department_id=department.pk
    )
    series = make(apps, "Series", study=study, series_instance_uid=f"{uid}.1")
    instance = make(
        apps, "Instance", series=series, sop_instance_uid=f"{uid}.2", size_bytes=1, sha256="0" * 64
    )
    return study, series, instance


def make_department(apps, slug):
    return apps.get_model("accounts", "Department").objects.create(name=slug, slug=slug)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_records_of_before_are_carried_over_and_back(migrate, before):
    a, b = (make_department(before, slug) for slug in ("a", "b"))
    own, shared = (make(before, "Patient", mrn=mrn, name="A^B") for mrn in ("1", "2"))
    study, series, instance = make_study(before, own, a, "1.1")
    for number, department in enumerate((a, b)):
        make_study(before, shared, department, f"1.2.{number}")

    after = migrate(AFTER)

    def row(name, old):
        return after.get_model("records", name).objects.get(pk=old.pk)

    assert row("Patient", own).department_id == a.pk
    assert row("Patient", shared).department_id is None
    assert row("Patient", shared).name == "A^B"
    assert row("Series", series).department_id == row("Instance", instance).department_id == a.pk

    # The same patient ID and UIDs in the other department.
    copy = make(after, "Patient", mrn="1", name="C^D", department_id=b.pk)
    twin, twin_series, twin_instance = make_study(after, copy, b, "1.1")
    assert row("Instance", twin_instance).department_id == b.pk

    again = migrate(BEFORE)

    kept = again.get_model("records", "Study").objects.get(study_instance_uid="1.1")
    assert kept.pk == study.pk
    assert again.get_model("records", "Study").objects.filter(pk=twin.pk).exists()
    one, two = again.get_model("records", "Patient").objects.filter(mrn="1").order_by("created_at")
    assert (one.qualifier, one.name, bool(two.qualifier), two.name) == ("", "A^B", True, "C^D")
    assert uuid.UUID(str(two.pk)) == copy.pk
