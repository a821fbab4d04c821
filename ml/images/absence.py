"""Why a DICOM object has no pixel data: it never had any, they are elsewhere, or it was cut."""

from enum import StrEnum

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

UNDEFINED_LENGTH = 0xFFFFFFFF
# The tag and the length that begin an element.
SMALLEST_HEAD = 8
# JPIP Referenced, Deflate, HTJ2K and HTJ2K Deflate (PS3.5 A.6, A.7, A.11, A.12).
JPIP_SYNTAXES = frozenset(
    UID(f"1.2.840.10008.1.2.4.{number}") for number in ("94", "95", "204", "205")
)
DEFLATED_SYNTAXES = frozenset(
    UID(f"1.2.840.10008.1.2.{number}") for number in ("1.99", "4.95", "4.205")
)
ELSCINT_GROUP, ELSCINT, ELSCINT_PIXELS = 0x07A1, "ELSCINT1", 0x0A


class Absence(StrEnum):
    """Why there is no pixel data."""

    NOT_AN_IMAGE = "not_an_image"
    HEADER_ALONE = "header_alone"
    ON_A_SERVER = "on_a_server"
    IN_A_PRIVATE_ELEMENT = "in_a_private_element"


ABSENCE_IN_WORDS = {
    Absence.HEADER_ALONE: "it is the header of an image without its pixels",
    Absence.ON_A_SERVER: "its pixels lie on another server, to be fetched by JPIP",
    Absence.IN_A_PRIVATE_ELEMENT: "its pixels lie in a private element of its manufacturer",
}


def find_absence(dataset: Dataset, syntax: UID) -> Absence:
    """Tell why a whole data set has no pixel data."""
    if syntax in JPIP_SYNTAXES or "PixelDataProviderURL" in dataset:
        return Absence.ON_A_SERVER
    if _has_elscint_pixels(dataset):
        return Absence.IN_A_PRIVATE_ELEMENT
    is_image = bool(dataset.get("Rows") and dataset.get("Columns"))
    return Absence.HEADER_ALONE if is_image else Absence.NOT_AN_IMAGE


def ends_early(dataset: Dataset, *, position: int, end: int) -> bool:
    """Whether the bytes ended inside of the last element that was read.

    The reader takes what it gets, which stands at `position` of `end`.
    """
    values = [element for element in dataset.values() if isinstance(element, RawDataElement)]
    is_short = any(
        element.value is not None
        and element.length != UNDEFINED_LENGTH
        and len(element.value) < element.length
        for element in values
    )
    return position > end or is_short


def ends_in_a_head(dataset: Dataset, *, end: int) -> bool:
    """Whether fewer bytes follow the last element than the next would need to begin."""
    last = dataset.get_item(max(dataset.keys())) if len(dataset) else None
    if not isinstance(last, RawDataElement) or last.length == UNDEFINED_LENGTH:
        return False
    return 0 < end - last.value_tell - last.length < SMALLEST_HEAD


def _has_elscint_pixels(dataset: Dataset) -> bool:
    """PMSCT_RLE1 and its kin, which old scanners of Elscint and Philips wrote."""
    for block in range(0x10, 0x100):
        creator = dataset.get((ELSCINT_GROUP, block))
        if creator is not None and str(creator.value).strip() == ELSCINT:
            return (ELSCINT_GROUP, block << 8 | ELSCINT_PIXELS) in dataset
    return False
