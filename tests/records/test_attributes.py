"""The one table of attributes: what it says is what the rows hold and what searches do."""

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db.models import CharField
from django.test import Client
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind

from records.dicom.attributes import (
    ATTRIBUTES,
    READ,
    Attribute,
    Level,
    Matching,
)
from records.models import Instance, Series, Study
from tests.dicom.saying import make_telling_dicom, say
from tests.factories import make_node
from tests.records.dimse import PEER, listening, port_of

OUR_OWN = {
    Study: {
        *("id", "patient", "department", "body_part", "stated_age", "named", "priority", "state"),
        *("is_in_question", "instance_count", "created_by", "received_at", "last_received_at"),
        *("completed_at", "deleted_at", "deleted_by", "deletion_reason", "purged_at"),
        *("updated_at",),
    },
    Series: {"id", "study", "department", "stated_modality", "stated_body_part", "created_at"},
    Instance: {
        *("id", "series", "department", "sha256", "source_sha256", "source_format", "file"),
        *("data_set_sha256", "size_bytes", "slice_position", "window_center", "window_width"),
        *("exclusion", "exclusion_reason", "undecoded", "is_withheld", "created_at"),
        *("checked_at", "damage", "healed_at"),
    },
}
"""Columns that are no attribute's: what is computed, counted, decided or noted by us."""

LEVELS = {Level.STUDY: Study, Level.SERIES: Series, Level.INSTANCE: Instance}
PATHS = {Level.STUDY: "studies", Level.SERIES: "series", Level.INSTANCE: "instances"}
QUERY_LEVELS = {Level.STUDY: "STUDY", Level.SERIES: "SERIES", Level.INSTANCE: "IMAGE"}
OTHERS = {Matching.DATE: "19991231", Matching.TIME: "01", Matching.NUMBER: "999"}
OTHERS |= {Matching.UID: "1.2.3"}
"""A value that nothing has; of texts, "OTHER"."""

Ask = Callable[[Attribute, str], list[list[str]]]
"""Asks a door by a key for the key's own values, and returns them by answer."""


@pytest.mark.parametrize("level", Level)
def test_every_column_is_an_attribute_s_or_named_as_our_own(level):
    model = LEVELS[level]
    columns = {field.name for field in model._meta.concrete_fields}
    of_table = {name for one in ATTRIBUTES if one.level == level for name in one.columns}

    assert of_table <= columns
    assert columns - of_table == OUR_OWN[model]


@pytest.mark.parametrize("attribute", READ, ids=lambda one: f"{one.level.name} {one.keyword}")
def test_column_takes_what_the_reader_gives(attribute):
    for column in attribute.columns:
        field = LEVELS[attribute.level]._meta.get_field(column)
        if isinstance(field, CharField) and attribute.vr != "PN":
            assert field.max_length == attribute.limit


@pytest.mark.django_db(transaction=True)
def test_every_attribute_is_matched_and_returned_by_both_doors_alike(
    client, technician, department, send_one
):
    """By QIDO-RS and by C-FIND: found by what it is, not by anything else, and told."""
    verdict = send_one(make_telling_dicom())
    assert verdict.verdict == "stored", verdict.message
    client.force_login(technician)
    make_node(department=department, ae_title=PEER)
    expected = {name_of(one): what_is_due(one) for one in ATTRIBUTES}

    by_qido = ask_of_all(partial(qido, client))
    with listening() as server, associated(port_of(server)) as association:
        by_find = ask_of_all(partial(find, association))

    assert by_qido == expected
    assert by_find == expected


def ask_of_all(ask: Ask) -> dict[str, tuple[list[str], int]]:
    return {name_of(one): what_is_had(one, ask) for one in ATTRIBUTES}


def name_of(attribute: Attribute) -> str:
    return f"{attribute.level.name} {attribute.keyword}"


def what_is_due(attribute: Attribute) -> tuple[list[str], int]:
    """What is told of the object by its own value, and how many have another one."""
    if attribute.matching is Matching.SEQUENCE:
        return [], 0
    return [str(say(attribute))], 0


def what_is_had(attribute: Attribute, ask: Ask) -> tuple[list[str], int]:
    """The same by a door; of a sequence, its items are asked about one by one."""
    if attribute.matching is Matching.SEQUENCE:
        return [], 0
    if attribute.matching is Matching.NONE:
        (told,) = ask(attribute, "")
        return told, 0
    (told,) = ask(attribute, str(say(attribute)))
    return told, len(ask(attribute, OTHERS.get(attribute.matching, "OTHER")))


def qido(client: Client, attribute: Attribute, value: str) -> list[list[str]]:
    """The values of the attribute in each answer of QIDO-RS to a key; "" asks for all."""
    wanted = {attribute.keyword: value} if value else {}
    path = f"/dicomweb/{PATHS[attribute.level]}"
    response = client.get(path, wanted | {"includefield": attribute.keyword})
    assert response.status_code in (200, 204), response.content
    return [
        [as_text(value) for value in values_in(row, attribute.tag)]
        for row in json.loads(b"".join(response) or b"[]")
    ]


def values_in(row: dict[str, Any], tag: str) -> list[Any]:
    """The values at a tag, or at that of a sequence, a dot and that of its items."""
    outer, _, inner = tag.partition(".")
    values = row[outer].get("Value", [])
    return [value for item in values for value in values_in(item, inner)] if inner else values


def as_text(value: Any) -> str:
    return "=".join(value.values()) if isinstance(value, dict) else str(value)


@contextlib.contextmanager
def associated(port: int) -> Iterator[Association]:
    peer = AE(ae_title=PEER)
    peer.add_requested_context(StudyRootFind)
    association = peer.associate("127.0.0.1", port, ae_title="MEDIMAGING")
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def find(association: Association, attribute: Attribute, value: str) -> list[list[str]]:
    """The values of the attribute in each answer of C-FIND to a key; "" asks for all."""
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = QUERY_LEVELS[attribute.level]
    above = ["StudyInstanceUID", "SeriesInstanceUID"][: attribute.level - 1]
    for uid in (one for one in ATTRIBUTES if one.keyword in above):
        setattr(identifier, uid.keyword, say(uid))
    within = identifier
    if attribute.sequence:
        within = Dataset()
        setattr(identifier, attribute.sequence, [within])
    setattr(within, attribute.own_keyword, as_key(attribute, value))
    answers = [answer for _, answer in association.send_c_find(identifier, StudyRootFind) if answer]
    if attribute.sequence:
        answers = [item for answer in answers for item in answer[attribute.sequence]]
    return [[str(answer[attribute.own_keyword].value)] for answer in answers]


def as_key(attribute: Attribute, value: str) -> Any:
    """Numbers of VR US have no text form; none at all asks for everything."""
    if attribute.vr == "US":
        return int(value) if value else None
    return value
