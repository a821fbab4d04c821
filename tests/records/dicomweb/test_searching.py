"""QIDO-RS by whole requests."""

import json
from xml.etree.ElementTree import fromstring

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydicom.uid import generate_uid

from accounts.models import AuditEvent
from records.choices import Action
from records.models import Instance
from tests.dicom.files import make_dicom

pytestmark = pytest.mark.django_db
STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"


def uids(response, tag: str = STUDY_UID) -> list[str]:
    if response.status_code == 204:
        assert response.content == b""
        return []
    assert response.status_code == 200, response.content
    return [each[tag]["Value"][0] for each in read(response)]


def read(response) -> list[dict]:
    return json.loads(b"".join(response.streaming_content))


def search(client, path: str, **params):
    return client.get(f"/dicomweb/{path}", params)


@pytest.fixture
def three_studies(send) -> list[str]:
    """Patients Muster, Müller and Yamada, newest first."""
    made = []
    for number, (name, day, modality) in enumerate(
        [("Muster^Erika", "20240101", "CT"), ("Müller^Jörg", "20240215", "MR")]
        + [("Yamada^Tarou=山田^太郎=やまだ^たろう", "20240331", "CT")]
    ):
        uid = generate_uid()
        content = make_dicom(
            StudyInstanceUID=uid,
            PatientID=f"P-{number}",
            PatientName=name,
            StudyDate=day,
            StudyTime="101530.5",
            Modality=modality,
            AccessionNumber=f"ACC{number}",
            StudyDescription=f"Study *{number}",
        )
        send((f"{number}", content))
        made.insert(0, uid)
    return made


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, [0, 1, 2]),
        ({"PatientName": "*"}, [0, 1, 2]),
        ({"PatientName": "muster^erika"}, [2]),
        ({"PatientName": "Muster^Erika^^"}, [2]),
        ({"PatientName": "Muster"}, []),
        ({"PatientName": "m*"}, [1, 2]),
        ({"PatientName": "m?ller*"}, [1]),
        ({"PatientName": "*tarou"}, [0]),
        ({"PatientName": "erik must", "fuzzymatching": "true"}, [2]),
        ({"PatientName": "rika", "fuzzymatching": "true"}, []),
        ({"00100010": "Muster*"}, [2]),
        ({"PatientID": "P-1"}, [1]),
        ({"PatientID": "p-1"}, []),
        ({"PatientID": "P-?"}, [0, 1, 2]),
        ({"PatientID": "P."}, []),
        ({"AccessionNumber": "ACC0"}, [2]),
        ({"StudyDate": "20240215"}, [1]),
        ({"StudyDate": "20240101-20240215"}, [1, 2]),
        ({"StudyDate": "20240216-"}, [0]),
        ({"StudyDate": "-20240101"}, [2]),
        ({"StudyTime": "10"}, [0, 1, 2]),
        ({"StudyTime": "1016-"}, []),
        ({"StudyTime": "101530-1015"}, [0, 1, 2]),
        ({"StudyTime": "101530.5"}, [0, 1, 2]),
        ({"ModalitiesInStudy": "MR"}, [1]),
        ({"ModalitiesInStudy": "MR,CT"}, [0, 1, 2]),
        ({"ModalitiesInStudy": "C*"}, [0, 2]),
        ({"ModalitiesInStudy": "CT", "StudyDate": "20240101"}, [2]),
        ({"Modality": "MR"}, [1]),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, [0, 1, 2]),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "MR"}, [1]),
        ({"SOPClassUID": "1.2.3"}, []),
        ({"Rows": "16"}, [0, 1, 2]),
        ({"Rows": "99999999999"}, []),
        ({"StudyDescription": "Study ?1"}, [1]),
        ({"limit": "2"}, [0, 1]),
        ({"limit": "2", "offset": "2"}, [2]),
        ({"offset": "3"}, []),
        ({"limit": "1", "offset": "1", "Modality": "CT"}, [2]),
    ],
)
def test_search_finds_the_studies_that_match(browser, three_studies, params, found):
    assert uids(search(browser, "studies", **params)) == [three_studies[at] for at in found]


def test_search_takes_lists_of_uids(browser, three_studies):
    with_commas = ",".join(three_studies[:2])
    with_backslashes = "\\".join(three_studies[1:])

    assert uids(search(browser, "studies", StudyInstanceUID=with_commas)) == three_studies[:2]
    assert uids(search(browser, "studies", StudyInstanceUID=with_backslashes)) == three_studies[1:]
    assert uids(search(browser, "studies", StudyInstanceUID=three_studies[:2])) == three_studies[:2]


@pytest.mark.parametrize(
    "params",
    [
        {"PatientWeight": "70"},
        {"nonsense": "1"},
        {"PatientID": ""},
        {"StudyInstanceUID": " "},
        {"limit": ["1", "2"]},
        {"fuzzymatching": "perhaps"},
        {"PatientID": ["P-1", "P-2"]},
        {"0010001": "x"},
        {"StudyDate": "2024-02-15"},
        {"StudyDate": "20240231"},
        {"StudyTime": "25"},
        {"StudyInstanceUID": "1.2.x"},
        {"SeriesNumber": "one"},
        {"limit": "-1"},
        {"limit": "ten"},
        {"offset": "1.5"},
        {"includefield": "Nonsense"},
        {"PatientID": "a\0b"},
        {"NumberOfStudyRelatedSeries": "1"},
    ],
)
def test_search_refuses_what_it_cannot_match(browser, three_studies, params):
    response = search(browser, "studies", **params)

    assert response.status_code == 400
    problem = response.json()
    (error,) = problem["errors"]
    assert problem["code"] == "invalid"
    assert error["pointer"].startswith("/")
    assert error["detail"]


def test_search_warns_when_there_are_more(browser, three_studies):
    assert "Warning" not in search(browser, "studies", limit=3).headers
    assert search(browser, "studies", limit=2)["Warning"].startswith("299 ")


def test_search_counts_results_and_not_their_series(browser, send):
    """A study with many matching series is one result, so that pages stay whole."""
    study = generate_uid()
    for _ in range(3):
        send(("a", make_dicom(StudyInstanceUID=study)))
    other = generate_uid()
    send(("b", make_dicom(StudyInstanceUID=other)))

    first = uids(search(browser, "studies", Modality="CT", limit=1))
    second = uids(search(browser, "studies", Modality="CT", limit=1, offset=1))

    assert first + second == [other, study]


def test_search_tells_what_a_study_is(browser, small_study):
    (study,) = read(search(browser, "studies"))

    assert study["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Muster^Erika"}]}
    assert study["00080020"]["Value"] == ["20240229"]
    assert study["00080030"]["Value"] == ["101530"]
    assert study["00080061"]["Value"] == ["CT"]
    assert study["00201206"]["Value"] == [2]
    assert study["00201208"]["Value"] == [4]
    assert study["00081190"]["Value"] == [small_study.url]
    assert study["00080090"] == {"vr": "PN"}
    assert "00080060" not in study


@pytest.mark.parametrize(
    ("path", "tag", "count"),
    [
        ("series", SERIES_UID, 2),
        ("instances", INSTANCE_UID, 4),
        ("{study}/series", SERIES_UID, 2),
        ("{study}/instances", INSTANCE_UID, 4),
        ("{study}/series/{series}/instances", INSTANCE_UID, 3),
    ],
)
def test_search_works_at_every_level(browser, small_study, path, tag, count):
    study = f"studies/{small_study.study_uid}"
    path = path.format(study=study, series=small_study.series_uids[0])

    found = uids(search(browser, path), tag)

    assert len(set(found)) == len(found) == count
    assert len(uids(search(browser, path, limit=1), tag)) == 1


def test_search_narrows_by_the_levels_above_and_below(browser, small_study, three_studies):
    by_study = search(browser, "instances", PatientName="Muster*", StudyDate="20240229")
    by_series = search(browser, "instances", SeriesDescription="Localizer")
    by_instance = search(browser, "series", InstanceNumber="4")

    assert set(uids(by_study, INSTANCE_UID)) == set(small_study.contents)
    assert len(uids(by_series, INSTANCE_UID)) == 1
    assert uids(by_instance, SERIES_UID) == [small_study.series_uids[1]]


def test_search_returns_the_fields_that_are_asked_for(browser, small_study):
    plain = read(search(browser, f"studies/{small_study.study_uid}/series"))[0]
    asked = read(
        search(
            browser,
            f"studies/{small_study.study_uid}/series",
            includefield=["PatientName,00180015", "StudyDescription", "00091001"],
        )
    )[0]
    whole = read(search(browser, f"studies/{small_study.study_uid}/instances", includefield="all"))[
        0
    ]

    assert not {"00100010", "00180015"} & set(plain)
    assert asked["00180015"]["Value"] == ["CHEST"]
    assert asked["00081030"]["Value"] == ["Chest routine"]
    assert {"00100010", "00180015", "00280004", "00083002"} <= set(whole)


def test_search_asks_for_no_more_rows_than_the_page_has(browser, small_study):
    search(browser, "instances")
    with CaptureQueriesContext(connection) as few:
        search(browser, "instances", limit=1)
    with CaptureQueriesContext(connection) as many:
        search(browser, "instances", limit=4)

    assert len(few) == len(many)


def test_search_reads_no_files(browser, small_study):
    for instance in Instance.objects.all():
        instance.file.storage.delete(instance.file.name)

    assert len(uids(search(browser, "instances", includefield="all"), INSTANCE_UID)) == 4


def test_search_shows_nothing_of_other_departments(client, stranger, small_study):
    client.force_login(stranger)

    assert uids(search(client, "studies")) == []
    assert uids(search(client, "instances")) == []
    assert search(client, f"studies/{small_study.study_uid}/series").status_code == 404


def test_search_is_recorded_without_what_was_searched_for(browser, small_study):
    search(browser, "studies", PatientName="Muster*", limit=10)

    event = AuditEvent.objects.get(action=Action.STUDIES_SEARCHED)
    assert event.details == {"filters": {"PatientName": ""}, "count": 1, "continued": False}
    assert event.target_id == "dicomweb"


def test_search_answers_in_xml_to_who_asks_for_it(browser, small_study):
    response = browser.get(
        "/dicomweb/studies",
        headers={"accept": 'multipart/related; type="application/dicom+xml"'},
    )

    content = b"".join(response.streaming_content)
    document = content[content.index(b"<?xml") : content.rindex(b"\r\n--")]
    found = {each.get("keyword"): each for each in fromstring(document)}  # noqa: S314 - our own answer
    assert found["StudyInstanceUID"].findtext("Value") == small_study.study_uid
    assert found["PatientName"].findtext("PersonName/Alphabetic/FamilyName") == "Muster"
    assert found["NumberOfStudyRelatedInstances"].findtext("Value") == "4"


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/dicom+json;q=0"])
def test_search_answers_406_when_json_is_not_accepted(browser, three_studies, accept):
    response = browser.get("/dicomweb/studies", headers={"accept": accept})

    assert response.status_code == 406
