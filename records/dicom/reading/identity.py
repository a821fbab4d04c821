"""Which object the first bytes of a file belong to, before the whole of it has come.

A few elements are looked up by stepping over all others: nothing is parsed here. What they say
names an object whose header can't be read, and tells rules of departments what comes; the whole
header is asked again before anything is filed.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from pydicom.uid import DeflatedExplicitVRLittleEndian

from ml.inflating import NotInflated, inflate
from records.dicom.reading.preamble import LONG_VRS, META_GROUP, PREAMBLE, states_vr
from records.dicom.reading.stored import UNDEFINED

FIRST_BYTES = 64 * 1024
MOST_ELEMENTS = 5000
"""Before these stand some dozens, those of nested items included.
A derived image names many sources."""

SYNTAX, SOURCE_AE_TITLE = 0x00020010, 0x00020016
SOP_CLASS, SOP_INSTANCE = 0x00080016, 0x00080018
MODALITY, BODY_PART = 0x00080060, 0x00180015
LOOKED_UP = (SOP_CLASS, SOP_INSTANCE, MODALITY, BODY_PART, SOURCE_AE_TITLE)
ITEM_GROUP = 0xFFFE
ITEM_ENDS = (0xE00D, 0xE0DD)
LONGEST_UID = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of an object, and what it is an image of, as far as its first bytes say."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    modality: str = ""
    body_part: str = ""
    source_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class _Element:
    """An element at the top of a data set: where it begins, and where its value lies."""

    tag: int
    start: int
    value: bytes


def identify(content: bytes) -> Identity:
    """What `content`, the first bytes of a file, says of its object; what is broken says less."""
    found: dict[int, str] = {}
    # What is broken, or not all here yet, ends the search.
    with suppress(struct.error, NotInflated):
        for element in _data_set(content):
            if element.tag in LOOKED_UP:
                found[element.tag] = _text(element.value)
            if element.tag >= BODY_PART:
                break
    return Identity(*(found.get(tag, "") for tag in LOOKED_UP))


def _data_set(content: bytes) -> Iterator[_Element]:
    start = len(PREAMBLE) if content.startswith(PREAMBLE[-4:], len(PREAMBLE) - 4) else 0
    syntax = ""
    for element in _elements(content, start, is_explicit=True, order="<"):
        if element.tag >> 16 != META_GROUP:
            start = element.start
            break
        if element.tag == SOURCE_AE_TITLE:
            yield element
        if element.tag == SYNTAX:
            syntax = _text(element.value)
    if syntax == DeflatedExplicitVRLittleEndian:
        content = inflate(content[start:], limit=FIRST_BYTES, is_start=True)
        start = 0
    # The group of the first element is a small number: one of its bytes is zero, the first
    # where the order is that of network protocols.
    order = ">" if content[start : start + 1] == b"\0" else "<"
    yield from _elements(
        content, start, is_explicit=states_vr(content[start : start + 6]), order=order
    )


def _elements(content: bytes, at: int, *, is_explicit: bool, order: str) -> Iterator[_Element]:
    """Yield the elements at the top; raises struct.error where the bytes end."""
    depth = 0
    for _ in range(MOST_ELEMENTS):
        group, number, length = struct.unpack_from(f"{order}HHL", content, at)
        value_at = at + 8
        # What is nested in an element of unknown type is written without types.
        if is_explicit and group != ITEM_GROUP and (depth == 0 or states_vr(content[at : at + 6])):
            if content[at + 4 : at + 6] in LONG_VRS:
                (length,) = struct.unpack_from(f"{order}L", content, at + 8)
                value_at = at + 12
            else:
                (length,) = struct.unpack_from(f"{order}H", content, at + 6)
        if group == ITEM_GROUP and number in ITEM_ENDS:
            depth = max(depth - 1, 0)
        elif length == UNDEFINED:
            depth += 1
        elif depth == 0:
            value = content[value_at : value_at + min(length, LONGEST_UID + 1)]
            yield _Element(group << 16 | number, at, value)
        at = value_at + (0 if length == UNDEFINED else length)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")[:LONGEST_UID]
