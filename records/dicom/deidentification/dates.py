"""Dates and times as DICOM writes them, moved by whole days (PS3.15 E.3.6)."""

import datetime as dt
import re

# DT: YYYYMMDDHHMMSS.FFFFFF&ZZXX, from the right as short as one likes (PS3.5 6.2).
DATE_TIME = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?((?:\d{2}){0,3}(?:\.\d{1,6})?)((?:[+-]\d{4})?)", re.ASCII
)
DATE = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})", re.ASCII)
TIME = re.compile(r"\d{2}(?::?\d{2}){0,2}(?:\.\d{1,6})?", re.ASCII)


def shift_date(text: str, by: dt.timedelta) -> str:
    """A DA moved by `by`; empty where it is no date."""
    found = DATE.fullmatch(text.strip())
    return _moved(found.groups(), by) if found else ""


def shift_date_time(text: str, by: dt.timedelta) -> str:
    """A DT moved by `by`, as precise as it was; its time of day and its zone stay."""
    found = DATE_TIME.fullmatch(text.strip())
    if found is None or (found[3] is None and found[4]):
        return ""
    moved = _moved((found[1], found[2] or "01", found[3] or "01"), by)
    length = 4 + 2 * sum(part is not None for part in (found[2], found[3]))
    return moved[:length] + found[4] + found[5] if moved else ""


def keep_time(text: str) -> str:
    """A TM as it is; empty where it is no time."""
    return text.strip() if TIME.fullmatch(text.strip()) else ""


def _moved(parts: tuple[str, ...], by: dt.timedelta) -> str:
    year, month, day = (int(part) for part in parts)
    try:
        return f"{dt.date(year, month, day) + by:%Y%m%d}"
    except (ValueError, OverflowError):
        return ""
