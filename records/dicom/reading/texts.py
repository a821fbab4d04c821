"""Texts of a data set in the character sets that it declares; what can't be decoded is noted.

DICOM PS3.5 6.1 and PS3.3 C.12.1.1.2. A value is decoded whole before it is taken apart: inside
multi-byte sets the bytes of "=", "^" and the backslash are also halves of characters.
"""

import base64

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from records.dicom.names import REPLACEMENT, PersonName
from records.dicom.reading.values import CONTROL, PARSE_ERRORS, clean_text, read_value

ESCAPE = "\x1b"
DEFAULT_REPERTOIRE = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
STAND_ALONE = frozenset({"ISO_IR 192", "GB18030", "GBK"})
LONGEST_KEPT = 4096


class Texts:
    """The texts of one data set.

    `undecoded` holds, as base64 by keyword, the bytes of every text read that the declared
    character sets don't explain, so that nothing is replaced without a trace.
    """

    def __init__(self, dataset: Dataset, *, within: "Texts | None" = None) -> None:
        self._dataset = dataset
        self._declared = _declared_sets(dataset)
        self.undecoded: dict[str, str] = {}
        if within is not None:
            self.undecoded = within.undecoded
            if "SpecificCharacterSet" not in dataset:
                self._declared = within._declared

    def read(self, keyword: str, *, limit: int | None = None) -> str:
        """Return an element as clean text."""
        return clean_text(self._decode(keyword, TEXT_VR_DELIMS), limit=limit)

    def items(self, keyword: str) -> list["Texts"]:
        """Return the items of a sequence: in these character sets, unless they declare others."""
        items = read_value(self._dataset, keyword)
        return [Texts(item, within=self) for item in items] if isinstance(items, Sequence) else []

    def read_key(self, keyword: str) -> str:
        """Return an element by which people are told apart: nothing rather than a guess."""
        text = self.read(keyword)
        return "" if REPLACEMENT in text else text

    def holds_control(self, keyword: str) -> bool:
        """Whether control characters stand inside of a text, of which `read` knows nothing."""
        return CONTROL.search(self._decode(keyword, TEXT_VR_DELIMS).strip()) is not None

    def read_name(self, keyword: str) -> str:
        """Return the first person name of an element with all its component groups."""
        text = self._decode(keyword, PN_DELIMS).partition("\\")[0]
        return str(PersonName.from_text(clean_text(text)))

    def _decode(self, keyword: str, delimiters: set[int]) -> str:
        raw = self._raw(keyword)
        if raw is None:
            return clean_text(read_value(self._dataset, keyword))
        text, is_explained = _decode(raw, self._declared, delimiters)
        if not is_explained:
            self.undecoded[keyword] = base64.b64encode(raw[:LONGEST_KEPT]).decode("ascii")
        return text

    def _raw(self, keyword: str) -> bytes | None:
        try:
            element = self._dataset.get_item(keyword)
        except PARSE_ERRORS:
            return None
        is_raw = isinstance(element, RawDataElement) and isinstance(element.value, bytes)
        return element.value.rstrip(b"\0 ") if is_raw else None


def _declared_sets(dataset: Dataset) -> list[str]:
    declared = clean_text(read_value(dataset, "SpecificCharacterSet"))
    return [term.strip() for term in declared.split("\\")]


def _decode(raw: bytes, declared: list[str], delimiters: set[int]) -> tuple[str, bool]:
    """Return the text, and whether the declared character sets explain every byte of it."""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii"), True
    is_known = all(term in python_encoding for term in declared)
    if not is_known or set(declared) <= DEFAULT_REPERTOIRE:
        return _guess(raw), False
    text = _decode_declared(raw, declared, delimiters)
    is_whole = REPLACEMENT not in text and ESCAPE not in text
    return text.replace(ESCAPE, REPLACEMENT), is_whole


def _decode_declared(raw: bytes, declared: list[str], delimiters: set[int]) -> str:
    if declared[0] in STAND_ALONE:
        # An escape sequence has no place here; it shows as one that wasn't understood.
        return raw.decode(python_encoding[declared[0]], "replace")
    try:
        return str(decode_bytes(raw, convert_encodings(declared), delimiters))
    except PARSE_ERRORS:
        return raw.decode("ascii", "replace")


def _guess(raw: bytes) -> str:
    """Text beyond ASCII for which no known character set is declared: UTF-8 if it can be."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace(ESCAPE, REPLACEMENT)
