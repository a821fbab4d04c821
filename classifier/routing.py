"""Which questions a study raises: from modality and body part to tasks, as far as those say it."""

import re
from dataclasses import dataclass, field

from classifier.models import Task
from records.models import Series, Study


@dataclass(frozen=True)
class Route:
    """One task, and the series that it looks at.

    `modalities` speak together with `body_part`; `sufficient` ones say it alone. `stated` is the
    modality and body part that stand for the task when a person names it.
    """

    task: Task
    modalities: frozenset[str]
    body_part: re.Pattern[str]
    stated: tuple[str, str]
    sufficient: frozenset[str] = field(default_factory=frozenset)

    def is_named_by(self, modality: str, words: str) -> bool:
        """Tell whether a header with this modality and these words means the task."""
        if modality in self.sufficient:
            return True
        return modality in self.modalities and bool(self.body_part.search(words))


ROUTES = (
    Route(
        Task.CHEST_XRAY,
        frozenset({"CR", "DX", "RG"}),
        re.compile(r"chest|thorax|lung", re.IGNORECASE),
        stated=("CR", "CHEST"),
    ),
    Route(
        Task.LUNG_CT,
        frozenset({"CT"}),
        re.compile(r"chest|thorax|lung", re.IGNORECASE),
        stated=("CT", "CHEST"),
    ),
    Route(
        Task.BRAIN_MRI,
        frozenset({"MR"}),
        re.compile(r"head|brain|skull|neuro|cerebr", re.IGNORECASE),
        stated=("MR", "BRAIN"),
    ),
    Route(
        Task.SKIN_LESION,
        frozenset({"XC"}),
        re.compile(r"skin|lesion|dermat|dermosc", re.IGNORECASE),
        stated=("XC", "SKIN"),
        # Dermoscopy shows skin, whichever part of the body it was taken of.
        sufficient=frozenset({"DMS"}),
    ),
    Route(
        Task.RETINA,
        frozenset({"OP", "XC"}),
        re.compile(r"retina|fundus|\beyes?\b|macula|optic (disc|nerve)", re.IGNORECASE),
        stated=("OP", "EYE"),
    ),
)
"""Modality (0008,0060) and Body Part Examined (0018,0015), or where that is empty the
series' or study's description, decide together: neither alone says what the image shows."""

ROUTE_OF_TASK = {route.task.value: route for route in ROUTES}


def task_for_series(series: Series, study: Study) -> Task | None:
    """The task that `series` names, by its header or by what a person stated; None for none."""
    words = series.known_body_part or f"{series.description} {study.description}"
    for route in ROUTES:
        if route.is_named_by(series.known_modality, words):
            return route.task
    return None


def tasks_for_study(study: Study) -> set[str]:
    """Every task that `study` names; empty where its headers name none."""
    found = (task_for_series(series, study) for series in study.series.all())
    return {task.value for task in found if task}


def possible_tasks(series: Series) -> list[Task]:
    """The tasks that the header of `series` doesn't contradict, in the order of the routes.

    Only a header that leaves its modality or its body part open has any that it doesn't name.
    """
    part = series.body_part_examined
    return [
        route.task
        for route in ROUTES
        if (series.is_modality_open or series.modality in route.modalities | route.sufficient)
        and (not part or route.body_part.search(part))
    ]


def open_series(study: Study) -> list[Series]:
    """The series whose headers leave their task open, where no series of the study names one.

    Beside a series that names its task, a silent one is not asked about: it is a localiser, a
    captured screen or the like.
    """
    if tasks_for_study(study):
        return []
    return [series for series in study.series.all() if possible_tasks(series)]


def tasks_to_state(study: Study) -> list[Task]:
    """The tasks that a person may name for `study`: those which no header of it rules out."""
    allowed = {
        task
        for series in study.series.all()
        if series.is_modality_open or not series.body_part_examined
        for task in possible_tasks(series)
    }
    return [route.task for route in ROUTES if route.task in allowed]
