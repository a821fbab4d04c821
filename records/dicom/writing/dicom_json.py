"""The DICOM JSON model (PS3.18 Annex F), and the Native DICOM Model (PS3.19) made from it."""

import base64
import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from ml.images.numbers import parse_number
from records.dicom.reading.stored import StoredObject, item_of, left_in_file, vr_of
from records.dicom.reading.values import PARSE_ERRORS

LONGEST_INLINE = 1024
BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
NUMBER_VRS = frozenset({"FL", "FD", "SL", "SS", "SV", "UL", "US", "UV", "IS", "DS"})
WHOLE_VRS = NUMBER_VRS - {"FL", "FD", "DS"}
NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
CHARACTER_SET = 0x00080005
UTF_8 = "ISO_IR 192"

JsonObject = dict[str, Any]


def element(keyword: str, *values: object) -> tuple[str, JsonObject]:
    """One attribute by keyword, as key and value of a JSON object; no values, an empty one.

    An item of a sequence is a mapping, of its attributes by keyword.
    """
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword  # noqa: S101 - keywords here are our own
    vr = dictionary_VR(tag)
    written = [_plain_value(vr, value) for value in values if value not in (None, "")]
    return f"{tag:08X}", {"vr": vr, "Value": written} if written else {"vr": vr}


def metadata(stored: StoredObject, *, bulk_url: str) -> JsonObject:
    """An object's attributes; long binary values, the pixels too, are addresses below `bulk_url`.

    Text is UTF-8, so the character set says so. A value that can't be read as its VR wants
    is given as text, or left out where it isn't even that.
    """
    dataset = stored.dataset
    found: JsonObject = {}
    for tag in sorted(dataset.keys()):
        raw = left_in_file(dataset, tag)
        if raw is not None and vr_of(raw) in BINARY_VRS:
            found[f"{tag:08X}"] = {"vr": vr_of(raw), "BulkDataURI": f"{bulk_url}/{tag:08X}"}
            continue
        stored.load(tag)
        found |= _element_json(dataset, tag, bulk_url)
    if stored.pixels is not None:
        pixels = f"{stored.pixels.tag:08X}"
        found[pixels] = {"vr": stored.pixels.vr, "BulkDataURI": f"{bulk_url}/{pixels}"}
    if CHARACTER_SET in dataset:
        found |= [element("SpecificCharacterSet", UTF_8)]
    return dict(sorted(found.items()))


def person_name(text: str) -> JsonObject:
    """A person name with its component groups."""
    groups = zip(NAME_GROUPS, text.split("=")[:3], strict=False)
    return {name: group for name, group in groups if group}


def to_text(document: object) -> str:
    """A JSON document as text; what JSON has no number for is written as a string."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def to_xml(document: JsonObject) -> str:
    """The same attributes as a NativeDicomModel document."""
    body = "".join(_xml_lines(document))
    return f'<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel>{body}</NativeDicomModel>'


def _element_json(dataset: Dataset, tag: BaseTag, url: str) -> JsonObject:
    key = f"{tag:08X}"
    raw = item_of(dataset, tag)
    try:
        parsed = dataset[tag]
    except PARSE_ERRORS:
        return {key: {"vr": vr_of(raw)}}
    if parsed.VR == "SQ":
        items = [
            _dataset_json(item, f"{url}/{key}/{number}")
            for number, item in enumerate(parsed.value, 1)
        ]
        return {key: {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}}
    if isinstance(parsed.value, bytes):
        return {key: _binary_json(parsed, f"{url}/{key}")}
    return {key: _values_json(parsed)}


def _dataset_json(dataset: Dataset, url: str) -> JsonObject:
    found: JsonObject = {}
    for tag in sorted(dataset.keys()):
        found |= _element_json(dataset, tag, url)
    return found


def _binary_json(parsed: DataElement, url: str) -> JsonObject:
    vr = str(parsed.VR).split(" or ")[-1]
    if len(parsed.value) > LONGEST_INLINE:
        return {"vr": vr, "BulkDataURI": url}
    if not parsed.value:
        return {"vr": vr}
    return {"vr": vr, "InlineBinary": base64.b64encode(parsed.value).decode("ascii")}


def _values_json(parsed: DataElement) -> JsonObject:
    vr = str(parsed.VR).split(" or ")[0]
    value = parsed.value
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    if values in ([None], [""], []):
        return {"vr": vr}
    return {"vr": vr, "Value": [_plain_value(vr, each) for each in values]}


def _plain_value(vr: str, value: object) -> object:
    if value is None or (value == "" and vr != "PN"):
        return None
    if vr == "PN":
        return person_name(str(value))
    if isinstance(value, Mapping):
        return dict(sorted(element(keyword, text) for keyword, text in value.items()))
    if vr == "AT" and isinstance(value, int):
        return f"{value:08X}"
    if vr in NUMBER_VRS:
        return _number(vr, value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return _moment(value)
    return str(value)


def _number(vr: str, value: object) -> object:
    if vr in WHOLE_VRS and isinstance(value, int):
        return int(value)
    number = parse_number(str(value))
    if number is None:
        return str(value)
    return int(number) if vr in WHOLE_VRS and number.is_integer() else number


def _moment(value: dt.date | dt.time) -> str:
    if isinstance(value, dt.time):
        return value.strftime("%H%M%S.%f" if value.microsecond else "%H%M%S")
    return value.strftime("%Y%m%d")


def _xml_lines(document: JsonObject) -> Iterator[str]:
    for tag, attribute in document.items():
        keyword = keyword_for_tag(int(tag, 16))
        named = f" keyword={quoteattr(keyword)}" if keyword else ""
        yield f'<DicomAttribute tag="{tag}" vr="{attribute["vr"]}"{named}>'
        yield from _xml_content(attribute)
        yield "</DicomAttribute>"


def _xml_content(attribute: JsonObject) -> Iterable[str]:
    if "BulkDataURI" in attribute:
        yield f"<BulkData uri={quoteattr(attribute['BulkDataURI'])}/>"
    if "InlineBinary" in attribute:
        yield f"<InlineBinary>{attribute['InlineBinary']}</InlineBinary>"
    for number, value in enumerate(attribute.get("Value", ()), 1):
        if attribute["vr"] == "SQ":
            yield f'<Item number="{number}">{"".join(_xml_lines(value))}</Item>'
        elif attribute["vr"] == "PN":
            yield f'<PersonName number="{number}">{_xml_name(value or {})}</PersonName>'
        elif value is not None:
            yield f'<Value number="{number}">{escape(str(value))}</Value>'


def _xml_name(groups: dict[str, str]) -> str:
    parts = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
    written = []
    for group, text in groups.items():
        components = zip(parts, text.split("^"), strict=False)
        inner = "".join(f"<{part}>{escape(word)}</{part}>" for part, word in components if word)
        written.append(f"<{group}>{inner}</{group}>")
    return "".join(written)
