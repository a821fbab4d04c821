"""The typed form of a task file (`ml/tasks/<task>.toml`): every choice that training makes."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import TaskConfigInvalid
from ml.inputs import InputConfig, RoutingConfig, ScopeConfig
from ml.manifest import Code
from ml.typed_tables import Problem, build_partly
from ml.workshop.map_rule import MapsConfig
from ml.workshop.task_rules import find_problems
from ml.workshop.task_tables import TASKS_DIR, complete_table, read_toml, write_choices

# PS3.16 8: coding schemes of one's own begin with 99.
PRIVATE_SCHEME = "99MEDIMAGING"


@dataclass(frozen=True, slots=True)
class ExtraTable:
    """Another table joined to the task's: `mapping` leads from its labels to the task's.

    It lies beside the task's table, or else in the working folder. `*` stands for every label
    not named; rows that nothing maps are left out, and so are those of a split that `splits`
    doesn't name: with `["train", "val"]` the table helps to train, and what was found on the
    task's own test images stays comparable. At most `limit_per_cell` images of each source, label
    of the table and split are taken, 0 for all.
    """

    table: str
    mapping: dict[str, str]
    limit_per_cell: int = 0
    splits: tuple[str, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A table of another place: nothing is learned from it and nothing chosen by it.

    It is found as an extra table is, and scored when everything is fixed: its rows of the split
    `external-test`, where there are none those of `test`, or all of a table without splits.
    `mapping` leads from its labels to what is right: a label of the task, several of which any is
    ("any disease"), or "" where the task has none, so that only no answer is. Rows of a label that
    isn't named are left out. `excluded` is a list of rows that must not count, because their label
    is wrong or the like, as `DataConfig.excluded`; but it shapes no network.
    """

    table: str
    mapping: dict[str, tuple[str, ...] | str]
    excluded: str = ""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which table, which labels in which order, and which labels of the set stand for another.

    An empty `table` leaves it to what lies in the data's folder. At most `limit_per_label` images
    of each label and split are used, 0 for all. `excluded` is a CSV file beside the task files
    whose column `path` names images to leave out, in `external` tables too, and `reason` why, as
    `audit-data` writes it; empty for none.
    """

    table: str
    extra: tuple[ExtraTable, ...]
    limit_per_label: int
    excluded: str
    labels: tuple[str, ...]
    normal_label: str
    mapping: dict[str, str]
    codes: dict[str, Code]
    external: tuple[ExternalTable, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The backbone and where its first weights come from: a path, `imagenet` or `none`.

    `fixed_norms` keeps the batch norms' statistics and scales as the weights brought them.
    """

    backbone: str
    width: float
    weights: str
    fixed_norms: bool
    dropout: float


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """Largest random change of a training image, and the share of images that get each kind.

    Those with a default take away what tells the sources apart (`ml.workshop.training.appearance`),
    and are not made unless asked for. `blur` is a standard deviation relative to the shorter side,
    `min_quality` the lowest of JPEG, `hue` a share of a full turn, `saturation` and
    `white_balance` logarithms of a gain, `style` how far an image goes to the levels or the light
    of another one, of another source where there is one.
    """

    move_share: float
    rotation_degrees: float
    shift: float
    zoom_in: float
    zoom_out: float
    aspect: float
    flip: bool
    quarter_turns: bool
    expose_share: float
    gamma: float
    contrast: float
    brightness: float
    equalize_share: float
    resolution_share: float
    min_resolution: float
    sharpen_share: float
    erase_share: float
    erase_side: float
    noise_share: float
    noise: float
    mix_share: float
    mix_alpha: float
    blur_share: float = 0.0
    blur: float = 0.02
    compress_share: float = 0.0
    min_quality: float = 10.0
    colour_share: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    white_balance: float = 0.0
    constancy_share: float = 0.0
    style_share: float = 0.0
    style: float = 1.0
    square_share: float = 0.0
    frame_share: float = 0.0
    mark_share: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """The optimiser's schedule, what a mistake costs, and when to stop.

    `loss` is `cross_entropy` or `focal` (Lin et al. 2017). `sampling` is `weighted` (every image
    once an epoch, its loss weighted by balance) or `balanced` (images drawn by those weights).
    `average_decay` keeps a moving average of the weights and judges that; 0 does without.
    `frozen_epochs` trains the head alone first; then the last layers of the backbone join, from
    the share `unfreeze_from` of its depth on (0: all of them). `precision` is a Keras dtype
    policy, or `auto`: half floats on a GPU alone. The network kept is the best by `monitor`.
    A training takes `seed`; `seeds`, of which it is one, are those that the recipe is repeated
    with to see how much is luck. `turned_share` of the images are shown on their side, upside down
    or as a negative, and the network learns to tell which, with outputs that are cut off in the
    end: its embedding knows then how an image lies, and so does the gate that reads it.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_share: float
    weight_decay: float
    loss: str
    focal_gamma: float
    label_smoothing: float
    sampling: str
    balance_power: float
    average_decay: float
    frozen_epochs: int
    unfreeze_from: float
    precision: str
    monitor: str
    patience: int
    seed: int
    seeds: tuple[int, ...]
    turned_share: float = 0.0
    source_power: float = 0.0


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """How scores become a label, and which group of the data the headline figure comes from.

    `recall_labels` are those whose missing costs most: each gets a threshold that keeps
    `target_recall` of it. Around a threshold an answer is indeterminate until at most `band_error`
    of the answers beyond are wrong, within `band_share` of the validation images. `series` says
    what the rule for whole series is fitted on: `real` ones, which the table's column `order` tells
    of, `synthetic` ones, or `none`: then only single slices are answered. Empty, the manifest is
    silent. At most `series_false_alarms` of normal series may be called diseased.

    What follows is left out at 0. No threshold spares less than `min_specificity` of the images
    without the disease, whatever recall that leaves. `quality_refusal` is the share of unspoilt
    validation images that may be refused for blur, compression, exposure and the like. `coverage`
    is the share of each disease's validation images for which it must not be ruled out. The normal
    label is given only where its negative predictive value is `min_npv` at the `prevalence` of
    disease. `transfer_recall` (the lower bound) and `transfer_specificity` are what the points must
    keep on a second source's validation images, another than the headline's, or else the bundle is
    for its own source only.
    """

    recall_labels: tuple[str, ...]
    target_recall: float
    band_error: float
    band_share: float
    aggregation: str
    headline_source: str
    headline_label: str
    series: str = ""
    series_false_alarms: float = 0.1
    quality_refusal: float = 0.0
    coverage: float = 0.0
    prevalence: float = 0.0
    min_npv: float = 0.0
    transfer_recall: float = 0.0
    transfer_specificity: float = 0.0
    min_specificity: float = 0.0


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """What a figure must rest on to count for the release gate.

    `min_images` are those that it is about, as the diseased ones for a recall, and of an AUC's two
    sides the fewer; `min_groups` are their groups.
    """

    min_images: int = 20
    min_groups: int = 20


@dataclass(frozen=True, slots=True)
class CardConfig:
    """The sentences of the model card that no program can know."""

    intended_use: str
    limits: tuple[str, ...]
    licences: tuple[str, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """One task, whole.

    `stage` is the highest that a bundle can have: one whose figures stay below the `gate` (least
    value by metric) is `research` whatever stands here; `release` says what a figure must rest on,
    `maps` what heat maps must reach.
    `choices` are those that shape the network, as the task file writes them, in JSON; `digest` is
    their SHA-256.
    """

    task: str
    title: str
    version: str
    stage: str
    data: DataConfig
    input: InputConfig
    model: ModelConfig
    augmentation: AugmentationConfig
    training: TrainingConfig
    decision: DecisionConfig
    scope: ScopeConfig
    gate: dict[str, float]
    card: CardConfig
    choices: str
    routing: RoutingConfig = RoutingConfig()
    release: ReleaseConfig = ReleaseConfig()
    maps: MapsConfig = MapsConfig()

    @property
    def digest(self) -> str:
        """Which network it is that a training makes; another seed is another network."""
        return hashlib.sha256(self.choices.encode()).hexdigest()

    def with_seed(self, seed: int) -> "TaskConfig":
        """The same choices with another seed, exactly as if the task file named it."""
        choices = json.loads(self.choices)
        choices["training"]["seed"] = seed
        training = dataclasses.replace(self.training, seed=seed)
        written = json.dumps(choices, sort_keys=True)
        return dataclasses.replace(self, training=training, choices=written)


def find_task(task: str) -> Path:
    """Path of the task file that ships under that name."""
    return TASKS_DIR / f"{task}.toml"


def load_task(
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    find_more: Callable[[TaskConfig], list[Problem]] = lambda config: [],
) -> TaskConfig:
    """Read and check a task file; `overrides` maps `section.entry` to a value.

    What the file doesn't say comes from `ml/recipe.toml`. Raises TaskConfigInvalid, which tells
    everything at once: missing, unknown and wrongly typed entries, names and values out of range,
    and what `find_more` finds.
    """
    table = read_toml(path)
    for key, value in (overrides or {}).items():
        section, _, entry = key.rpartition(".")
        place = table.setdefault(section, {}) if section else table
        if not isinstance(place, dict):
            raise TaskConfigInvalid.of_problems(path, [Problem(section, f"{place!r} is no table")])
        place[entry] = value
    complete_table(table)
    table["choices"] = write_choices(table)
    config, problems = build_partly(TaskConfig, table)
    problems += [*find_problems(config, problems), *find_more(config)]
    if problems:
        raise TaskConfigInvalid.of_problems(path, problems)
    return _code_labels(config)


def _code_labels(config: TaskConfig) -> TaskConfig:
    """A private code for each label that the task file codes in no terminology."""
    own = {
        label: Code(value=label, scheme=PRIVATE_SCHEME, meaning=label.replace("_", " "))
        for label in config.data.labels
    }
    data = dataclasses.replace(config.data, codes=own | config.data.codes)
    return dataclasses.replace(config, data=data)
