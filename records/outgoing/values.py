"""Single values by the addresses that metadata give them, and elements by where they lie."""

import io
from collections.abc import Iterator
from typing import Literal

from pydicom.filereader import data_element_generator
from pydicom.tag import Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from records.intake.values import PARSE_ERRORS
from records.outgoing.rewriting import Place
from records.outgoing.stored import META_START, UNDEFINED, StoredObject, left_in_file

Element = tuple[int, str, int, int, bool]
"""Tag, VR (may be ""), start and length of the value, whether an end mark follows it."""

END_MARK_BYTES = 8


def find_value(stored: StoredObject, path: str) -> Place | bytes | None:
    """A binary value by a path such as "00880200/1/00282000", or None where there is none.

    One too long to have been read with the header is told by its place, where it has one.
    """
    steps = path.split("/")
    first = Tag(steps[0])
    raw = left_in_file(stored.dataset, first)
    if raw is not None and len(steps) == 1 and not stored.is_inflated:
        return raw.value_tell, raw.length
    stored.load(first)
    dataset = stored.dataset
    try:
        for tag, number in zip(steps[:-1:2], steps[1::2], strict=True):
            dataset = dataset[Tag(tag)].value[int(number) - 1]
        value = dataset[Tag(steps[-1])].value
    except PARSE_ERRORS:
        return None
    return value if isinstance(value, bytes) else None


def find_elements(stored: StoredObject) -> Iterator[Element]:
    """Yield where the elements of the data set lie in the file, sequences whole."""
    content, is_implicit = stored.content, stored.is_implicit_vr
    is_little_endian = stored.syntax.is_little_endian
    stream = io.BytesIO(content)
    meta_length = int.from_bytes(content[META_START + 8 : META_START + 12], "little")
    start = META_START + 12 + meta_length
    stream.seek(start)
    elements = data_element_generator(stream, is_implicit, is_little_endian)
    for element in elements:
        vr = "" if is_implicit else content[start + 4 : start + 6].decode("latin-1")
        head = 12 if vr in EXPLICIT_VR_LENGTH_32 else 8
        order: Literal["little", "big"] = "little" if is_little_endian else "big"
        size = 4 if head == 12 or not vr else 2
        at = start + head
        length = int.from_bytes(content[at - size : at], order)
        end = stream.tell()
        has_end_mark = length == UNDEFINED and size == 4
        yield element.tag, vr, at, end - at - END_MARK_BYTES * has_end_mark, has_end_mark
        start = end
