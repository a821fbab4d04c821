"""Tolerant reading of header values: whatever a file says, clean values or none come out."""

import datetime as dt
import logging
import re
import struct
import zlib

from pydicom import Dataset, config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue

from ml.images.numbers import as_numbers, first_whole, parse_number

# Broken values are met here on purpose and answered with a verdict, not with a warning each.
config.settings.reading_validation_mode = config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

__all__ = [
    "CONTROL",
    "PARSE_ERRORS",
    "clean_text",
    "parse_number",
    "read_code",
    "read_date",
    "read_floats",
    "read_integer",
    "read_text",
    "read_time",
    "read_value",
]

PARSE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on content that it can't make sense of."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DATE = re.compile(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})")
TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
INTEGER_RANGE = range(-(2**31), 2**31)
EARLIEST_YEAR = 1850


def read_value(dataset: Dataset, keyword: str) -> object:
    """Return an element's value, or None where it is absent or can't be decoded."""
    try:
        return dataset.get(keyword)
    except PARSE_ERRORS:
        return None


def read_text(dataset: Dataset, keyword: str, *, limit: int | None = None) -> str:
    """Return an element as clean text, several values joined as DICOM writes them."""
    return clean_text(read_value(dataset, keyword), limit=limit)


def read_code(dataset: Dataset, keyword: str, *, limit: int) -> str:
    """Return a code string in capitals; cut after that, because some letters become two."""
    return read_text(dataset, keyword).upper()[:limit].strip()


def clean_text(value: object, *, limit: int | None = None) -> str:
    """Turn any value into text that PostgreSQL can hold: no control characters, no halves."""
    if value is None:
        return ""
    if isinstance(value, MultiValue):
        value = "\\".join(str(part) for part in value)
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    try:
        text = str(value)
    except PARSE_ERRORS:
        return ""
    text = CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8").strip()
    return text[:limit].strip() if limit is not None else text


def read_integer(dataset: Dataset, keyword: str) -> int | None:
    """Return the first value of an element that is a whole number, if a row can hold it."""
    number = first_whole(read_value(dataset, keyword))
    return number if number is not None and number in INTEGER_RANGE else None


def read_floats(dataset: Dataset, keyword: str) -> list[float]:
    """Return all values of an element as numbers, or none at all."""
    numbers = as_numbers(read_value(dataset, keyword))
    return [number for number in numbers if number is not None] if None not in numbers else []


def read_date(dataset: Dataset, keyword: str) -> dt.date | None:
    """Return a date written as DICOM does, or with separators as old systems do."""
    match = DATE.fullmatch(clean_text(_first(read_value(dataset, keyword))))
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups())
    try:
        return dt.date(year, month, day) if year >= EARLIEST_YEAR else None
    except ValueError:
        return None


def read_time(dataset: Dataset, keyword: str) -> dt.time | None:
    """Return a time of day, whole or to the precision that was given."""
    match = TIME.fullmatch(clean_text(_first(read_value(dataset, keyword))))
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    try:
        return dt.time(hour, minute, min(second, 59), int((match[4] or "0").ljust(6, "0")))
    except ValueError:
        return None


def _first(value: object) -> object:
    if isinstance(value, MultiValue):
        return value[0] if value else None
    return value
