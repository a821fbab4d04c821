"""Which questions a study raises: from modality and body part to tasks, as far as those say it.

Modality (0008,0060) and Body Part Examined (0018,0015), or where that is empty the series' or
study's description, decide together: neither alone says what the image shows.
"""

from classifier.task_registry import STUDY_TASKS
from records.models import Series, Study


def tasks_for_series(series: Series, study: Study) -> list[str]:
    """The tasks that `series` names, by its header or by what a person stated.

    Several are several questions about the same images, unless one yields to another.
    """
    words = series.known_body_part or f"{series.description} {study.description}"
    named = {
        task.name: task for task in STUDY_TASKS if task.is_named_by(series.known_modality, words)
    }
    return [name for name, task in named.items() if task.yields_to.isdisjoint(named)]


def tasks_for_study(study: Study) -> set[str]:
    """Every task that `study` names; empty where its headers name none."""
    return {task for series in study.series.all() for task in tasks_for_series(series, study)}


def possible_tasks(series: Series) -> list[str]:
    """The tasks that the header of `series` doesn't contradict, in the order of their titles.

    Only a header that leaves its modality or its body part open has any that it doesn't name.
    """
    part = series.body_part_examined
    return [
        task.name
        for task in STUDY_TASKS
        if (series.is_modality_open or task.reads(series.modality))
        and (not part or task.words.search(part))
    ]


def open_series(study: Study) -> list[Series]:
    """The series whose headers leave their task open, where no series of the study names one.

    Beside a series that names its task, a silent one is not asked about: it is a localiser, a
    captured screen or the like.
    """
    if tasks_for_study(study):
        return []
    return [series for series in study.series.all() if possible_tasks(series)]


def tasks_to_state(study: Study) -> list[str]:
    """The tasks that a person may name for `study`: those which no header of it rules out."""
    allowed = {
        task
        for series in study.series.all()
        if series.is_modality_open or not series.body_part_examined
        for task in possible_tasks(series)
    }
    return [task.name for task in STUDY_TASKS if task.name in allowed]
