"""Real series in a data set: the groups whose rows say where each slice stands."""

from collections.abc import Sequence
from dataclasses import dataclass

from ml.workshop.datasets.examples import Example

ORDER, PATIENT_LABEL = "order", "patient_label"
SHORTEST = 2


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """A series among examples: its group, its label, and its rows in order of position."""

    group: str
    label: str
    rows: tuple[int, ...]


def find_series(
    examples: Sequence[Example], labels: Sequence[str], normal_label: str
) -> list[SeriesRows]:
    """The groups of several examples with a whole number as their `order`, by which they stand.

    A series' label is its `patient_label` where that is one of the task's, else the disease that
    any of its slices shows.
    """
    members: dict[str, list[int]] = {}
    for row, example in enumerate(examples):
        if example.facts.get(ORDER, "").strip().isdigit():
            members.setdefault(example.group, []).append(row)
    return [
        SeriesRows(
            group=group,
            label=_find_label([examples[row] for row in rows], labels, normal_label),
            rows=tuple(sorted(rows, key=lambda row: int(examples[row].facts[ORDER]))),
        )
        for group, rows in members.items()
        if len(rows) >= SHORTEST
    ]


def _find_label(members: Sequence[Example], labels: Sequence[str], normal_label: str) -> str:
    stated = members[0].facts.get(PATIENT_LABEL, "")
    if stated in labels:
        return stated
    return next((one.label for one in members if one.label != normal_label), normal_label)
