"""C-FIND at the study root: what a node may see, as far as it matches."""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pynetdicom.events import Event

from accounts.audit import record_event
from accounts.errors import DatabaseUnavailable
from accounts.outages import is_database_outage
from accounts.texts import search_terms
from records.choices import Action
from records.dicom.attributes import ATTRIBUTES, Attribute, Level
from records.dicom.reading.values import PARSE_ERRORS, clean_text
from records.dimse import statuses
from records.dimse.session import Session
from records.errors import ParameterInvalid
from records.failure_reasons import CANNOT_UNDERSTAND, DATA_SET_MISMATCH, OUT_OF_RESOURCES
from records.models import DicomNode
from records.query.matching import SEPARATOR, matching_items
from records.query.rows import MODELS, owner_of, values_of
from records.query.searching import item_keys, narrow, read_keys

logger = logging.getLogger(__name__)

LEVELS = {"STUDY": Level.STUDY, "SERIES": Level.SERIES, "IMAGE": Level.INSTANCE}
"""Query/Retrieve Level (0008,0052) of the study root."""

HIGHER_KEYS = {
    Level.STUDY: (),
    Level.SERIES: ("StudyInstanceUID",),
    Level.INSTANCE: ("StudyInstanceUID", "SeriesInstanceUID"),
}
"""What a question below the study has to name (PS3.4 C.4.1.2.2.1)."""

Answer = tuple[Dataset | int, Dataset | None]


def find(event: Event, session: Session) -> Iterator[Answer]:
    """Answer with one data set per match, and with a failure after too many."""
    try:
        with session.acting():
            level, wanted = read_identifier(event)
            answers, is_cut = _answers(session.caller, level, wanted)
    except ParameterInvalid as error:
        yield statuses.as_status(DATA_SET_MISMATCH, error.message), None
        return
    except Exception as error:
        if is_database_outage(error):
            logger.warning("database_unavailable: query of association %s refused", session.id)
            yield statuses.as_status(OUT_OF_RESOURCES, DatabaseUnavailable.code), None
            return
        logger.exception("Query of association %s", session.id)
        yield statuses.as_status(CANNOT_UNDERSTAND), None
        return
    for answer in answers:
        if event.is_cancelled:
            yield statuses.CANCELLED, None
            return
        yield statuses.PENDING, answer
    if is_cut:
        limit = f"more than {settings.DICOM_MAX_MATCHES} matches"
        yield statuses.as_status(OUT_OF_RESOURCES, limit), None


def read_identifier(event: Event) -> tuple[Level, dict[str, str]]:
    """Return the level that is asked about, and each key as text; raises ParameterInvalid.

    A key inside of a sequence is named after it, as in "Sequence.Attribute".
    """
    try:
        wanted = _read_wanted(event.identifier)
        level = LEVELS[wanted.pop("QueryRetrieveLevel", "").strip()]
    except PARSE_ERRORS as error:
        problem = "it is not a level of the study root."
        raise ParameterInvalid(name="QueryRetrieveLevel", problem=problem) from error
    return level, wanted


def find_rows(node: DicomNode, level: Level, wanted: dict[str, str]) -> QuerySet[Any]:
    """Return the rows of a level that a node may see and that match; raises ParameterInvalid."""
    rows = MODELS[level].objects.visible_to_node(node)
    return narrow(rows, level, read_keys(wanted, lowest=level))


def check_given(wanted: dict[str, str], keywords: Iterable[str]) -> None:
    """Refuse a question that leaves out what it has to name; raises ParameterInvalid."""
    for keyword in keywords:
        if not wanted.get(keyword):
            raise ParameterInvalid(name=keyword, problem="it must be given at this level.")


def _answers(node: DicomNode, level: Level, wanted: dict[str, str]) -> tuple[list[Dataset], bool]:
    check_given(wanted, HIGHER_KEYS[level])
    limit = settings.DICOM_MAX_MATCHES
    rows = list(find_rows(node, level, wanted)[: limit + 1])
    _record(node, level, wanted, rows[:limit])
    return [_as_dataset(row, level, wanted) for row in rows[:limit]], len(rows) > limit


def _record(node: DicomNode, level: Level, wanted: dict[str, str], rows: list[Any]) -> None:
    """Note by which keys was asked, and what for as hashes alone; one event for each study that
    a question below the studies is about.
    """
    found = {study.pk: study for study in (owner_of(row, level, Level.STUDY) for row in rows)}
    named: list[Any] = list(found.values())
    if (level == Level.STUDY and len(named) != 1) or not named:
        named = [None]
    asked = {key: text for key, text in wanted.items() if text}
    terms = search_terms(asked.values())
    for study in named:
        of_study = [row for row in rows if study and owner_of(row, level, Level.STUDY) == study]
        record_event(
            action=Action.STUDIES_SEARCHED,
            actor=None,
            target_id="dicom-query",
            study=study,
            department_id=node.department_id,
            details={
                "level": level.name,
                "filters": sorted(asked),
                "count": len(of_study) if study else len(rows),
            },
            searched=terms,
        )


def _as_dataset(row: Any, level: Level, wanted: dict[str, str]) -> Dataset:
    """Return what was asked for of one match; keys that aren't known are left out."""
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 192"
    answer.QueryRetrieveLevel = next(word for word, named in LEVELS.items() if named == level)
    answer.RetrieveAETitle = settings.DICOM_AE_TITLE
    answer.InstanceAvailability = "ONLINE"
    for attribute in ATTRIBUTES:
        if attribute.keyword in wanted and attribute.is_told_at(level):
            values = _wanted_values(attribute, owner_of(row, level, attribute.level), wanted)
            written = [_as_value(value) for value in values if value is not None]
            setattr(answer, attribute.keyword, written)
    return answer


def _wanted_values(attribute: Attribute, owner: Any, wanted: dict[str, str]) -> Iterable[Any]:
    """Return the values of an attribute; of a sequence, what was asked for of matching items."""
    values: Iterable[Any] = values_of(attribute, owner)
    inside = f"{attribute.keyword}."
    asked = {key.removeprefix(inside) for key in wanted if key.startswith(inside)}
    if not asked:
        return values
    items = matching_items(values, item_keys(wanted, attribute.keyword))
    return [{key: text for key, text in item.items() if key in asked} for item in items]


def _as_value(value: Any) -> Any:
    if isinstance(value, dict):
        item = Dataset()
        for keyword, text in value.items():
            setattr(item, keyword, text)
        return item
    if isinstance(value, dt.date):
        return value.strftime("%Y%m%d")
    if isinstance(value, dt.time):
        return value.strftime("%H%M%S.%f")
    return value


def _read_wanted(identifier: Dataset, prefix: str = "") -> dict[str, str]:
    """Return each key as text; PS3.4 C.2.2.2.6 gives a sequence one item at most."""
    found: dict[str, str] = {}
    for element in identifier:
        name = f"{prefix}{element.keyword}"
        if not element.keyword:
            continue
        if not isinstance(element.value, Sequence):
            found[name] = _as_text(element.value)
            continue
        found[name] = ""
        if len(element.value) > 1:
            raise ParameterInvalid(name=name, problem="it has more than one item.")
        for item in element.value:
            found |= _read_wanted(item, f"{name}.")
    return found


def _as_text(value: object) -> str:
    if isinstance(value, MultiValue):
        return SEPARATOR.join(clean_text(part) for part in value)
    return clean_text(value)
