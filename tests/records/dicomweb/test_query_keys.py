"""QIDO-RS by who referred the patient, what was ordered, and when it was done."""

import json
from xml.etree.ElementTree import fromstring

import pytest
from pydicom.uid import generate_uid

from records.services import DeclaredFields
from tests.dicom.files import make_dicom, make_item, make_png

pytestmark = pytest.mark.django_db
STUDY_UID, SERIES_UID = "0020000D", "0020000E"
PHYSICIAN, STUDY_ID, CLOCK = "00080090", "00200010", "00080201"
DATE, TIME, REQUESTS = "00400244", "00400245", "00400275"
SCHEDULED, REQUESTED = "00400009", "00401001"


def read(response) -> list[dict]:
    assert response.status_code in (200, 204), response.content
    return json.loads(b"".join(response) or b"[]")


def search(client, path: str, **params):
    return client.get(f"/dicomweb/{path}", params)


def item(scheduled: str, requested: str):
    return make_item(ScheduledProcedureStepID=scheduled, RequestedProcedureID=requested)


@pytest.fixture
def three_studies(send) -> list[str]:
    """One by Müller for two orders, one by Yamada for the second, one that says nothing of it."""
    said = [
        {
            "ReferringPhysicianName": "Müller^Jörg",
            "StudyID": "RAD-1",
            "TimezoneOffsetFromUTC": "+0100",
            "PerformedProcedureStepStartDate": "20240101",
            "PerformedProcedureStepStartTime": "080000",
            "RequestAttributesSequence": [item("S1", "R1"), item("S2", "Ü2")],
        },
        {
            "ReferringPhysicianName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "StudyID": "RAD-2",
            "PerformedProcedureStepStartDate": "20240215",
            "PerformedProcedureStepStartTime": "101530.5",
            "RequestAttributesSequence": [item("S1", "Ü2")],
        },
        {},
    ]
    uids = [generate_uid() for _ in said]
    for number in reversed(range(3)):
        send((f"{number}", make_dicom(StudyInstanceUID=uids[number], **said[number])))
    return uids


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"ReferringPhysicianName": "*"}, [0, 1, 2]),
        ({"ReferringPhysicianName": "MÜLLER^jörg"}, [0]),
        ({"ReferringPhysicianName": "m?ller*"}, [0]),
        ({"ReferringPhysicianName": "山田*"}, [1]),
        ({"ReferringPhysicianName": "yamada*=山田^太郎"}, [1]),
        ({"ReferringPhysicianName": "=山本*"}, []),
        ({"ReferringPhysicianName": "jorg mull", "fuzzymatching": "true"}, [0]),
        ({"ReferringPhysicianName": "ヤマダ", "fuzzymatching": "true"}, [1]),
        ({"ReferringPhysicianName": "uller", "fuzzymatching": "true"}, []),
        ({"00080090": "Müller*"}, [0]),
        ({"StudyID": "RAD-1"}, [0]),
        ({"StudyID": "rad-1"}, []),
        ({"StudyID": "RAD-?"}, [0, 1]),
        ({"StudyID": "*"}, [0, 1, 2]),
        ({"00200010": "*2"}, [1]),
        ({"PerformedProcedureStepStartDate": "20240101"}, [0]),
        ({"PerformedProcedureStepStartDate": "20240101-20240215"}, [0, 1]),
        ({"PerformedProcedureStepStartDate": "-20240101"}, [0]),
        ({"PerformedProcedureStepStartDate": "*"}, [0, 1, 2]),
        ({"PerformedProcedureStepStartTime": "10"}, [1]),
        ({"PerformedProcedureStepStartTime": "0800-1000"}, [0]),
        ({"RequestAttributesSequence": "*"}, [0, 1, 2]),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "S1"}, [0, 1]),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "S2"}, [0]),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "s?"}, []),
        ({"RequestAttributesSequence.RequestedProcedureID": "ü*"}, []),
        ({"00400275.00401001": "Ü*"}, [0, 1]),
        ({"00400275.ScheduledProcedureStepID": "*"}, [0, 1, 2]),
        ({"00400275.00400009": "S1", "RequestAttributesSequence.RequestedProcedureID": "Ü2"}, [1]),
        ({"00400275.00400009": "S1", "00400275.00401001": "*", "StudyID": "RAD-1"}, [0]),
    ],
)
@pytest.mark.parametrize("path", ["studies", "series", "instances"])
def test_search_finds_by_referrer_order_and_time(browser, three_studies, path, params, found):
    answers = read(search(browser, path, **params))

    assert [each[STUDY_UID]["Value"][0] for each in answers] == [three_studies[at] for at in found]


@pytest.mark.parametrize(
    "params",
    [
        {"RequestAttributesSequence": "S1"},
        {"RequestAttributesSequence": ""},
        {"ReferringPhysicianName": ""},
        {"RequestAttributesSequence.AccessionNumber": "1"},
        {"RequestAttributesSequence.": "1"},
        {"ScheduledProcedureStepID": "S1"},
        {"TimezoneOffsetFromUTC": "+0100"},
        {"PerformedProcedureStepStartDate": "2024-01-01"},
        {"StudyID": "RAD-1", "00200010": "RAD-2"},
        {"includefield": "RequestAttributesSequence.Nonsense"},
    ],
)
def test_search_refuses_what_it_cannot_match(browser, three_studies, params):
    response = search(browser, "series", **params)

    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_search_tells_who_referred_and_the_study_id(browser, three_studies):
    by_mueller, by_yamada, by_nobody = read(search(browser, "studies"))

    assert by_mueller[PHYSICIAN] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]}
    assert by_mueller[STUDY_ID] == {"vr": "SH", "Value": ["RAD-1"]}
    assert by_mueller[CLOCK] == {"vr": "SH", "Value": ["+0100"]}
    (name,) = by_yamada[PHYSICIAN]["Value"]
    assert (name["Ideographic"], name["Phonetic"]) == ("山田^太郎", "やまだ^たろう")
    assert by_nobody[PHYSICIAN] == {"vr": "PN"}
    assert by_nobody[STUDY_ID] == {"vr": "SH"}
    assert CLOCK not in by_yamada
    assert CLOCK not in by_nobody


def test_search_tells_when_a_series_was_made_and_for_what(browser, three_studies):
    first, second, third = (
        read(search(browser, f"studies/{uid}/series"))[0] for uid in three_studies
    )

    assert first[DATE] == {"vr": "DA", "Value": ["20240101"]}
    assert second[TIME] == {"vr": "TM", "Value": ["101530.500000"]}
    assert [each[REQUESTED]["Value"] for each in first[REQUESTS]["Value"]] == [["R1"], ["Ü2"]]
    assert second[REQUESTS] == {
        "vr": "SQ",
        "Value": [
            {
                SCHEDULED: {"vr": "SH", "Value": ["S1"]},
                REQUESTED: {"vr": "SH", "Value": ["Ü2"]},
            }
        ],
    }
    assert (third[DATE], third[TIME], third[REQUESTS]) == (
        {"vr": "DA"},
        {"vr": "TM"},
        {"vr": "SQ"},
    )


@pytest.mark.parametrize(
    ("field", "tag"),
    [
        ("ReferringPhysicianName", PHYSICIAN),
        ("00200010", STUDY_ID),
        ("TimezoneOffsetFromUTC", CLOCK),
        ("PerformedProcedureStepStartDate", DATE),
        ("00400245", TIME),
        ("RequestAttributesSequence", REQUESTS),
        ("00400275.00400009", REQUESTS),
    ],
)
def test_search_includes_what_is_asked_for_of_higher_levels(browser, three_studies, field, tag):
    (series,) = read(search(browser, "series", StudyID="RAD-1"))
    below = f"studies/{three_studies[0]}/series/{series[SERIES_UID]['Value'][0]}/instances"

    (plain,) = read(search(browser, below))
    (asked,) = read(search(browser, below, includefield=field))

    assert tag not in plain
    assert asked[tag] == series[tag]


def test_search_answers_with_items_in_xml(browser, three_studies):
    response = browser.get(
        "/dicomweb/series?StudyID=RAD-1",
        headers={"accept": 'multipart/related; type="application/dicom+xml"'},
    )

    content = b"".join(response.streaming_content)
    document = content[content.index(b"<?xml") : content.rindex(b"\r\n--")]
    requests = fromstring(document).findall(f"DicomAttribute[@tag='{REQUESTS}']/Item")  # noqa: S314 - our own answer
    ids = [each.findtext(f"DicomAttribute[@tag='{REQUESTED}']/Value") for each in requests]
    assert ids == ["R1", "Ü2"]


def test_search_knows_nothing_of_a_picture_s_referrer_and_order(browser, send):
    send(("picture.png", make_png()), declared=DeclaredFields(patient_id="P-7"))

    (series,) = read(search(browser, "series"))

    assert not any("Value" in series[tag] for tag in (PHYSICIAN, STUDY_ID, DATE, TIME, REQUESTS))


def test_capabilities_name_what_is_in_a_sequence_by_both_tags(browser):
    rows = {each["tag"]: each for each in browser.get("/dicomweb/").json()["query_attributes"]}

    in_item = rows["00400275.00400009"]
    assert in_item["keyword"] == "RequestAttributesSequence.ScheduledProcedureStepID"
    assert (in_item["level"], in_item["returned"]) == ("Series", "always")
    assert rows[CLOCK]["returned"].startswith("where known")
    assert rows[PHYSICIAN]["matching"] == rows["00100010"]["matching"]
