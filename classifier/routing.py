"""Which questions a study raises: from modality and body part to tasks."""

import re
from dataclasses import dataclass

from classifier.models import Task
from records.models import Series, Study


@dataclass(frozen=True)
class Route:
    """One task, and the series that it looks at."""

    task: Task
    modalities: frozenset[str]
    body_part: re.Pattern[str]


ROUTES = (
    Route(
        Task.CHEST_XRAY,
        frozenset({"CR", "DX", "RG"}),
        re.compile(r"chest|thorax|lung", re.IGNORECASE),
    ),
    Route(
        Task.LUNG_CT,
        frozenset({"CT"}),
        re.compile(r"chest|thorax|lung", re.IGNORECASE),
    ),
    Route(
        Task.BRAIN_MRI,
        frozenset({"MR"}),
        re.compile(r"head|brain|skull|neuro|cerebr", re.IGNORECASE),
    ),
    Route(
        Task.SKIN_LESION,
        frozenset({"XC", "DMS"}),
        re.compile(r"skin|lesion|dermat", re.IGNORECASE),
    ),
    Route(
        Task.RETINA,
        frozenset({"OP", "XC"}),
        re.compile(r"retina|fundus|eye", re.IGNORECASE),
    ),
)
"""Modality (0008,0060) and Body Part Examined (0018,0015), or where that is empty the
series' or study's description, decide together: neither alone says what the image shows."""


def task_for_series(series: Series, study: Study) -> Task | None:
    """The task that looks at `series`, or None."""
    words = series.body_part_examined or f"{series.description} {study.description}"
    for route in ROUTES:
        if series.modality in route.modalities and route.body_part.search(words):
            return route.task
    return None


def tasks_for_study(study: Study) -> set[str]:
    """Every task that `study` raises; empty where no model looks at this kind of study."""
    found = (task_for_series(series, study) for series in study.series.all())
    return {task.value for task in found if task}
