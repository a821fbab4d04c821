"""What the entries of a task file may be: bounds, names, and what must fit together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.aggregation import AGGREGATIONS
from ml.inputs import input_rules
from ml.manifest import MAX_MAP_SCALE
from ml.series import KINDS
from ml.typed_tables import Problem, suggest_name
from ml.workshop.backbones import BACKBONE_LIMITS, IMAGENET, NONE, TORCH_SUFFIX, WEIGHT_SUFFIXES
from ml.workshop.figure_names import find_gate_problems

if TYPE_CHECKING:
    from ml.workshop.task_config import TaskConfig

# What a network can be kept for; less is better of those that end in `loss`.
MONITORS = ("robust_loss", "val_loss", "val_macro_auc", "val_balanced_accuracy")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "auto")
CHOICES: dict[str, tuple[str, ...]] = {
    "stage": ("released", "research"),
    "input.colour": ("grey", "rgb"),
    "input.contrast": ("stretched", "as_shown"),
    "model.backbone": tuple(BACKBONE_LIMITS),
    "training.loss": ("cross_entropy", "focal"),
    "training.sampling": ("weighted", "balanced"),
    "training.precision": PRECISIONS,
    "training.monitor": MONITORS,
    "decision.aggregation": tuple(AGGREGATIONS),
    "decision.series": ("", *KINDS),
}
# Inclusive ends.
WHOLE_BOUNDS: dict[str, tuple[int, int]] = {
    "data.limit_per_label": (0, 10_000_000),
    "input.size": (16, 1024),
    "training.epochs": (1, 1000),
    "training.batch_size": (1, 4096),
    "training.frozen_epochs": (0, 1000),
    "training.patience": (0, 1000),
    "training.seed": (0, 2**63 - 1),
    "scope.min_side": (1, 10_000),
}
# The range in words, whether its lower and its upper end belong to it.
NUMBER_BOUNDS: dict[str, tuple[float, float, bool, bool]] = {
    "model.width": (0, 4, False, True),
    "model.dropout": (0, 1, True, False),
    "augmentation.move_share": (0, 1, True, True),
    "augmentation.rotation_degrees": (0, 180, True, True),
    "augmentation.shift": (0, 1, True, False),
    "augmentation.zoom_in": (0, 1, True, False),
    "augmentation.zoom_out": (0, 4, True, True),
    "augmentation.aspect": (0, 1, True, False),
    "augmentation.expose_share": (0, 1, True, True),
    "augmentation.gamma": (0, 4, True, True),
    "augmentation.contrast": (0, 1, True, True),
    "augmentation.brightness": (0, 1, True, True),
    "augmentation.equalize_share": (0, 1, True, True),
    "augmentation.resolution_share": (0, 1, True, True),
    "augmentation.min_resolution": (0, 1, False, True),
    "augmentation.sharpen_share": (0, 1, True, True),
    "augmentation.erase_share": (0, 1, True, True),
    "augmentation.erase_side": (0, 1, True, True),
    "augmentation.noise_share": (0, 1, True, True),
    "augmentation.noise": (0, 1, True, True),
    "augmentation.mix_share": (0, 1, True, True),
    "augmentation.mix_alpha": (0, 100, True, True),
    "augmentation.blur_share": (0, 1, True, True),
    "augmentation.blur": (0, 0.1, True, True),
    "augmentation.compress_share": (0, 1, True, True),
    "augmentation.min_quality": (1, 95, True, True),
    "augmentation.colour_share": (0, 1, True, True),
    "augmentation.hue": (0, 0.5, True, True),
    "augmentation.saturation": (0, 4, True, True),
    "augmentation.white_balance": (0, 4, True, True),
    "augmentation.constancy_share": (0, 1, True, True),
    "augmentation.style_share": (0, 1, True, True),
    "augmentation.style": (0, 1, True, True),
    "augmentation.square_share": (0, 1, True, True),
    "augmentation.frame_share": (0, 1, True, True),
    "augmentation.mark_share": (0, 1, True, True),
    "training.learning_rate": (0, 10, False, True),
    "training.warmup_share": (0, 1, True, False),
    "training.weight_decay": (0, 10, True, True),
    "training.focal_gamma": (0, 10, True, True),
    "training.label_smoothing": (0, 1, True, False),
    "training.balance_power": (0, 2, True, True),
    "training.source_power": (0, 1, True, True),
    "training.average_decay": (0, 1, True, False),
    "training.unfreeze_from": (0, 1, True, True),
    "training.turned_share": (0, 1, True, False),
    "decision.target_recall": (0, 1, False, False),
    "decision.band_error": (0, 1, True, False),
    "decision.band_share": (0, 1, True, True),
    "decision.series_false_alarms": (0, 1, False, False),
    "decision.quality_refusal": (0, 0.5, True, True),
    "decision.coverage": (0, 1, True, False),
    "decision.prevalence": (0, 1, True, False),
    "decision.min_npv": (0, 1, True, False),
    "decision.transfer_recall": (0, 1, True, False),
    "decision.transfer_specificity": (0, 1, True, False),
    "decision.min_specificity": (0, 1, True, False),
    "maps.scale": (1, MAX_MAP_SCALE, True, True),
    "maps.min_on_mask": (0, 1, True, True),
    "maps.max_same_place": (0, 1, True, True),
    "maps.max_normal_likeness": (-1, 1, True, True),
    "scope.min_age_years": (0, 150, True, True),
    "scope.max_age_years": (0, 150, True, True),
    "scope.max_aspect_ratio": (1, 1000, True, True),
    "scope.max_validation_refusal": (0, 1, True, False),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What must fit together: the entries it is about, in words, and whether it is kept."""

    places: tuple[str, ...]
    text: str
    is_kept: bool


def find_problems(config: "TaskConfig", known: Sequence[Problem]) -> list[Problem]:
    """Every value out of bounds, unknown name and broken rule, beside the problems known before.

    What rests on an entry that is known to be wrong isn't judged.
    """
    spoilt = {problem.place.partition("[")[0] for problem in known}
    found = [one for one in _find_wrong_values(config) if not _touches(spoilt, (one.place,))]
    spoilt |= {problem.place for problem in found}
    found += [
        Problem(rule.places[0], rule.text)
        for rule in (
            *_data_rules(config),
            *_fitting_rules(config),
            *_routing_rules(config),
            *_backbone_rules(config),
        )
        if not rule.is_kept and not _touches(spoilt, rule.places)
    ]
    if not _touches(spoilt, ("gate", "data.labels", "data.external", "decision")):
        found += find_gate_problems(config)
    return found


def find_missing_files(config: "TaskConfig") -> list[Problem]:
    """The files that a training needs and that aren't there."""
    weights = config.model.weights
    if weights in (NONE, IMAGENET) or Path(weights).exists():
        return []
    hint = "; `make backbones` fetches it" if weights.startswith("var/backbones/") else ""
    return [Problem("model.weights", f"no weights file {weights}{hint}")]


def _touches(spoilt: set[str], places: Sequence[str]) -> bool:
    """Whether a place is spoilt itself, or lies in a table that is, or a part of it is."""
    return any(
        place == one or place.startswith(f"{one}.") or one.startswith(f"{place}.")
        for place in places
        for one in spoilt
    )


def _find_wrong_values(config: "TaskConfig") -> Iterator[Problem]:
    for place, names in CHOICES.items():
        value = attrgetter(place)(config)
        if value not in names:
            hint = suggest_name(value, names)
            yield Problem(place, f"{value!r} must be one of {', '.join(names)}{hint}")
    for place, (low, high) in WHOLE_BOUNDS.items():
        if not low <= attrgetter(place)(config) <= high:
            yield Problem(place, f"{attrgetter(place)(config)} must lie in [{low}, {high}]")
    for place, (least, most, has_least, has_most) in NUMBER_BOUNDS.items():
        value = attrgetter(place)(config)
        is_end = (has_least and value == least) or (has_most and value == most)
        if not (is_end or least < value < most):
            ends = f"{'[' if has_least else '('}{least:g}, {most:g}{']' if has_most else ')'}"
            yield Problem(place, f"{value:g} must lie in {ends}")


def _data_rules(config: "TaskConfig") -> Iterator[Rule]:
    data, decision, scope = config.data, config.decision, config.scope
    labels, listed = set(data.labels), ", ".join(data.labels)
    yield Rule(("data.labels",), "must name two labels at least", len(data.labels) > 1)
    yield Rule(("data.labels",), "must not repeat", len(labels) == len(data.labels))
    yield Rule(("data.labels",), "must not be empty text", "" not in labels)
    yield _of_labels("data.normal_label", [data.normal_label], listed, labels)
    yield _of_labels("data.mapping", data.mapping.values(), listed, labels)
    for number, extra in enumerate(data.extra, start=1):
        place = f"data.extra[{number}]"
        yield _of_labels(f"{place}.mapping", extra.mapping.values(), listed, labels)
        is_limit = extra.limit_per_cell >= 0
        yield Rule((f"{place}.limit_per_cell", "data.extra"), "must not be negative", is_limit)
        is_split = set(extra.splits) <= {"train", "val", "test"}
        text = "must be of train, val and test"
        yield Rule((f"{place}.splits", "data.extra"), text, is_split)
    for number, external in enumerate(data.external, start=1):
        named = [(one,) if isinstance(one, str) else one for one in external.mapping.values()]
        leads = [label for together in named for label in together]
        yield _of_labels(f"data.external[{number}].mapping", leads, listed, labels | {""})
    yield _of_labels("data.codes", data.codes, listed, labels)
    yield _of_labels("decision.recall_labels", decision.recall_labels, listed, labels)
    yield _of_labels("decision.headline_label", [decision.headline_label], listed, labels | {""})
    yield _of_labels("scope.stranger_label", [scope.stranger_label], listed, labels | {""})


def _of_labels(place: str, names: Any, listed: str, labels: set[str]) -> Rule:
    """The rule that entries must lead to labels; it names those that don't."""
    wrong = [name for name in names if name not in labels]
    shown = ", ".join(map(repr, wrong)) + "".join(suggest_name(name, labels) for name in wrong[:1])
    text = f"must be of the labels {listed}, not {shown}"
    return Rule((place, place.partition("[")[0], "data.labels"), text, not wrong)


def _fitting_rules(config: "TaskConfig") -> Iterator[Rule]:
    training, scope = config.training, config.scope
    for text, is_kept in input_rules(config.input).items():
        place, _, words = text.partition(" ")
        yield Rule((place,), words, is_kept)
    seeds = training.seeds
    yield Rule(("training.seeds",), "must not repeat", len(set(seeds)) == len(seeds))
    text = f"{training.seed} must be one of training.seeds"
    yield Rule(("training.seed", "training.seeds"), text, training.seed in seeds)
    text = "wants images with an up, without augmentation.quarter_turns"
    is_upright = not (training.turned_share and config.augmentation.quarter_turns)
    places = ("training.turned_share", "augmentation.quarter_turns")
    yield Rule(places, text, is_upright)
    decision = config.decision
    text = "wants decision.prevalence, and the other way round"
    is_pair = bool(decision.min_npv) == bool(decision.prevalence)
    yield Rule(("decision.min_npv", "decision.prevalence"), text, is_pair)
    ages = ("scope.min_age_years", "scope.max_age_years")
    is_span = scope.min_age_years <= scope.max_age_years
    yield Rule(ages, "must not be above scope.max_age_years", is_span)
    is_finite = all(math.isfinite(value) for value in config.gate.values())
    yield Rule(("gate",), "least values must be numbers", is_finite)


def _routing_rules(config: "TaskConfig") -> Iterator[Rule]:
    routing = config.routing
    is_pair = len(routing.stated) in (0, 2) and all(0 < len(one) <= 16 for one in routing.stated)
    yield Rule(("routing.stated",), "must be a modality and a body part", is_pair)
    text = "and routing.image_name belong together"
    is_named = bool(routing.router_label) == bool(routing.image_name)
    yield Rule(("routing.router_label", "routing.image_name"), text, is_named)


def _backbone_rules(config: "TaskConfig") -> Iterator[Rule]:
    name, size, width = config.model.backbone, config.input.size, config.model.width
    limits = BACKBONE_LIMITS.get(name)
    if limits is None:
        return
    text = f"of {name} is a multiple of {limits.step} from {limits.minimum} on, not {size}"
    fits = size >= limits.minimum and size % limits.step == 0
    yield Rule(("input.size", "model.backbone"), text, fits)
    is_width = width == 1 or limits.has_width
    yield Rule(("model.width", "model.backbone"), f"of {name} is always 1.0", is_width)
    weights = config.model.weights
    places = ("model.weights", "model.backbone")
    suffixes = ", ".join(WEIGHT_SUFFIXES)
    is_named = weights in (NONE, IMAGENET) or weights.endswith(WEIGHT_SUFFIXES)
    is_named = is_named or Path(weights).is_dir()
    allowed = f"none, imagenet, a bundle's folder or a file that ends in {suffixes}"
    text = f"{weights!r} must be {allowed}"
    yield Rule(places, text, is_named)
    text = f"there are no ImageNet weights for {name} in Keras; give a file"
    yield Rule(places, text, weights != IMAGENET or limits.is_published)
    text = f"only EfficientNet-Lite is read from PyTorch files ({TORCH_SUFFIX}), {name} is not"
    yield Rule(places, text, not weights.endswith(TORCH_SUFFIX) or limits.reads_torch)
