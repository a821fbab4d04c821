"""Query keys as filters: wildcards, ranges, lists, and what can't be asked."""

import datetime as dt

import pytest

from records.dicom.attributes import Level
from records.dicom.names import PersonName
from records.errors import ParameterInvalid
from records.models import Study
from records.query.matching import matching_items
from records.query.rows import MODELS
from records.query.searching import narrow, read_keys
from tests.factories import make_patient, make_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(department):
    return make_study(
        department=department,
        patient=make_patient(
            mrn="A.100",
            name="Müller^Anna Maria",
            ideographic_name="山田^花子",
            phonetic_name="やまだ^はなこ",
            birth_date=dt.date(1980, 2, 29),
        ),
        modality="CT",
        accession_number="ACC-7",
        description="Thorax (nativ)",
        study_date=dt.date(2024, 3, 15),
        study_time=dt.time(10, 30, 15, 500000),
        study_id="RAD-7",
        referring_physician=PersonName("Sørensen^Åse", "索伦^阿瑟"),
    )


def found(level: Level, **wanted: str) -> bool:
    return narrow(MODELS[level].objects.all(), level, read_keys(wanted, lowest=level)).exists()


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientName", "MÜLLER^ANNA*", True),
        ("PatientName", "Müller^Anna Maria^^", True),
        ("PatientName", "Müller", False),
        ("PatientName", "Muller^anna*", True),
        ("PatientName", "Mu?ler^ANNA Maria", True),
        ("PatientName", "やまた^はなこ", False),
        ("PatientName", "M?ller*", True),
        ("PatientName", "*anna*", True),
        ("PatientName", "山田*", True),
        ("PatientName", "やまだ^はなこ", True),
        ("PatientName", "müller*=山田^花子", True),
        ("PatientName", "müller*=山本*", False),
        ("PatientName", "=山田*", True),
        ("PatientName", "*==やまだ*", True),
        ("PatientName", "Meier\\müller*", True),
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
        ("ModalitiesInStudy", "C*", True),
        ("StudyInstanceUID", "1.2.3", False),
        ("AccessionNumber", "ACC-7", True),
        ("ReferringPhysicianName", "sørensen*", True),
        ("ReferringPhysicianName", "SØRENSEN^ÅSE", True),
        ("ReferringPhysicianName", "sorensen^ase", True),
        ("ReferringPhysicianName", "Sørensen", False),
        ("ReferringPhysicianName", "索伦*", True),
        ("ReferringPhysicianName", "*=索伦^*", True),
        ("ReferringPhysicianName", "Müller*", False),
        ("StudyID", "RAD-7", True),
        ("StudyID", "rad-7", False),
        ("StudyID", "RAD-?", True),
        ("StudyID", "X\\RAD-7", True),
        ("StudyID", "", True),
        ("PatientWeight", "unknown key", True),
    ],
)
def test_matches_follows_ps3_4(study, keyword, value, expected):
    assert found(Level.STUDY, **{keyword: value}) is expected


def test_matches_takes_lists_of_uids_and_keys_of_higher_levels(study):
    series = study.series.get()
    uids = f"1.2.3\\{study.study_instance_uid}"
    assert found(Level.SERIES, StudyInstanceUID=uids, Modality="CT", PatientID="A.*")
    assert found(
        Level.INSTANCE,
        StudyInstanceUID=uids,
        SeriesInstanceUID=series.series_instance_uid,
        InstanceNumber="1",
    )
    assert not found(Level.INSTANCE, StudyInstanceUID=uids, InstanceNumber="2")
    assert not found(Level.SERIES, StudyInstanceUID=uids, Modality="MR")
    assert found(Level.SERIES, StudyInstanceUID=uids, Modality="SR,CT")
    assert found(Level.SERIES, StudyInstanceUID=uids, Modality="SR\\CT")
    assert not found(Level.SERIES, StudyInstanceUID=uids, Modality="SR,MR")


@pytest.mark.parametrize(
    ("words", "expected"),
    [("sorensen", True), ("ase SOREN", True), ("索", True), ("nsen", False), ("muller", False)],
)
def test_matches_finds_physicians_by_words_when_it_is_fuzzy(study, words, expected):
    keys = read_keys({"ReferringPhysicianName": words}, is_fuzzy=True)

    assert narrow(Study.objects.all(), Level.STUDY, keys).exists() is expected


def test_matches_finds_a_name_whether_its_particle_is_written_apart_or_not(department):
    names = {"O'Brien^Pat": "obrien", "OBrien^Kim": "o'brien", "van der Berg^Jo": "van der ber"}
    for name, asked in names.items():
        study = make_study(department=department, referring_physician=PersonName(name))
        keys = read_keys({"ReferringPhysicianName": asked}, is_fuzzy=True)
        assert study in narrow(Study.objects.all(), Level.STUDY, keys), name
        keys = read_keys({"ReferringPhysicianName": "brienne"}, is_fuzzy=True)
        assert not narrow(Study.objects.all(), Level.STUDY, keys).exists()


SCHEDULED = "RequestAttributesSequence.ScheduledProcedureStepID"
REQUESTED = "RequestAttributesSequence.RequestedProcedureID"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({SCHEDULED: "S.1"}, True),
        ({SCHEDULED: "s.1"}, False),
        ({SCHEDULED: "S?1"}, True),
        ({SCHEDULED: ".*"}, False),
        ({SCHEDULED: 'S"*'}, True),
        ({SCHEDULED: "Ä*"}, True),
        ({SCHEDULED: "X\\S.1"}, True),
        ({SCHEDULED: ""}, True),
        ({SCHEDULED: "*"}, True),
        ({SCHEDULED: "S.1", REQUESTED: "R1"}, True),
        ({SCHEDULED: "S.1", REQUESTED: "R2"}, False),
        ({SCHEDULED: "", REQUESTED: "R2"}, True),
        ({"RequestAttributesSequence": ""}, True),
        ({"RequestAttributesSequence.AccessionNumber": "unknown key"}, True),
    ],
)
def test_matches_asks_for_one_item_that_matches_all(study, wanted, expected):
    study.series.update(
        request_attributes=[
            {"ScheduledProcedureStepID": "S.1", "RequestedProcedureID": "R1"},
            {"ScheduledProcedureStepID": 'S"\\2', "RequestedProcedureID": "R2"},
            {"ScheduledProcedureStepID": "Ä 3", "RequestedProcedureID": ""},
        ]
    )

    assert found(Level.SERIES, **wanted) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S?[1]*", True),
        ("S?[2]*", False),
        ("X\\S.[1]", True),
        ("s*", False),
        ("*", True),
        ("*?" * 2000 + "!", False),
    ],
)
def test_matching_items_are_those_that_the_condition_finds(study, text, expected):
    items = [{"ScheduledProcedureStepID": "S.[1]", "RequestedProcedureID": ""}]
    study.series.update(request_attributes=items)

    assert found(Level.SERIES, **{SCHEDULED: text}) is expected
    assert bool(matching_items(items, {"ScheduledProcedureStepID": text})) is expected


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
        ("PatientID", "x" * 5000),
        ("PerformedProcedureStepStartDate", "2024-03-15"),
        ("PerformedProcedureStepStartTime", "25"),
        ("RequestAttributesSequence", "S.1"),
        (SCHEDULED, "S\0"),
        (REQUESTED, "x" * 5000),
    ],
)
def test_matches_refuses_what_cannot_be_matched(keyword, value):
    with pytest.raises(ParameterInvalid, match=keyword.rpartition(".")[-1]):
        read_keys({keyword: value})


def test_matches_takes_signs_of_a_pattern_as_they_are_written(study):
    for value in ("Thorax .nativ.*", "Thorax (nativ", "[T]horax*", "Thorax (nativ)$"):
        assert not found(Level.STUDY, StudyDescription=value)
