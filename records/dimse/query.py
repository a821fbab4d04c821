"""C-FIND at the study root: what a node may see, as far as it matches."""

import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from pydicom import Dataset
from pydicom.multival import MultiValue
from pynetdicom.events import Event

from accounts.audit import record_event
from accounts.models import Action
from records.dimse import statuses
from records.dimse.session import Session
from records.errors import QueryInvalid
from records.intake.values import PARSE_ERRORS, clean_text
from records.matching import KEYS, SEPARATOR, Level, matches, value_of
from records.models import DicomNode, Instance, Series, Study

logger = logging.getLogger(__name__)

MODELS: dict[Level, Any] = {Level.STUDY: Study, Level.SERIES: Series, Level.IMAGE: Instance}
HIGHER_KEYS = {
    Level.STUDY: (),
    Level.SERIES: ("StudyInstanceUID",),
    Level.IMAGE: ("StudyInstanceUID", "SeriesInstanceUID"),
}
"""What a question below the study has to name (PS3.4 C.4.1.2.2.1)."""

Answer = tuple[Dataset | int, Dataset | None]


def find(event: Event, session: Session) -> Iterator[Answer]:
    """Answer with one data set per match, and with a failure after too many."""
    try:
        with session.acting():
            level, wanted = read_identifier(event)
            answers, is_cut = _answers(session, level, wanted)
    except QueryInvalid as error:
        yield statuses.as_status(statuses.DOES_NOT_MATCH_SOP_CLASS, error.message), None
        return
    except Exception:
        logger.exception("Query of association %s", session.id)
        yield statuses.as_status(statuses.CANNOT_UNDERSTAND), None
        return
    for answer in answers:
        if event.is_cancelled:
            yield statuses.CANCELLED, None
            return
        yield statuses.PENDING, answer
    if is_cut:
        limit = f"more than {settings.DICOM_MAX_MATCHES} matches"
        yield statuses.as_status(statuses.OUT_OF_RESOURCES, limit), None


def read_identifier(event: Event) -> tuple[Level, dict[str, str]]:
    """Return the level that is asked about, and each key as text; raises QueryInvalid."""
    try:
        identifier = event.identifier
        wanted = {
            element.keyword: _as_text(element.value) for element in identifier if element.keyword
        }
        level = Level(wanted.pop("QueryRetrieveLevel", "").strip())
    except PARSE_ERRORS as error:
        raise QueryInvalid(detail="it has no level of the study root") from error
    return level, wanted


def find_rows(node: DicomNode, level: Level, wanted: dict[str, str]) -> Any:
    """Return the rows of a level that a node may see and that match; raises QueryInvalid."""
    return MODELS[level].objects.visible_to_node(node).filter(matches(level, wanted))


def _answers(session: Session, level: Level, wanted: dict[str, str]) -> tuple[list[Dataset], bool]:
    missing = [keyword for keyword in HIGHER_KEYS[level] if not wanted.get(keyword)]
    if missing or session.node is None:
        raise QueryInvalid(detail=f"{' and '.join(missing)} must be given at this level")
    found = find_rows(session.node, level, wanted).with_answer()
    limit = settings.DICOM_MAX_MATCHES
    rows = list(found[: limit + 1])
    record_event(
        action=Action.STUDIES_SEARCHED,
        actor=None,
        target_id="dicom-query",
        department_id=session.node.department_id,
        # Never what was asked for: it may be a name.
        details={"level": level, "filters": sorted(key for key in wanted if wanted[key])},
    )
    return [_as_dataset(row, level, wanted) for row in rows[:limit]], len(rows) > limit


def _as_dataset(row: Any, level: Level, wanted: dict[str, str]) -> Dataset:
    """Return what was asked for of one match; keys that aren't known are left out."""
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 192"
    answer.QueryRetrieveLevel = level.value
    answer.RetrieveAETitle = settings.DICOM_AE_TITLE
    answer.InstanceAvailability = "ONLINE"
    for keyword, key in KEYS[level].items():
        if keyword in wanted:
            setattr(answer, keyword, _as_value(value_of(row, key)))
    return answer


def _as_value(value: Any) -> Any:
    if isinstance(value, dt.date):
        return value.strftime("%Y%m%d")
    if isinstance(value, dt.time):
        return value.strftime("%H%M%S.%f")
    return value


def _as_text(value: object) -> str:
    if isinstance(value, MultiValue):
        return SEPARATOR.join(clean_text(part) for part in value)
    return clean_text(value)
