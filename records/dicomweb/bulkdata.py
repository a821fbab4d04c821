"""Values by the addresses that metadata give them: "00880200/1/00282000" and the like."""

import re
from collections.abc import Iterator

from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from records.dicomweb.stored import StoredObject, left_in_file, opened
from records.errors import NoSuchBulkData
from records.intake.values import PARSE_ERRORS
from records.models import Instance

STEP = re.compile(r"[0-9A-F]{8}(/[1-9]\d{0,5}/[0-9A-F]{8})*")


def read_bulk_data(instance: Instance, path: str) -> Iterator[bytes]:
    """Return the pieces of a binary value; raises NoSuchBulkData at once."""
    if not STEP.fullmatch(path):
        raise NoSuchBulkData
    with opened(instance) as stored:
        steps = path.split("/")
        raw = left_in_file(stored.dataset, Tag(steps[0])) if len(steps) == 1 else None
        if raw is not None:
            return _read_long(instance, raw)
        return iter([_find_value(stored, steps)])


def _read_long(instance: Instance, raw: RawDataElement) -> Iterator[bytes]:
    with opened(instance) as stored:
        yield from stored.read_range(raw.value_tell, raw.value_tell + raw.length)


def _find_value(stored: StoredObject, steps: list[str]) -> bytes:
    dataset = stored.dataset
    if Tag(steps[0]) in dataset:
        stored.load(Tag(steps[0]))
    try:
        for tag, number in zip(steps[:-1:2], steps[1::2], strict=True):
            dataset = dataset[Tag(tag)].value[int(number) - 1]
        value = dataset[Tag(steps[-1])].value
    except PARSE_ERRORS as error:
        raise NoSuchBulkData from error
    if not isinstance(value, bytes):
        raise NoSuchBulkData
    return value
