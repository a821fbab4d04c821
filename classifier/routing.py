"""Which questions a study raises: from modality and body part to tasks, as far as those say it."""

import re
from dataclasses import dataclass, field

from classifier.choices import Task
from classifier.models import SITE_TASKS
from classifier.site_tasks import SiteTask
from records.models import Series, Study
from records.models.imaging import OPEN_MODALITIES


@dataclass(frozen=True)
class Route:
    """One task, and the series that it looks at.

    `modalities` speak together with `body_part`; `sufficient` ones say it alone. `stated` is the
    modality and body part that stand for the task when a person names it.
    """

    task: str
    modalities: frozenset[str]
    body_part: re.Pattern[str]
    stated: tuple[str, str]
    sufficient: frozenset[str] = field(default_factory=frozenset)

    def is_named_by(self, modality: str, words: str) -> bool:
        """Tell whether a header with this modality and these words means the task."""
        if modality in self.sufficient:
            return True
        return modality in self.modalities and bool(self.body_part.search(words))


_OF_SEVERAL_PARTS = (
    "ABDOMENPELVIS",
    "CHESTABDOMEN",
    "CHESTABDPELVIS",
    "HEADNECK",
    "NECKCHEST",
    "NECKCHESTABDOMEN",
    "NECKCHESTABDPELV",
)
"""Body Part Examined of more parts than one, run together (PS3.16 Annex L)."""

_OWNERS_OF_HEADS = "femoral femur humeral humerus radial fibular metatarsal metacarpal pancreatic"
_HEAD = "".join(f"(?<!{owner} )" for owner in _OWNERS_OF_HEADS.split()) + r"head(?! of\b)"
"""A person's head: bones and the pancreas have one too."""


def _words(*terms: str) -> re.Pattern[str]:
    """A pattern of the terms as words of their own: "head" isn't in "header" or "forehead".

    Only letters make a longer word, so `HEAD_NECK` and `HEAD1` are about a head.
    """
    return re.compile(rf"(?<![^\W\d_])(?:{'|'.join(terms)})(?![^\W\d_])", re.IGNORECASE)


def _terms_of(part: str) -> list[str]:
    """The patterns of one part of the body, alone or run together with others."""
    own = _HEAD if part.upper() == "HEAD" else re.sub(r"[_\\ ]+", "[_ ]?", re.escape(part))
    return [own, *(one for one in _OF_SEVERAL_PARTS if part.upper() in one)]


_CHEST = _words(*_terms_of("chest"), "chest(?:ap|pa|lat)", r"\w*thorax\w*", "lungs?")

SHIPPED_ROUTES = (
    Route(Task.CHEST_XRAY, frozenset({"CR", "DX", "RG"}), _CHEST, stated=("CR", "CHEST")),
    Route(Task.LUNG_CT, frozenset({"CT"}), _CHEST, stated=("CT", "CHEST")),
    Route(
        Task.BRAIN_MRI,
        frozenset({"MR"}),
        # Cerebrospinal fluid and neuromas are looked at in other places.
        _words(*_terms_of("head"), "brain(?:stem)?", "skull", "neuro", r"cerebr(?!ospin)\w*"),
        stated=("MR", "BRAIN"),
    ),
    Route(
        Task.SKIN_LESION,
        frozenset({"XC"}),
        _words("skin", "lesions?", r"dermat\w*", r"dermos\w*"),
        stated=("XC", "SKIN"),
        # Dermoscopy shows skin, whichever part of the body it was taken of.
        sufficient=frozenset({"DMS"}),
    ),
    Route(
        Task.RETINA,
        frozenset({"OP", "XC"}),
        _words(r"retina\w*", "fundus", "eyes?", r"macula\w*", "optic (?:disc|nerve)"),
        stated=("OP", "EYE"),
    ),
)
"""Modality (0008,0060) and Body Part Examined (0018,0015), or where that is empty the
series' or study's description, decide together: neither alone says what the image shows."""


def route_of(task: SiteTask) -> Route:
    """The route of a site's own task, by the scope that its bundle declares.

    A modality that says nothing of the image (OT, SC) may come to its model, but names no task.
    """
    speaking = [one for one in task.modalities if one not in OPEN_MODALITIES]
    return Route(
        task.name,
        frozenset(speaking or task.modalities),
        _words(*(term for part in task.body_parts for term in _terms_of(part))),
        stated=((speaking or task.modalities)[0], task.body_parts[0]),
    )


SITE_ROUTES = tuple(map(route_of, SITE_TASKS))

ROUTES = (*SHIPPED_ROUTES, *SITE_ROUTES)
ROUTE_OF_TASK = {str(route.task): route for route in ROUTES}


def tasks_for_series(series: Series, study: Study) -> list[str]:
    """The tasks that `series` names, by its header or by what a person stated.

    Of those that ship the first; the site's own are further questions about the same images.
    """
    words = series.known_body_part or f"{series.description} {study.description}"
    shipped, own = (
        [str(one.task) for one in routes if one.is_named_by(series.known_modality, words)]
        for routes in (SHIPPED_ROUTES, SITE_ROUTES)
    )
    return [*shipped[:1], *own]


def tasks_for_study(study: Study) -> set[str]:
    """Every task that `study` names; empty where its headers name none."""
    return {task for series in study.series.all() for task in tasks_for_series(series, study)}


def possible_tasks(series: Series) -> list[str]:
    """The tasks that the header of `series` doesn't contradict, in the order of the routes.

    Only a header that leaves its modality or its body part open has any that it doesn't name.
    """
    part = series.body_part_examined
    return [
        str(route.task)
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


def tasks_to_state(study: Study) -> list[str]:
    """The tasks that a person may name for `study`: those which no header of it rules out."""
    allowed = {
        task
        for series in study.series.all()
        if series.is_modality_open or not series.body_part_examined
        for task in possible_tasks(series)
    }
    return [str(route.task) for route in ROUTES if route.task in allowed]
