"""The rule that tells whether a bundle's heat maps are shown openly, and why not."""

from collections.abc import Iterator, Mapping

from ml.manifest import SUPPORTED, UNPROVEN, Metric
from ml.workshop.task_config import ReleaseConfig, TaskConfig


def judge_maps(
    figures: Mapping[str, Metric], config: TaskConfig, *, has_masks: bool
) -> tuple[str, tuple[str, ...]]:
    """The maps' standing, and a sentence for staff for each part of the rule that isn't kept.

    Judged is the end of the interval that speaks against the maps; a figure that wasn't measured,
    or rests on too few images or groups, keeps nothing.
    """
    parts = [_judge_places(figures, config)]
    parts += [_judge_masks(figures, config)] if has_masks else [_judge_normal(figures, config)]
    reasons = tuple(reason for part in parts for reason in part)
    return (UNPROVEN if reasons else SUPPORTED), reasons


def _judge_places(figures: Mapping[str, Metric], config: TaskConfig) -> Iterator[str]:
    found = figures.get("same_place")
    if found is None or _is_too_little(found, config.release):
        yield f"Only {found.asked if found else 0} disease answers were measured."
    elif found.high > config.maps.max_same_place:
        yield f"{found.value:.0%} of their peaks lie in one place of the image, whatever it shows."


def _judge_masks(figures: Mapping[str, Metric], config: TaskConfig) -> Iterator[str]:
    found, rule = figures.get("peak_on_mask"), config.maps
    if found is None or _is_too_little(found, config.release):
        yield f"Only {found.asked if found else 0} images with a mask of {rule.region} were had."
        return
    above = figures.get("peak_above_others")
    if found.low < rule.min_on_mask:
        yield f"{found.value:.0%} of their peaks lie on {rule.region}."
    elif above is None or above.low <= 0:
        yield (
            f"Their peaks lie on {rule.region} of the image hardly more often than where "
            "those of other images lie."
        )


def _judge_normal(figures: Mapping[str, Metric], config: TaskConfig) -> Iterator[str]:
    found = figures.get("normal_likeness")
    if found is None:
        yield "They were not compared with those of normal images."
    elif found.high > config.maps.max_normal_likeness:
        yield f"They resemble those of normal images (correlation {found.value:.2f})."


def _is_too_little(metric: Metric, release: ReleaseConfig) -> bool:
    return metric.asked < release.min_images or metric.groups < release.min_groups
