"""Query keys as filters: wildcards, ranges, lists, and what can't be asked."""

import datetime as dt

import pytest

from records.errors import QueryInvalid
from records.matching import Level, matches
from records.models import Instance, Series, Study
from tests.factories import make_patient, make_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(department):
    return make_study(
        department=department,
        patient=make_patient(
            mrn="A.100", name="Müller^Anna Maria", birth_date=dt.date(1980, 2, 29)
        ),
        modality="CT",
        accession_number="ACC-7",
        description="Thorax (nativ)",
        study_date=dt.date(2024, 3, 15),
        study_time=dt.time(10, 30, 15, 500000),
    )


def found(level: Level, **wanted: str) -> bool:
    model = {Level.STUDY: Study, Level.SERIES: Series, Level.IMAGE: Instance}[level]
    return model.objects.filter(matches(level, wanted)).exists()


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientName", "MÜLLER^ANNA*", True),
        ("PatientName", "Müller^Anna Maria^^", True),
        ("PatientName", "Müller", False),
        ("PatientName", "M?ller*", True),
        ("PatientName", "*anna*", True),
        ("PatientName", "", True),
        ("PatientName", "*", True),
        ("PatientID", "A.100", True),
        ("PatientID", "a.100", False),
        ("PatientID", "A?100", True),
        ("PatientID", "A*", True),
        ("PatientID", ".*", False),
        ("PatientID", "X\\A.100", True),
        ("StudyDescription", "Thorax (*)", True),
        ("StudyDescription", "thorax*", False),
        ("StudyDate", "20240315", True),
        ("StudyDate", "20240314", False),
        ("StudyDate", "20240301-20240331", True),
        ("StudyDate", "-20240315", True),
        ("StudyDate", "20240315-", True),
        ("StudyDate", "20240316-", False),
        ("StudyTime", "10", True),
        ("StudyTime", "1030", True),
        ("StudyTime", "103015.5", True),
        ("StudyTime", "103015", True),
        ("StudyTime", "103016", False),
        ("StudyTime", "1000-1030", True),
        ("StudyTime", "1031-", False),
        ("PatientBirthDate", "19800229", True),
        ("ModalitiesInStudy", "CT", True),
        ("ModalitiesInStudy", "MR\\CT", True),
        ("ModalitiesInStudy", "MR", False),
        ("StudyInstanceUID", "1.2.3", False),
        ("AccessionNumber", "ACC-7", True),
        ("ReferringPhysicianName", "unknown key", True),
    ],
)
def test_matches_follows_ps3_4(study, keyword, value, expected):
    assert found(Level.STUDY, **{keyword: value}) is expected


def test_matches_takes_lists_of_uids_and_keys_of_higher_levels(study):
    series = study.series.get()
    uids = f"1.2.3\\{study.study_instance_uid}"
    assert found(Level.SERIES, StudyInstanceUID=uids, Modality="CT", PatientID="A.*")
    assert found(
        Level.IMAGE,
        StudyInstanceUID=uids,
        SeriesInstanceUID=series.series_instance_uid,
        InstanceNumber="1",
    )
    assert not found(Level.IMAGE, StudyInstanceUID=uids, InstanceNumber="2")
    assert not found(Level.SERIES, StudyInstanceUID=uids, Modality="MR")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "2024-03-15"),
        ("StudyDate", "20241301"),
        ("StudyDate", "-"),
        ("StudyDate", "yesterday"),
        ("StudyTime", "25"),
        ("StudyInstanceUID", "1.2.*"),
        ("StudyInstanceUID", "1.2\x003"),
        ("ModalitiesInStudy", "C*"),
    ],
)
def test_matches_refuses_what_cannot_be_matched(keyword, value):
    with pytest.raises(QueryInvalid, match=keyword):
        matches(Level.STUDY, {keyword: value})


def test_matches_takes_signs_of_a_pattern_as_they_are_written(study):
    for value in ("Thorax .nativ.*", "Thorax (nativ", "[T]horax*", "Thorax (nativ)$"):
        assert not found(Level.STUDY, StudyDescription=value)
