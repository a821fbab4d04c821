"""Whom a data set shows: images by split, source and label, and age and sex where stated."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ml.workshop.datasets.examples import SPLITS, Example

UNKNOWN = "not stated"
UNKNOWN_VALUES = ("", "unknown", "none", "nan", "n/a")
AGE_FACTS = ("age", "age_years", "patient_age")
SEX_FACTS = ("sex", "patient_sex")


@dataclass(frozen=True, slots=True)
class Cell:
    """How many images, of how many groups, have the label in a split of a source.

    `set_label` is the label as the set has it, `population` what the table says of its people.
    """

    split: str
    source: str
    label: str
    set_label: str
    population: str
    images: int
    groups: int


@dataclass(frozen=True, slots=True)
class Ages:
    """Ages in years of the images that state one."""

    images: int
    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class People:
    """What a split of a source states about its people; `sexes` counts images by what is stated."""

    split: str
    source: str
    images: int
    ages: Ages | None
    sexes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Population:
    """A data set's cells, and what is stated of its people; none where nothing is."""

    cells: tuple[Cell, ...]
    people: tuple[People, ...]


def describe_population(examples: Sequence[Example]) -> Population:
    """Count a data set's rows; no image is read."""
    ordered = sorted(examples, key=lambda row: (SPLITS.index(row.split), row.source, row.set_label))
    parts = _divide(
        ordered, lambda row: (row.split, row.source, row.label, row.set_label, row.population)
    )
    cells = [
        Cell(split, source, label, set_label, population, len(rows), _count_groups(rows))
        for (split, source, label, set_label, population), rows in parts.items()
    ]
    people = [
        _describe_people(split, source, rows)
        for (split, source), rows in _divide(ordered, lambda row: (row.split, row.source)).items()
    ]
    return Population(tuple(cells), tuple(one for one in people if one.ages or one.sexes))


def _count_groups(rows: Iterable[Example]) -> int:
    return len({row.group for row in rows})


def _divide(
    examples: Iterable[Example], key: Callable[[Example], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Example]]:
    parts: dict[tuple[str, ...], list[Example]] = {}
    for example in examples:
        parts.setdefault(key(example), []).append(example)
    return parts


def _describe_people(split: str, source: str, rows: Sequence[Example]) -> People:
    ages = [age for row in rows if (age := read_age(_find(row.facts, AGE_FACTS))) is not None]
    sexes = Counter(name_value(_find(row.facts, SEX_FACTS)) for row in rows)
    return People(
        split=split,
        source=source,
        images=len(rows),
        ages=Ages(len(ages), median(ages), min(ages), max(ages)) if ages else None,
        sexes=dict(sorted(sexes.items())) if set(sexes) != {UNKNOWN} else {},
    )


def _find(facts: Mapping[str, str], names: Sequence[str]) -> str:
    return next((facts[name] for name in names if name in facts), "")


def name_value(text: str) -> str:
    """A fact as it is stated, or `not stated`."""
    return UNKNOWN if text.strip().lower() in UNKNOWN_VALUES else text.strip()


def read_age(text: str) -> float | None:
    """An age in years; None for anything that is no number, or nobody's age."""
    try:
        years = float(text.strip().rstrip("Yy"))
    except ValueError:
        return None
    return years if 0 <= years < 130 else None
