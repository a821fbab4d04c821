"""Ages as people say them: in years, and for the youngest in months, weeks or days.

The one place where an age is computed: what a page shows is what a model's limits are held to.
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Self

AGE_STRING = re.compile(r"(\d{1,3}) ?([DWMY])")
UNITS = {"D": "d", "W": "wk", "M": "mo", "Y": "y"}
PER_YEAR = {"d": 365.25, "wk": 365.25 / 7, "mo": 12.0, "y": 1.0}
# Nobody got older: a birth date or an age that says so is a mistake or stands for "unknown".
OLDEST_YEARS = 130
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
        return int(self.in_years)

    @property
    def in_years(self) -> float:
        """The same in years, as exact as it is known."""
        return self.count / PER_YEAR[self.unit]

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
        """Read an Age String such as 045Y (PS3.5 6.2), also "3M"; None for anything else."""
        match = AGE_STRING.fullmatch(text.strip().upper())
        return cls(int(match[1]), UNITS[match[2]]) if match else None


def find_age(
    *, birth_date: dt.date | None, study_date: dt.date | None, received: dt.date, stated: str = ""
) -> Age | None:
    """A patient's age at an examination: by the birth date on the study date, else as `stated`.

    Where no study date is known either, by the birth date on the day on which the images were
    `received`. An implausible age (born after the examination, or older than anybody) counts as
    unknown, and the next source is asked. `stated` is Patient's Age (0010,1010).
    """
    sources = (
        Age.between(birth_date, study_date) if study_date else None,
        Age.from_dicom(stated),
        Age.between(birth_date, received) if study_date is None else None,
    )
    return next((age for age in sources if age and age.in_years <= OLDEST_YEARS), None)
