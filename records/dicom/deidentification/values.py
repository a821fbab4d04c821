"""What may stay of a value, by its value representation, and what stands for it if it must go."""

import re
from collections.abc import Callable
from typing import Any

from pydicom import DataElement
from pydicom.datadict import dictionary_VM
from pydicom.multival import MultiValue
from pydicom.uid import UID

from records.dicom.deidentification.dates import keep_time, shift_date, shift_date_time
from records.dicom.deidentification.numbers import as_standard, is_plausible, unpadded
from records.dicom.deidentification.profile import DATE_VRS, Options, is_device_attribute
from records.dicom.deidentification.pseudonyms import Pseudonyms
from records.dicom.deidentification.vocabulary import DEVICE_TEXTS, is_technical, is_term

REMOVED = "REMOVED"
AGE = re.compile(r"(\d{3})([DWMY])", re.ASCII)
OLDEST_AGE_YEARS = 89
"""Above it people are few: ages are then given as 90 years (45 CFR 164.514(b)(2)(i)(C))."""

ALTERNATIVES = frozenset({"WindowCenter", "WindowWidth"})
"""Their values are choices, each of use without the others; elsewhere one stands beside another."""

TEXT_VRS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
NUMBER_VRS = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
# The only bulk data that an image needs; everything else of that kind may hold anything.
LOOKUP_TABLES = frozenset(
    {
        "RedPaletteColorLookupTableData",
        "GreenPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData",
        "SegmentedRedPaletteColorLookupTableData",
        "SegmentedGreenPaletteColorLookupTableData",
        "SegmentedBluePaletteColorLookupTableData",
        "LUTData",
    }
)
DUMMIES: dict[str, Any] = {
    "AE": REMOVED,
    "AS": "000D",
    "CS": REMOVED,
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "0",
    "LO": REMOVED,
    "LT": REMOVED,
    "OB": b"\0\0",
    "PN": REMOVED,
    "SH": REMOVED,
    "ST": REMOVED,
    "TM": "000000",
    "UC": REMOVED,
    "UN": b"\0\0",
    "UR": REMOVED,
    "UT": REMOVED,
}
"""What stands where a value has to be (action D)."""


def dummy(keyword: str, vr: str, pseudonyms: Pseudonyms) -> Any:
    """The stand-in for a value that has to be there; a patient gets a pseudonym."""
    return pseudonyms.patient if keyword == "PatientID" else DUMMIES.get(vr)


def emptied(keyword: str, value: Any, pseudonyms: Pseudonyms) -> Any:
    """The stand-in for a value that may be empty: where it links objects, a pseudonym."""
    if keyword == "PatientName":
        return pseudonyms.patient
    if keyword == "AccessionNumber" and str(value or "").strip():
        return pseudonyms.accession(str(value).strip())
    return None


def harmless(element: DataElement, vr: str, options: Options, pseudonyms: Pseudonyms) -> Any | None:
    """The part of a value that may stay, or None: only words from a vocabulary, numbers, dates.

    `vr` is the dictionary's: a file that states another one changes nothing.
    """
    if vr in TEXT_VRS:
        return _text(element, options)
    if vr in DATE_VRS:
        return _date(element, vr, options, pseudonyms)
    if vr in BULK_VRS or " or " in vr:
        return _bulk(element, vr)
    if vr in NUMBER_VRS:
        return _numbers(element)
    if vr == "UI":
        return _uids(element, options, pseudonyms)
    return _matching(element, vr)


def may_stay(element: DataElement, options: Options) -> bool:
    """Tell whether a text is empty, harmless by its form, or of the device that is to be kept."""
    texts = _texts(element)
    is_of_device = element.keyword in DEVICE_TEXTS or is_device_attribute(element.tag)
    if options.retain_device and is_of_device:
        return True
    return not any(texts) or all(is_technical(element.keyword, text) for text in texts)


def shifted(element: DataElement, vr: str, pseudonyms: Pseudonyms) -> list[str]:
    """Dates moved by the patient's days, times as they were; empty what is neither."""
    move: dict[str, Callable[[str], str]] = {
        "DA": lambda text: shift_date(text, pseudonyms.shift),
        "DT": lambda text: shift_date_time(text, pseudonyms.shift),
        "TM": keep_time,
    }
    return [move[vr](text) for text in _texts(element)]


def _text(element: DataElement, options: Options) -> Any:
    return _texts(element) if may_stay(element, options) else REMOVED


def _uids(element: DataElement, options: Options, pseudonyms: Pseudonyms) -> list[str]:
    """New ones, but for a device's under its option; what is no UID is never kept."""
    is_kept = options.retain_device and is_device_attribute(element.tag)
    texts = [text for text in _texts(element) if text]
    return [text if is_kept and UID(text).is_valid else pseudonyms.uid(text) for text in texts]


def _date(element: DataElement, vr: str, options: Options, pseudonyms: Pseudonyms) -> Any | None:
    return shifted(element, vr, pseudonyms) if options.retain_dates else None


def _bulk(element: DataElement, vr: str) -> Any | None:
    """Lookup tables; and for numbers whose type the file leaves open, exactly their bytes."""
    value = element.value
    if element.VR not in {*vr.split(" or "), vr}:
        return None
    if element.keyword in LOOKUP_TABLES:
        return value if isinstance(value, bytes) else _numbers(element)
    if " or " not in vr:
        return None
    if isinstance(value, bytes):
        multiplicity = dictionary_VM(element.tag)
        return value if multiplicity.isdigit() and len(value) == 2 * int(multiplicity) else None
    return _numbers(element)


def _numbers(element: DataElement) -> Any | None:
    value = element.value
    parts = value if isinstance(value, MultiValue | list) else [value]
    return value if all(isinstance(part, int | float) for part in parts) else None


def _matching(element: DataElement, vr: str) -> Any | None:
    texts = _texts(element)
    if vr == "CS":
        return _terms(element.keyword, texts)
    if vr == "AS":
        return [_age(text) for text in texts]
    if vr in ("DS", "IS"):
        return _number_texts(element.keyword, vr, texts)
    return None


def _number_texts(keyword: str, vr: str, texts: list[str]) -> list[str] | None:
    """Numbers as the standard writes them; of several windows, a bad one leaves its place."""
    standard = [as_standard(vr, text) for text in texts]
    kept = [text if text and is_plausible(keyword, vr, text) else "" for text in standard]
    is_useful = any(kept) if keyword in ALTERNATIVES else kept == standard
    return [unpadded(text) for text in kept] if is_useful or not any(texts) else None


def _terms(keyword: str, texts: list[str]) -> Any | None:
    if keyword in ("ImageType", "FrameType"):
        return [text if is_term(keyword, text) else "OTHER" for text in texts]
    return texts if all(is_term(keyword, text) for text in texts) else None


def _age(text: str) -> str:
    found = AGE.fullmatch(text)
    if found is None:
        return ""
    is_old = found[2] == "Y" and int(found[1]) > OLDEST_AGE_YEARS
    return f"{OLDEST_AGE_YEARS + 1:03d}Y" if is_old else text


def _texts(element: DataElement) -> list[str]:
    value = element.value
    if value is None or isinstance(value, bytes):
        return []
    parts = value if isinstance(value, MultiValue | list) else [value]
    return [str(part).strip(" \0") for part in parts]
