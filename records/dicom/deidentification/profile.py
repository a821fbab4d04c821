"""What the standard says of each attribute: PS3.15 Table E.1-1, read from `table_e1_1.csv`.

The table has all rows of one edition, and of its columns the basic profile and the three options
that are offered. What pydicom's dictionary doesn't know goes whatever an option says of it.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydicom.datadict import dictionary_has_tag
from pydicom.tag import BaseTag

EDITION = "2026d"
TABLE = Path(__file__).with_name("table_e1_1.csv")
DATE_VRS = frozenset({"DA", "DT", "TM"})


class Action(StrEnum):
    """The action codes of PS3.15 E.1, the combined ones already resolved."""

    DUMMY = "D"
    EMPTY = "Z"
    REMOVE = "X"
    KEEP = "K"
    CLEAN = "C"
    NEW_UID = "U"
    RECURSE = "U*"


@dataclass(frozen=True, slots=True)
class Options:
    """Which options of PS3.15 E.3 apply beside the basic profile and Clean Pixel Data.

    `retain_dates` is Retain Longitudinal Temporal Information With Modified Dates.
    """

    retain_dates: bool = False
    retain_device: bool = False
    retain_patient: bool = False


BASIC = Options()


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute's action codes, as the table writes them; empty where an option is silent."""

    keyword: str
    basic: str
    device: str
    patient: str
    dates: str


# What is always legal, whatever type the IOD gives the attribute: a dummy satisfies type 1, an
# empty value type 2. A sequence can have no dummy, so it goes where the table allows that.
RESOLVED = {
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.RECURSE,
}


def action_for(tag: BaseTag, vr: str, options: Options = BASIC) -> Action | None:
    """Return what to do with a public attribute, or None where the table doesn't name it.

    An option that asks to clean falls back to the basic profile, except for dates: text can't
    be cleaned by a machine. A device's dates stay with the other dates alone, which they betray.
    """
    row = rows().get(f"{int(tag):08X}")
    if row is None:
        return None
    is_date = vr in DATE_VRS
    if is_date and options.retain_dates and row.dates:
        return Action.CLEAN
    is_kept = "K" in (row.device * options.retain_device, row.patient * options.retain_patient)
    return Action.KEEP if is_kept and not is_date else _basic(row.basic, vr)


def _basic(code: str, vr: str) -> Action:
    if vr == "SQ" and code in ("D", "X/D", "X/Z/D"):
        return Action.REMOVE
    if vr == "UI" and code == "D":
        return Action.NEW_UID
    return RESOLVED.get(code) or Action(code)


def is_device_attribute(tag: BaseTag) -> bool:
    """Tell whether the option Retain Device Identity keeps the attribute."""
    row = rows().get(f"{int(tag):08X}")
    return row is not None and row.device == "K"


def is_known(tag: BaseTag) -> bool:
    """Tell whether an attribute is public, in the dictionary and in no group that always goes.

    Private attributes, group lengths, commands, directories, curves (50xx), overlays (60xx) and
    whatever follows the pixels go without being looked at.
    """
    group = tag.group
    return (
        not tag.is_private
        and tag.element != 0
        and 0x0008 <= group < 0xFFFA
        and group & 0xFF00 not in (0x5000, 0x6000)
        and dictionary_has_tag(tag)
    )


@cache
def rows() -> dict[str, Row]:
    """The table by tag, eight hexadecimal digits."""
    with TABLE.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    return {line.pop("tag").upper(): Row(**line) for line in found}
