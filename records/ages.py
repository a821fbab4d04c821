"""Ages as people say them: in years, and for the youngest in months, weeks or days."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Self

AGE_STRING = re.compile(r"(\d{1,3})([DWMY])")
UNITS = {"D": "d", "W": "wk", "M": "mo", "Y": "y"}
DAYS_PER_UNIT = {"d": 1.0, "wk": 7.0, "mo": 30.4375, "y": 365.25}
WEEKS_FROM_DAY = 7
MONTHS_FROM_DAY = 91
YEARS_FROM_MONTH = 24


@dataclass(frozen=True, slots=True)
class Age:
    """A number of days, weeks, months or years; `unit` is "d", "wk", "mo" or "y"."""

    count: int
    unit: str

    def __str__(self) -> str:
        """Write it with its unit: "45 y", "7 mo", "3 wk"."""
        return f"{self.count} {self.unit}"

    @property
    def years(self) -> int:
        """Full years."""
        if self.unit == "y":
            return self.count
        return int(self.count * DAYS_PER_UNIT[self.unit] / DAYS_PER_UNIT["y"])

    @classmethod
    def between(cls, birth_date: dt.date | None, day: dt.date) -> Self | None:
        """The age on `day`: days in the first week, weeks to 13, months to two years, then years.

        None where the birth date is unknown, or later than `day`.
        """
        if birth_date is None or day < birth_date:
            return None
        days = (day - birth_date).days
        if days < WEEKS_FROM_DAY:
            return cls(days, "d")
        if days < MONTHS_FROM_DAY:
            return cls(days // 7, "wk")
        months = (day.year - birth_date.year) * 12 + day.month - birth_date.month
        months -= day.day < birth_date.day
        return cls(months, "mo") if months < YEARS_FROM_MONTH else cls(months // 12, "y")

    @classmethod
    def from_dicom(cls, text: str) -> Self | None:
        """Read an Age String such as 045Y or 003W (PS3.5 6.2); None for anything else."""
        match = AGE_STRING.fullmatch(text.strip().upper())
        return cls(int(match[1]), UNITS[match[2]]) if match else None
