"""C-FIND by who referred the patient and what was ordered, by dcmtk's findscu."""

import re

import pytest
from pydicom.uid import generate_uid

from tests.dicom.files import make_dicom, make_item
from tests.factories import make_node
from tests.records.dimse import PEER, find, find_status, listening

pytestmark = pytest.mark.django_db(transaction=True)

STUDY = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "SpecificCharacterSet=ISO_IR 192")
SERIES = ("QueryRetrieveLevel=SERIES", "SeriesInstanceUID", "SpecificCharacterSet=ISO_IR 192")
REQUESTS = "RequestAttributesSequence"


@pytest.fixture
def server(department):
    make_node(department=department, ae_title=PEER)
    with listening() as server:
        yield server


@pytest.fixture
def uids(send) -> list[str]:
    """A study with all that is asked for, made for two orders, and one with nothing of it."""
    uids = [generate_uid(), generate_uid()]
    orders = [
        make_item(ScheduledProcedureStepID="S1", RequestedProcedureID="R1"),
        make_item(ScheduledProcedureStepID="S2", RequestedProcedureID="Ü2"),
    ]
    full = make_dicom(
        StudyInstanceUID=uids[0],
        ReferringPhysicianName="Müller^Jörg=山田^太郎",
        StudyID="RAD-1",
        TimezoneOffsetFromUTC="+0100",
        PerformedProcedureStepStartDate="20240101",
        PerformedProcedureStepStartTime="080000",
        RequestAttributesSequence=orders,
    )
    send(("full", full))
    send(("empty", make_dicom(StudyInstanceUID=uids[1])))
    return uids


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("StudyID", [0, 1]),
        ("StudyID=RAD-1", [0]),
        ("StudyID=RAD-2", []),
        ("StudyID=R*", [0]),
        ("ReferringPhysicianName=MÜLLER*", [0]),
        ("ReferringPhysicianName=Muller^Jo?g", [0]),
        ("ReferringPhysicianName=Muller", []),
        ("ReferringPhysicianName=山田^太郎", [0]),
        ("ReferringPhysicianName=Meier*", []),
    ],
)
def test_find_matches_studies(server, uids, key, found):
    answers = find(server, *STUDY, key)

    assert [uid in "".join(answers) for uid in uids] == [at in found for at in range(2)]
    assert len(answers) == len(found)


def test_find_tells_who_referred_and_the_study_id(server, uids):
    keys = ("ReferringPhysicianName", "StudyID", "TimezoneOffsetFromUTC")

    [full] = find(server, *STUDY[:1], STUDY[2], f"StudyInstanceUID={uids[0]}", *keys)
    [empty] = find(server, *STUDY[:1], f"StudyInstanceUID={uids[1]}", *keys)

    assert {"[Müller^Jörg=山田^太郎]", "[RAD-1]", "[+0100]"} <= bracketed(full)
    assert len(re.findall(r"\(no value available\)", empty)) == 3


def bracketed(answer: str) -> set[str]:
    """The values of an answer."""
    return {value.replace(" ]", "]") for value in re.findall(r"\[[^]]*\]", answer)}


@pytest.mark.parametrize(
    ("keys", "is_found"),
    [
        (["PerformedProcedureStepStartDate=20231231-20240101"], True),
        (["PerformedProcedureStepStartDate=20240102-"], False),
        (["PerformedProcedureStepStartTime=0730-0830"], True),
        (["PerformedProcedureStepStartTime=09"], False),
        ([REQUESTS], True),
        ([f"{REQUESTS}[0]"], True),
        ([f"{REQUESTS}[0].ScheduledProcedureStepID"], True),
        ([f"{REQUESTS}[0].ScheduledProcedureStepID=S1"], True),
        ([f"{REQUESTS}[0].ScheduledProcedureStepID=S3"], False),
        ([f"{REQUESTS}[0].RequestedProcedureID=Ü*"], True),
        (
            [
                f"{REQUESTS}[0].ScheduledProcedureStepID=S1",
                f"{REQUESTS}[0].RequestedProcedureID=Ü2",
            ],
            False,
        ),
        ([f"{REQUESTS}[0].AccessionNumber=unsupported"], True),
    ],
)
def test_find_matches_series(server, uids, keys, is_found):
    answers = find(server, *SERIES, f"StudyInstanceUID={uids[0]}", *keys)

    assert len(answers) == is_found


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([REQUESTS], {"[S1]", "[R1]", "[S2]", "[Ü2]"}),
        ([f"{REQUESTS}[0]"], {"[S1]", "[R1]", "[S2]", "[Ü2]"}),
        ([f"{REQUESTS}[0].ScheduledProcedureStepID"], {"[S1]", "[S2]"}),
        ([f"{REQUESTS}[0].ScheduledProcedureStepID=*1"], {"[S1]"}),
        (
            [
                f"{REQUESTS}[0].ScheduledProcedureStepID",
                f"{REQUESTS}[0].RequestedProcedureID=Ü2",
            ],
            {"[S2]", "[Ü2]"},
        ),
    ],
)
def test_find_tells_what_was_asked_for_of_the_items_that_match(server, uids, keys, told):
    [answer] = find(server, *SERIES, f"StudyInstanceUID={uids[0]}", *keys)

    everything = {"[S1]", "[R1]", "[S2]", "[Ü2]"}
    assert bracketed(answer) & everything == told


def test_find_tells_an_empty_sequence_where_nothing_was_ordered(server, uids):
    dates = ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime")

    [full] = find(server, *SERIES, f"StudyInstanceUID={uids[0]}", *dates)
    [empty] = find(server, *SERIES, f"StudyInstanceUID={uids[1]}", REQUESTS, *dates)

    assert {"[20240101]", "[080000.000000]"} <= bracketed(full)
    assert re.search(r"\(0040,0275\) SQ .*#=0", empty)
    assert len(re.findall(r"\(no value available\)", empty)) == 2


def test_find_refuses_a_sequence_of_more_than_one_item(server, uids):
    keys = [f"{REQUESTS}[{number}].ScheduledProcedureStepID=S1" for number in range(2)]

    assert "a900" in find_status(server, *SERIES, f"StudyInstanceUID={uids[0]}", *keys)
