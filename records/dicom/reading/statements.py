"""What an object says, however it is written: for telling whether two files hold the same one.

Runs in the isolated children. Two files of one object may differ in their transfer syntax, in
lengths that are stated or left open, in padding, and in the character set of the same text.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.values import convert_SQ

from records.dicom.reading.stored import UNDEFINED, PixelElement, StoredObject, item_of, read_stored
from records.dicom.reading.values import PARSE_ERRORS

TEXTS = frozenset(
    ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
)
INDENTED = frozenset(("LT", "ST", "UT"))
"""Texts whose leading spaces mean something (PS3.5 6.2)."""
NUMBERS = {"DS": float, "IS": int}
WORDS = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
"""Bytes that change places with the order of bytes, by value representation."""
ITEM = b"\xfe\xff\x00\xe0"
UNDECODED = "\ufffd"

CHARACTER_SET, PIXEL_DATA, PADDING = 0x00080005, 0x7FE00010, 0xFFFCFFFC
PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION = 0x00280004, 0x00280006
OF_ENCODING = frozenset(
    (CHARACTER_SET, PADDING, PLANAR_CONFIGURATION, 0x7FE00001, 0x7FE00002, 0x7FE00003)
)
"""Elements that say how the others, or the pixels, are written."""

TOLD_BY_COMPRESSORS = ("00082111", "00089215")
"""Derivation Description and its codes: what compresses an image without loss may add them."""
LOSSY_COMPRESSION = "00282110"
COMPRESSED = "compressed"
"""Stands for the pixels of an icon that were compressed with those of its image (PS3.5 8.2)."""

Words = tuple[str, str]
"""Digests of a value's bytes, and of what they mean where that can be told; either may be ""."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What an object says: its values by the path of their elements, and its pixels as they lie.

    `pixels` is a digest, "" without any; `can_be_unpacked` tells whether two that differ in it
    may hold the same picture all the same.
    """

    values: Mapping[str, Words]
    pixels: str
    can_be_unpacked: bool

    def agrees_with(self, other: "Statement") -> bool:
        """Whether everything but the pixels is the same."""
        if bool(self.pixels) != bool(other.pixels):
            return False
        one_sided = (self._lacks(other), other._lacks(self))
        if not all(_says_nothing(words) for lacking in one_sided for words in lacking.items()):
            return False
        shared = self.values.keys() & other.values.keys()
        return all(_agree(self.values[path], other.values[path]) for path in shared)

    def _lacks(self, other: "Statement") -> dict[str, Words]:
        """What another one says, and this one doesn't, but for what compressors tell of it."""
        missing = other.values.keys() - self.values.keys()
        told = [tag for tag in TOLD_BY_COMPRESSORS if tag in missing]
        return {path: other.values[path] for path in missing if path[:8] not in told}

    def to_json(self) -> bytes:
        """As text, on its way out of a child."""
        found = {
            "values": dict(self.values),
            "pixels": self.pixels,
            "can_be_unpacked": self.can_be_unpacked,
        }
        return json.dumps(found).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Statement":
        """Read what a child said; raises ValueError for anything else."""
        found = json.loads(text)
        match found:
            case {"values": dict(values), "pixels": str(pixels), "can_be_unpacked": bool(can)}:
                if all(_are_words(words) for words in values.values()):
                    return cls(values, pixels, can)
        raise ValueError("not a statement")


def read_statement(content: bytes) -> Statement:
    """Say what a DICOM file says. Raises what pydicom does for one that is broken."""
    stored = read_stored(content)
    stored.load_all()
    values: dict[str, Words] = {}
    left_out = OF_ENCODING
    if _count_samples(stored.dataset) > 1:
        # Colours are compared as RGB, whatever they are written as.
        left_out = left_out | {PHOTOMETRIC_INTERPRETATION}
    has_overlay_in_pixels = _has_overlay_in_pixels(stored.dataset)
    pixels = "" if stored.pixels is None else _digest_pixels(stored, stored.pixels)
    _add_values(values, stored.dataset, "", left_out)
    return Statement(values, pixels, bool(pixels) and not has_overlay_in_pixels)


def _agree(one: Words, other: Words) -> bool:
    """By what the values mean, where both can be told; else by their very bytes."""
    if one[1] and other[1]:
        return one[1] == other[1]
    return one[0] == other[0] or COMPRESSED in (one[0], other[0])


def _says_nothing(told: tuple[str, Words]) -> bool:
    """Whether an element that one of two objects lacks says what its absence says too."""
    path, words = told
    return path == LOSSY_COMPRESSION and words[1] == _digest(b"=00")


def _are_words(words: object) -> bool:
    return isinstance(words, list) and len(words) == 2 and all(isinstance(w, str) for w in words)


def _add_values(
    found: dict[str, Words], dataset: Dataset, place: str, left_out: frozenset[int]
) -> None:
    # First as they were read: asking for one value may have pydicom convert another.
    raws = {tag: item_of(dataset, tag) for tag in sorted(dataset.keys())}
    for tag, raw in raws.items():
        if tag.element == 0 or tag in left_out:
            continue
        path = f"{place}{tag:08X}"
        element = _parsed(dataset, tag)
        items = None if element is None else _items_of(element)
        if not items:
            found[path] = _words(raw, element) if items is None else ("", "")
            continue
        found[path] = (str(len(items)), "")
        for number, item in enumerate(items, 1):
            _add_values(found, item, f"{path}/{number}/", frozenset((CHARACTER_SET, PADDING)))


def _parsed(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        found: DataElement = dataset[tag]
    except PARSE_ERRORS:
        return None
    return found


def _items_of(element: DataElement) -> list[Dataset] | None:
    """The items of a sequence, also of one whose type was lost on its way (PS3.5 6.2.2)."""
    if element.VR == "SQ":
        return list(element.value)
    if element.VR != "UN" or not isinstance(element.value, bytes):
        return None
    if not element.value.startswith(ITEM):
        return None
    try:
        items = list(convert_SQ(element.value, True, True))  # noqa: FBT003 - pydicom's
        for item in items:
            list(item.keys())
    except PARSE_ERRORS:
        return None
    return items


def _words(raw: object, element: DataElement | None) -> Words:
    if getattr(raw, "tag", None) == PIXEL_DATA and _is_open(raw):
        return COMPRESSED, ""
    meaning = None if element is None else _meaning_of(element)
    value = _little_endian(raw) if isinstance(raw, RawDataElement) else str(raw).encode()
    return _digest(value), "" if meaning is None else _digest(b"=" + meaning.encode())


def _is_open(raw: Any) -> bool:
    """Whether an element was written without its length, as compressed pixels are."""
    return getattr(raw, "length", 0) == UNDEFINED or getattr(raw, "is_undefined_length", False)


def _little_endian(raw: RawDataElement) -> bytes:
    value = raw.value or b""
    word = WORDS.get(raw.VR or "", 1)
    if raw.is_little_endian or word == 1 or len(value) % word:
        return value
    return np.frombuffer(value, f"u{word}").byteswap().tobytes()


def _meaning_of(element: DataElement) -> str | None:
    """A text, or a number that is written as one, without padding; None where it has to be bytes.

    Numbers in binary are their bytes; a text that can't be decoded is no text.
    """
    vr, value = str(element.VR), element.value
    if vr not in TEXTS and vr not in NUMBERS:
        return None
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    try:
        told = "\\".join(_plain(vr, each) for each in values)
        return None if UNDECODED in told else told
    except PARSE_ERRORS:
        return None


def _plain(vr: str, value: Any) -> str:
    text = "" if value is None else str(value)
    if vr == "PN":
        return "=".join(group.rstrip("^ \0") for group in text.split("=")).rstrip("=")
    text = text.rstrip(" \0") if vr in INDENTED else text.strip(" \0")
    if vr in NUMBERS and text:
        try:
            return repr(NUMBERS[vr](text))
        except ValueError:
            return text
    return text


def _digest(value: bytes) -> str:
    return hashlib.blake2b(value, digest_size=16).hexdigest() if value else ""


def _digest_pixels(stored: StoredObject, pixels: PixelElement) -> str:
    """Of the bytes of the pixels, and of what says how they are to be read."""
    value = memoryview(stored.content)[pixels.start : min(pixels.end, len(stored.content))]
    digest = hashlib.blake2b(digest_size=16)
    dataset = stored.dataset
    how = [f"{pixels.tag:08X}", str(dataset.get("PhotometricInterpretation", "")).strip()]
    how.append(str(dataset.get("PlanarConfiguration") or 0))
    how.append(str(dataset.file_meta.TransferSyntaxUID) if pixels.is_encapsulated else "")
    how.append("" if stored.syntax.is_little_endian else "big endian")
    digest.update("|".join(how).encode())
    digest.update(value)
    return digest.hexdigest()


def _count_samples(dataset: Dataset) -> int:
    try:
        return int(dataset.get("SamplesPerPixel") or 1)
    except PARSE_ERRORS:
        return 1


def _has_overlay_in_pixels(dataset: Dataset) -> bool:
    """Whether bits of the pixels that mean nothing as grey levels may hold an overlay (retired)."""
    # The keys of a data set: iterating over it would parse every value.
    found = {(tag.group, tag.element) for tag in dataset.keys()}  # noqa: SIM118 - see above
    overlays = [group for group, element in found if element == 0x0102 and group >> 8 == 0x60]
    return any((group, 0x3000) not in found for group in overlays)
