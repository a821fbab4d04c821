"""Single values by the addresses that metadata give them."""

from pydicom.tag import Tag

from records.dicom.reading.stored import StoredObject, left_in_file
from records.dicom.reading.values import PARSE_ERRORS
from records.dicom.writing.rewriting import Place


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
