"""Numbers of a DICOM header as they are written: the one reader of DS, IS and their binary kin.

Some devices write them as their country does, "40,5", or add a unit. A comma is read as a point;
anything else that isn't a number is none, and is never read in part.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset

# PS3.5 6.2: DS and IS, padded with spaces; some writers pad with NUL.
NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
PADDING = " \0"


def parse_number(text: str) -> float | None:
    """The finite number that the whole of a text states, or None."""
    plain = text.strip(PADDING)
    if NUMBER.fullmatch(plain) is None:
        return None
    number = float(plain.replace(",", "."))
    return number if math.isfinite(number) else None


def as_numbers(value: Any) -> list[float | None]:
    """An element's values in their order, None for each that is no number; [] for no value."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        # pydicom's DSfloat and DSdecimal are no texts, its IS and DS of a broken value are.
        value = value.split("\\")
    if value is None or value == [""]:
        return []
    several = isinstance(value, Iterable) and not isinstance(value, str)
    return [_as_number(one) for one in (value if several else [value])]


def read_numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """`as_numbers` of an element; [] where it is absent."""
    return as_numbers(dataset.get(keyword))


def first_number(value: Any) -> float | None:
    """The first of an element's values that is a number; None where none is."""
    return next((number for number in as_numbers(value) if number is not None), None)


def first_whole(value: Any) -> int | None:
    """The first of an element's values that is a whole number; None where none is."""
    numbers = as_numbers(value)
    return next((int(one) for one in numbers if one is not None and one.is_integer()), None)


def _as_number(value: Any) -> float | None:
    if isinstance(value, str | bytes):
        return parse_number(value if isinstance(value, str) else value.decode("ascii", "replace"))
    try:
        number = float(value)
    except (ArithmeticError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
