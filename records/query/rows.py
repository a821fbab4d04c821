"""How the rows of a level are reached, and what each says of an attribute."""

from collections.abc import Callable
from functools import reduce
from typing import Any

from records.dicom.attributes import INSTANCE, SERIES, STUDY, Attribute, Level
from records.dicom.names import PersonName
from records.models import Instance, Series, Study

MODELS: dict[Level, type[Study] | type[Series] | type[Instance]] = {
    STUDY: Study,
    SERIES: Series,
    INSTANCE: Instance,
}

PARENT_PATHS: dict[tuple[Level, Level], str] = {
    (SERIES, STUDY): "study",
    (INSTANCE, SERIES): "series",
    (INSTANCE, STUDY): "series__study",
}
"""How rows of a level lead to those above them."""

COMPUTED: dict[str, Callable[[Any], object]] = {
    "InstanceAvailability": lambda row: "ONLINE",
    "NumberOfFrames": lambda instance: instance.number_of_frames or None,
}
"""What rows say otherwise than by a column, by keyword."""


def owner_of(row: Any, level: Level, owner: Level) -> Any:
    """The row itself, or the series or study that it belongs to."""
    if level == owner:
        return row
    for name in PARENT_PATHS[level, owner].split("__"):
        row = getattr(row, name)
    return row


def values_of(attribute: Attribute, row: Any) -> tuple[Any, ...]:
    """The values that a row of the attribute's level has of it; a name with all its groups."""
    if attribute.keyword in COMPUTED:
        return (COMPUTED[attribute.keyword](row),)
    value = reduce(getattr, attribute.column.split("."), row)
    if isinstance(value, list):
        return tuple(value)
    return (str(value),) if isinstance(value, PersonName) else (value,)
