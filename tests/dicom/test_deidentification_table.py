"""Every row of Table E.1-1, at the top and inside a sequence, under each option: what it asks."""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import CTImageStorage

from records.dicom.deidentification import Options, Pseudonyms, deidentify, open_image
from records.dicom.deidentification.dates import shift_date, shift_date_time
from records.dicom.deidentification.profile import DATE_VRS, Row, rows
from tests.dicom.files import make_dicom

pytestmark = pytest.mark.slow

PATIENT = Pseudonyms(key=b"a key", subject="a patient")
REPEATING = {
    "50XXXXXX": (0x50002500, "LO"),
    "60XX3000": (0x60003000, "OW"),
    "60XX4000": (0x60004000, "LT"),
    "GGGGEEEE": (0x00991001, "LO"),
}
LINKS = {
    "AccessionNumber": PATIENT.accession("PLANTED (0008,0050)"),
    "PatientID": PATIENT.patient,
    "PatientName": PATIENT.patient,
}
"""Pseudonyms where a value may be empty: they tell what belongs together."""

# Numbers and codes are such as an option keeps; all texts and UIDs are somebody's.
VALUES = {
    "AS": "041Y",
    "CS": "NO",
    "DA": "19391224",
    "DS": "71.5",
    "DT": "19391224101112",
    "FD": 71.5,
    "FL": 71.5,
    "IS": "71",
    "OB": b"PLANTED ",
    "OW": b"PLANTED ",
    "TM": "101112",
    "UL": 4,
    "UN": b"PLANTED ",
    "US": 4,
}
KEPT_TEXTS = {"EthnicGroup": "Asian"}


def test_table_is_the_whole_of_its_edition():
    table = list(rows().values())
    assert Counter(row.basic for row in table) == {
        "X": 417, "D": 93, "U": 55, "Z": 42, "X/D": 23, "X/Z": 11, "X/Z/D": 8, "Z/D": 6,
        "X/Z/U*": 2,
    }  # fmt: skip
    assert Counter(row.device for row in table) == {"": 598, "K": 48, "C": 11}
    assert Counter(row.patient for row in table) == {"": 638, "K": 14, "C": 5}
    assert Counter(row.dates for row in table) == {"": 488, "C": 169}


@dataclass(frozen=True)
class Place:
    """One row's attribute, or one of its attributes where the row is for many."""

    tag: BaseTag
    vr: str
    row: Row

    @property
    def uid(self) -> str:
        return f"1.2.276.0.99.{int(self.tag)}"

    @property
    def value(self) -> Any:
        """What is planted there; in a sequence, a UID that says whose item it was."""
        if self.vr == "SQ":
            item = Dataset()
            item.ReferencedSOPClassUID = CTImageStorage
            item.SeriesInstanceUID = self.uid
            return Sequence([item])
        text = self.uid if self.vr == "UI" else f"PLANTED {self.tag}"
        return KEPT_TEXTS.get(self.row.keyword) or VALUES.get(self.vr, text)

    @property
    def is_public(self) -> bool:
        """Tell whether the dictionary knows it, and data sets hold it."""
        return dictionary_has_tag(self.tag) and self.tag.group >= 0x0008


def places() -> Iterator[Place]:
    for name, row in rows().items():
        tag, vr = REPEATING.get(name) or (Tag(name), "LO")
        is_plain = name not in REPEATING and dictionary_has_tag(tag)
        yield Place(Tag(tag), dictionary_VR(tag) if is_plain else vr, row)


def planted() -> Dataset:
    """An image with every attribute of the table, and all of them once more in an item."""
    image, item = open_image(io.BytesIO(make_dicom())), Dataset()
    for place in places():
        for target in (image, item):
            element = DataElement(place.tag, place.vr, place.value, validation_mode=config.IGNORE)
            target.add(element)
    image.ReferencedSeriesSequence = [item]
    return image


def released(**options: bool) -> tuple[Dataset, Dataset]:
    """The data set of the image after de-identification, and that of its item."""
    content = deidentify(planted(), options=Options(**options), pseudonyms=PATIENT)
    image = dcmread(io.BytesIO(content))
    return image, image.ReferencedSeriesSequence[0]


def is_empty(after: Dataset, place: Place) -> bool:
    return bool(after[place.tag].is_empty)


def is_dummy(after: Dataset, place: Place) -> bool:
    return not is_empty(after, place) and after[place.tag].value != place.value


def is_new_uid(after: Dataset, place: Place) -> bool:
    return bool(after[place.tag].value == PATIENT.uid(place.uid))


def has_new_references(after: Dataset, place: Place) -> bool:
    (item,) = after[place.tag].value
    return len(item) == 2 and item.SeriesInstanceUID == PATIENT.uid(place.uid)


IS_DONE = {"Z": is_empty, "D": is_dummy, "U": is_new_uid, "U*": has_new_references}


def is_basic(after: Dataset, place: Place) -> bool:
    """Tell whether the attribute is one of those things that the basic profile allows."""
    codes = place.row.basic.split("/")
    if place.tag not in after:
        return "X" in codes or not place.is_public or (codes == ["D"] and place.vr == "SQ")
    if place.row.keyword in LINKS:
        return bool(after[place.tag].value == LINKS[place.row.keyword])
    return any(IS_DONE[code](after, place) for code in codes if code in IS_DONE)


def is_kept(after: Dataset, place: Place) -> bool:
    if place.tag not in after or place.vr == "SQ":
        return place.tag in after and has_new_references(after, place)
    return bool(after[place.tag].value == place.value)


def is_moved(after: Dataset, place: Place) -> bool:
    move = {"DA": shift_date, "DT": shift_date_time, "TM": lambda text, _: text}
    moved = move[place.vr](place.value, PATIENT.shift)
    return place.tag in after and after[place.tag].value == moved != ""


def check(options: dict[str, bool], expected: Callable[[Place], Any]) -> None:
    """Find each attribute, at the top and in the item, as its expected test wants it."""
    for after in released(**options):
        wrong = [place for place in places() if not expected(place)(after, place)]
        assert {place.row.keyword: after.get(place.tag) for place in wrong} == {}


def test_deidentify_does_what_the_basic_profile_asks():
    check({}, lambda _: is_basic)


@pytest.mark.parametrize("option", ["device", "patient"])
def test_deidentify_keeps_what_an_option_keeps(option):
    def expected(place: Place) -> Any:
        is_of_option = getattr(place.row, option) == "K" and place.vr not in DATE_VRS
        return is_kept if is_of_option and place.is_public else is_basic

    check({f"retain_{option}": True}, expected)


@pytest.mark.parametrize("others", [{}, {"retain_device": True}], ids=["alone", "with the device"])
def test_deidentify_moves_the_dates_that_an_option_keeps(others):
    def expected(place: Place) -> Any:
        if place.row.dates and place.vr in DATE_VRS and place.is_public:
            return is_moved
        return is_kept if others and place.row.device == "K" else is_basic

    check({"retain_dates": True, **others}, expected)
