"""What a header says of the attributes of the table (`records/dicom/attributes.py`)."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence

from records.dicom.attributes import READ, Attribute, Reader, inside
from records.dicom.reading.texts import Texts
from records.dicom.reading.values import (
    read_code,
    read_date,
    read_integer,
    read_text,
    read_time,
    read_value,
)

UTC_OFFSET_PATTERN = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
MOST_ITEMS = 100

Items = list[dict[str, str]]
Value = str | int | dt.date | dt.time | Items
HOLDERS = {"DA": "dates", "TM": "times", "IS": "numbers", "US": "numbers", "SQ": "items"}
"""In which field of `Stated` values of a VR are; all others are texts."""


@dataclass(frozen=True, slots=True)
class Stated:
    """Values by keyword, apart by their types; what a header leaves open isn't there.

    A name is a value of VR PN, an item of a sequence has the texts of its attributes.
    """

    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    dates: dict[str, dt.date] = field(default_factory=dict)
    times: dict[str, dt.time] = field(default_factory=dict)
    items: dict[str, Items] = field(default_factory=dict)

    def of(self, attribute: Attribute) -> Value | None:
        """Return what is stated of an attribute, if anything."""
        found: Value | None = self._values(attribute).get(attribute.keyword)
        return found

    def put(self, attribute: Attribute, value: Value | None) -> None:
        """Note what a header says, unless it says nothing."""
        if value not in (None, "", []):
            self._values(attribute)[attribute.keyword] = value

    def _values(self, attribute: Attribute) -> dict[str, Any]:
        values: dict[str, Any] = getattr(self, HOLDERS.get(attribute.vr, "texts"))
        return values


def read_stated(dataset: Dataset, texts: Texts) -> Stated:
    """Read every attribute of the table that gets into a column by it."""
    stated = Stated()
    for attribute in READ:
        read = OWN_READERS.get(attribute.reader) or READERS.get(attribute.vr, _text)
        stated.put(attribute, read(dataset, texts, attribute))
    return stated


def _text(dataset: Dataset, texts: Texts, attribute: Attribute) -> str:
    return texts.read(attribute.own_keyword, limit=attribute.limit)


def _name(dataset: Dataset, texts: Texts, attribute: Attribute) -> str:
    return texts.read_name(attribute.keyword)


def _code(dataset: Dataset, texts: Texts, attribute: Attribute) -> str:
    return read_code(dataset, attribute.keyword, limit=attribute.limit)


def _date(dataset: Dataset, texts: Texts, attribute: Attribute) -> dt.date | None:
    return read_date(dataset, attribute.keyword)


def _time(dataset: Dataset, texts: Texts, attribute: Attribute) -> dt.time | None:
    return read_time(dataset, attribute.keyword)


def _number(dataset: Dataset, texts: Texts, attribute: Attribute) -> int | None:
    return read_integer(dataset, attribute.keyword)


def _items(dataset: Dataset, texts: Texts, attribute: Attribute) -> Items:
    """The items that say something: one scan may answer several orders, but no scan hundreds."""
    found = (
        {one.own_keyword: _text(dataset, item, one) for one in inside(attribute)}
        for item in texts.items(attribute.keyword)[:MOST_ITEMS]
    )
    return [item for item in found if any(item.values())]


def _text_as_written(dataset: Dataset, texts: Texts, attribute: Attribute) -> str:
    return read_text(dataset, attribute.keyword, limit=attribute.limit)


def _clock(dataset: Dataset, texts: Texts, attribute: Attribute) -> str:
    """Timezone Offset From UTC (0008,0201), or nothing where it can't be one."""
    offset = read_text(dataset, attribute.keyword)
    return offset if UTC_OFFSET_PATTERN.fullmatch(offset) else ""


def _body_part(dataset: Dataset, texts: Texts, attribute: Attribute) -> str:
    """Body Part Examined, or where photographs say it: the meaning of their anatomic region.

    DICOM PS3.3 C.8.12.1 and A.41: visible light and eye images carry Anatomic Region Sequence
    (0008,2218) in its place.
    """
    part = _code(dataset, texts, attribute)
    regions = read_value(dataset, "AnatomicRegionSequence")
    if not part and isinstance(regions, Sequence) and len(regions):
        part = read_code(regions[0], "CodeMeaning", limit=attribute.limit)
    return part


Read = Callable[[Dataset, Texts, Attribute], Any]
READERS: dict[str, Read] = {
    "PN": _name,
    "CS": _code,
    "DA": _date,
    "TM": _time,
    "IS": _number,
    "US": _number,
    "SQ": _items,
}
"""How values of a VR are read; all others as texts."""
OWN_READERS: dict[Reader, Read] = {
    Reader.AS_WRITTEN: _text_as_written,
    Reader.BODY_PART: _body_part,
    Reader.CLOCK: _clock,
}
