"""A search (QIDO-RS): its parameters read, turned into rows, and rows into attributes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet
from django.http import QueryDict
from pydicom.datadict import dictionary_keyword, keyword_dict

from accounts.models import User
from records.dicom.attributes import (
    ATTRIBUTES,
    MATCHED,
    Attribute,
    Level,
    Matching,
    Returned,
)
from records.dicom.writing.dicom_json import JsonObject, element
from records.dicomweb.targets import instance_url, series_url, study_url
from records.errors import ParameterInvalid
from records.models import Series, Study
from records.query.rows import MODELS, PARENT_PATHS, owner_of, values_of
from records.query.searching import narrow, read_keys

MAX_RESULTS = 1000
ALL = "all"
CONTROLS = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept"})
SINGLE_CONTROLS = frozenset({"limit", "offset", "fuzzymatching"})
TAG = re.compile(r"[0-9A-Fa-f]{8}")
ORDERS: dict[Level, tuple[str, ...]] = {
    Level.STUDY: ("-received_at", "-id"),
    Level.SERIES: ("-study__received_at", "-study_id", "series_number", "created_at", "id"),
    Level.INSTANCE: (
        "-series__study__received_at",
        "-series__study_id",
        "series__series_number",
        "series_id",
        "slice_position",
        "instance_number",
        "id",
    ),
}
"""The same rows in the same order each time, so that pages by offset fit together."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a client asks for."""

    conditions: Mapping[Level, Q] = field(default_factory=dict)
    included: frozenset[str] = frozenset()
    limit: int = MAX_RESULTS
    offset: int = 0


def read_search(params: QueryDict) -> Search:
    """Read the query parameters; raises ParameterInvalid for one that isn't matched.

    A key that was ignored would give rows that don't match, so an unknown one is refused.
    """
    is_fuzzy = _read_flag(params, "fuzzymatching")
    return Search(
        conditions=read_keys(_read_wanted(params), is_fuzzy=is_fuzzy),
        included=_read_included(params.getlist("includefield")),
        limit=min(_read_count(params, "limit", MAX_RESULTS), MAX_RESULTS),
        offset=_read_count(params, "offset", 0),
    )


def find_rows(user: User, level: Level, search: Search, parent: Study | Series | None) -> QuerySet:
    """The rows of a level that the user may see, below `parent` if any, narrowed and in order."""
    rows: QuerySet[Any] = MODELS[level].objects.visible_to(user)
    if parent is not None:
        parent_level = Level.STUDY if isinstance(parent, Study) else Level.SERIES
        rows = rows.filter(**{PARENT_PATHS[level, parent_level]: parent})
    return narrow(rows, level, search.conditions).order_by(*ORDERS[level])


def row_attributes(
    level: Level, row: Any, search: Search, *, lowest_stated: Level | None
) -> JsonObject:
    """A row's attributes: the default ones of its level, and those that were asked for.

    Levels above are told too, unless the address itself names them (`lowest_stated`).
    """
    found: JsonObject = {}
    for attribute in ATTRIBUTES:
        if not attribute.is_told_at(level):
            continue
        is_near = (
            attribute.level == level or lowest_stated is None or attribute.level > lowest_stated
        )
        values = values_of(attribute, owner_of(row, level, attribute.level))
        if _is_included(attribute, search) or (is_near and _is_default(attribute, values)):
            found |= [element(attribute.keyword, *values)]
    found |= [element(*pair) for pair in _identity(level, row)]
    return dict(sorted(found.items()))


def _read_wanted(params: QueryDict) -> dict[str, str]:
    """The keys to match, by keyword whether they were named by that or by tag."""
    given: dict[str, list[str]] = {}
    for name in params:
        if name in SINGLE_CONTROLS and len(params.getlist(name)) > 1:
            raise ParameterInvalid(name=name, problem="it is given more than once.")
        if name not in CONTROLS:
            given.setdefault(_matched_keyword(name), []).extend(params.getlist(name))
    for keyword, texts in given.items():
        if len(texts) > 1 and MATCHED[keyword].matching not in (Matching.UID, Matching.LIST):
            raise ParameterInvalid(name=keyword, problem="it is given more than once.")
    return {keyword: ",".join(texts) for keyword, texts in given.items()}


def _is_included(attribute: Attribute, search: Search) -> bool:
    return attribute.keyword in search.included or ALL in search.included


def _is_default(attribute: Attribute, values: tuple[object, ...]) -> bool:
    if attribute.returned is Returned.KNOWN:
        return any(values)
    return attribute.returned is Returned.ALWAYS


def _identity(level: Level, row: Any) -> Iterable[tuple[str, object]]:
    """The UIDs down to a row, and its address."""
    study = owner_of(row, level, Level.STUDY).study_instance_uid
    yield "StudyInstanceUID", study
    if level == Level.STUDY:
        yield "RetrieveURL", study_url(study)
        return
    series = owner_of(row, level, Level.SERIES).series_instance_uid
    yield "SeriesInstanceUID", series
    if level == Level.SERIES:
        yield "RetrieveURL", series_url(study, series)
        return
    yield "RetrieveURL", instance_url(study, series, row.sop_instance_uid)


def _matched_keyword(name: str) -> str:
    keyword = ".".join(map(dictionary_keyword_of, name.split(".")))
    if keyword not in MATCHED:
        raise ParameterInvalid(name=name, problem="nothing is matched by it here.")
    return keyword


def _read_included(given: list[str]) -> frozenset[str]:
    """Keywords of the fields to include; one that DICOM knows and we don't hold is left out.

    A sequence is told whole, whichever part of it is asked for.
    """
    return frozenset(
        _read_field(word.strip()) for part in given for word in part.split(",") if word.strip()
    )


def _read_field(word: str) -> str:
    if word == ALL:
        return word
    keywords = [dictionary_keyword_of(step) for step in word.split(".")]
    if not all(keywords):
        raise ParameterInvalid(name="includefield", problem=f"{word[:64]} is not an attribute.")
    return keywords[0]


def dictionary_keyword_of(word: str) -> str:
    """The keyword that a keyword or a tag stands for; the tag where it is private; else ""."""
    if not TAG.fullmatch(word):
        return word if word in keyword_dict else ""
    try:
        return dictionary_keyword(int(word, 16))
    except KeyError:
        return word


def _read_flag(params: QueryDict, name: str) -> bool:
    text = params.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise ParameterInvalid(name=name, problem="it is true or false.")
    return text == "true"


def _read_count(params: QueryDict, name: str, default: int) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ParameterInvalid(name=name, problem="it is a whole number from 0.")
    return int(text)
