"""Ages: how they are said, read from a header, and found from what is known."""

import datetime as dt

import pytest

from ml.ages import Age, find_age


@pytest.mark.parametrize(
    ("birth", "day", "said", "years"),
    [
        ("2026-03-01", "2026-03-01", "0 d", 0),
        ("2026-03-01", "2026-03-07", "6 d", 0),
        ("2026-03-01", "2026-03-22", "3 wk", 0),
        ("2026-03-01", "2026-05-30", "12 wk", 0),
        ("2026-03-01", "2026-05-31", "2 mo", 0),
        ("2025-08-15", "2026-03-14", "6 mo", 0),
        ("2025-08-15", "2026-03-15", "7 mo", 0),
        ("2024-02-29", "2026-02-28", "23 mo", 1),
        ("2024-02-29", "2026-03-01", "2 y", 2),
        ("1980-02-29", "2026-02-28", "45 y", 45),
    ],
)
def test_between_says_an_age_as_people_do(birth, day, said, years):
    age = Age.between(dt.date.fromisoformat(birth), dt.date.fromisoformat(day))

    assert (str(age), age.years) == (said, years)


def test_between_knows_no_age_before_birth_or_without_it():
    assert Age.between(None, dt.date(2026, 1, 1)) is None
    assert Age.between(dt.date(2026, 1, 2), dt.date(2026, 1, 1)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("045Y", "45 y"), ("003W", "3 wk"), ("007M", "7 mo"), ("5d", "5 d"), ("45", None), ("", None)],
)
def test_from_dicom_reads_an_age_string(text, said):
    age = Age.from_dicom(text)

    assert (str(age) if age else None) == said


BORN, DAY, LATER = dt.date(2026, 1, 1), dt.date(2026, 3, 1), dt.date(2046, 5, 1)


@pytest.mark.parametrize(
    ("birth_date", "study_date", "stated", "said"),
    [
        (BORN, DAY, "", "8 wk"),
        (BORN, DAY, "040Y", "8 wk"),
        (None, DAY, "003M", "3 mo"),
        # Only the day of receipt is left: what was stated at the examination comes first.
        (BORN, None, "3M", "3 mo"),
        (BORN, None, "", "20 y"),
        # Born after the examination, or older than anybody: somebody's mistake.
        (LATER, DAY, "", "None"),
        (LATER, DAY, "002W", "2 wk"),
        (dt.date(1850, 1, 1), DAY, "", "None"),
        (None, DAY, "999Y", "None"),
        (None, None, "", "None"),
    ],
)
def test_find_age_takes_the_surest_source(birth_date, study_date, stated, said):
    age = find_age(birth_date=birth_date, study_date=study_date, received=LATER, stated=stated)

    assert str(age) == said


@pytest.mark.parametrize(
    ("text", "years"),
    [("012M", 1.0), ("011M", 11 / 12), ("018Y", 18.0), ("052W", 52 * 7 / 365.25), ("000D", 0.0)],
)
def test_in_years_is_exact_at_a_limit(text, years):
    assert Age.from_dicom(text).in_years == pytest.approx(years, abs=1e-12)


@pytest.mark.parametrize("text", [" 003M", "003m", "3M", "03M", "3 m"])
def test_from_dicom_forgives_how_an_age_is_written(text):
    assert str(Age.from_dicom(text)) == "3 mo"
