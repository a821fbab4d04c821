"""What images look like to the body-part model, beside what their headers say of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from classifier.inference.bundles import Router
from classifier.task_registry import IMAGE_NAMES, ROUTER_LABELS
from ml.router import Kinds, Routing, agree, compare_routing
from records.models import Series

CHOSEN, NO_HEADER = "chosen", "no_header"
"""The agreement of a series whose header names no task: the image decided it, or nothing did."""

KINDS = Kinds(labels=ROUTER_LABELS, names=IMAGE_NAMES)
"""The kinds of image that the tasks here know."""

MIN_SURE_SHARE = 0.25
"""Part of a series' frames that must be sure: in a long series, a single slip decides nothing."""


class Source(StrEnum):
    """Who says what a series shows."""

    HEADER = "header"
    PERSON = "person"
    IMAGE = "image"


@dataclass(frozen=True)
class SeriesLook:
    """A series as the router sees it: the verdict of its frames together."""

    series_id: str
    routing: Routing
    frames: int
    sure_frames: int

    @property
    def sentence(self) -> str:
        """What it looks like, with the number of frames that surely do."""
        name, probability = name_of(self.routing), self.routing.probability
        if not self.sure_frames:
            return (
                f"The body-part model is not sure: perhaps {name} (probability {probability:.2f})."
            )
        return (
            f"The body-part model saw {name} "
            f"({self.sure_frames} of {self.frames} images, probability {probability:.2f})."
        )


def source_of(series: Series, chosen: Sequence[str]) -> Source:
    """Who says what `series` shows; `chosen` are the ids that the image decided."""
    if str(series.pk) in chosen:
        return Source.IMAGE
    is_stated = bool(series.stated_modality or series.stated_body_part)
    return Source.PERSON if is_stated else Source.HEADER


def name_of(routing: Routing) -> str:
    """What staff call the kind of image that was seen."""
    return KINDS.name_of(routing.label)


def judge_series(series_id: str, routings: Sequence[Routing]) -> SeriesLook:
    """One verdict for a series: what most of its sure frames look like.

    Sure are those whose own routing is. The verdict is sure when more than half of them agree
    and they are enough of the series; a localiser or a stray frame then changes nothing.
    """
    sure = [one for one in routings if one.is_sure]
    if not sure:
        guess = max(routings, key=lambda one: one.probability)
        return SeriesLook(series_id, guess, len(routings), 0)
    ((label, votes),) = Counter(one.label for one in sure).most_common(1)
    voters = [one for one in sure if one.label == label]
    verdict = replace(
        voters[0],
        probability=sum(one.probability for one in voters) / votes,
        is_sure=2 * votes > len(sure) and len(sure) >= MIN_SURE_SHARE * len(routings),
    )
    return SeriesLook(series_id, verdict, len(routings), votes)


def disagreement(task: str, routing: Routing, source: Source) -> str | None:
    """Why a task's answer must not be given for what was seen; None when nothing speaks surely
    against it.
    """
    found = compare_routing(task, routing, KINDS)
    if found is None:
        return None
    said, seen = KINDS.name_of(KINDS.labels[task]), name_of(routing)
    return {
        Source.HEADER: found.reason,
        Source.PERSON: f"A person stated {said}, the image looks like {seen}.",
        Source.IMAGE: f"The series looks like {said}, this image like {seen}.",
    }[source]


def record_looks(
    looks: Sequence[SeriesLook], *, router: Router, task: str, chosen: Sequence[str]
) -> dict[str, Any]:
    """What a classification keeps of the routing: the largest series' look, and every one's.

    `task` is the classification's own, empty while it has none; `chosen` are the ids of the
    series that the image brought to it.
    """
    series = {
        look.series_id: _entry(look, task, is_chosen=look.series_id in chosen) for look in looks
    }
    leading = max(looks, key=lambda look: (look.series_id in chosen, look.frames))
    return {
        **series[leading.series_id],
        "chosen": bool(chosen),
        "model_digest": router.version.digest,
        "model_version": str(router.version),
        "stage": router.version.stage,
        "series": series,
    }


def _entry(look: SeriesLook, task: str, *, is_chosen: bool) -> dict[str, Any]:
    compared = agree(look.routing, task, KINDS).code if task else NO_HEADER
    return {
        "label": look.routing.label,
        # What was decided stays, should a later router see something else.
        "task": task or look.routing.task if is_chosen else look.routing.task,
        "probability": round(look.routing.probability, 6),
        "is_sure": look.routing.is_sure,
        "agreement": CHOSEN if is_chosen else compared,
        "frames": look.frames,
        "sure_frames": look.sure_frames,
    }
