"""The typed form of a task file (`ml/tasks/<task>.toml`): every choice that training makes."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import TaskConfigInvalid
from ml.typed_tables import build_typed

# What a checkpoint depends on. Thresholds, limits and sentences can change without training anew.
NETWORK_SECTIONS = ("data", "input", "model", "augmentation", "training")
# What shapes no network: which seeds a recipe is repeated with, and how a CT is read when asked,
# since pictures to train on come with a window.
SHAPES_NOTHING = (("training", "seeds"), ("input", "hu_window"))
# What a network can be kept for; less is better of those that end in `loss`.
MONITORS = ("robust_loss", "val_loss", "val_macro_auc", "val_balanced_accuracy")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "auto")
TASKS_DIR = Path(__file__).parent / "tasks"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (SNOMED CT unless said otherwise)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ExtraTable:
    """Another table joined to the task's: `mapping` leads from its labels to the task's.

    It lies beside the task's table, or else in the working folder. `*` stands for every label
    not named; rows that nothing maps are left out. At most
    `limit_per_cell` images of each source, label of the table and split are taken, 0 for all.
    """

    table: str
    mapping: dict[str, str]
    limit_per_cell: int


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which table, which labels in which order, and which labels of the set stand for another.

    An empty `table` leaves it to what lies in the data's folder. At most `limit_per_label` images
    of each label and split are used, 0 for all. `excluded` is a CSV file beside the task files
    whose column `path` names images to leave out, as `audit-data` writes it; empty for none.
    """

    table: str
    extra: tuple[ExtraTable, ...]
    limit_per_label: int
    excluded: str
    labels: tuple[str, ...]
    normal_label: str
    mapping: dict[str, str]
    codes: dict[str, Code]


@dataclass(frozen=True, slots=True)
class InputConfig:
    """What the network sees: a square of `size` pixels, `grey` or `rgb`.

    `contrast` is `stretched` (the darkest and brightest hundredth go to the ends of the range, so
    that exposure and windowing don't count) or `as_shown`. `hu_window` is the center and width in
    Hounsfield units through which a CT is read, whatever window its header names for people;
    without one an image is read as it is shown.
    """

    size: int
    colour: str
    contrast: str
    hu_window: tuple[float, ...] | None = None

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return 1 if self.colour == "grey" else 3


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
    """Largest random change of a training image, and the share of images that get each kind."""

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


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """How scores become a label, and which group of the data the headline figure comes from.

    `recall_labels` are those whose missing costs most: each gets a threshold that keeps
    `target_recall` of it. Around a threshold an answer is indeterminate until at most `band_error`
    of the answers beyond are wrong, within `band_share` of the validation images.
    """

    recall_labels: tuple[str, ...]
    target_recall: float
    band_error: float
    band_share: float
    aggregation: str
    headline_source: str
    headline_label: str


@dataclass(frozen=True, slots=True)
class ScopeConfig:
    """What an image must be to be classified at all; empty lists accept anything.

    `sexes` are values of Patient's Sex (0010,0040).
    `accepted_kinds` are kinds of rejects (`ml.rejects`) that this task takes after all. With
    `any_colour` grey images are taken as well as coloured ones, whatever the input's colour.
    `stranger_label` is the label that the rejects carry in the task's own data, so that the
    network names them and the gate leaves them alone; empty for none.
    """

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    excluded_views: tuple[str, ...]
    excluded_words: tuple[str, ...]
    min_age_years: float
    max_age_years: float
    min_side: int
    max_aspect_ratio: float
    max_validation_refusal: float
    accepted_kinds: tuple[str, ...] = ()
    sexes: tuple[str, ...] = ()
    any_colour: bool = False
    stranger_label: str = ""


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
    value by metric) is `research` whatever stands here. `choices` are those that shape the network,
    as the task file writes them, in JSON; `digest` is their SHA-256.
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

    @property
    def digest(self) -> str:
        """Which network it is that a training makes; another seed is another network."""
        return hashlib.sha256(self.choices.encode()).hexdigest()

    def with_seed(self, seed: int) -> "TaskConfig":
        """The same choices with another seed, exactly as if the task file named it."""
        choices = json.loads(self.choices)
        choices["training"]["seed"] = seed
        training = dataclasses.replace(self.training, seed=seed)
        return dataclasses.replace(self, training=training, choices=_write_choices(choices))


def find_task(task: str) -> Path:
    """Path of the task file that ships under that name."""
    return TASKS_DIR / f"{task}.toml"


def load_task(path: Path, *, overrides: Mapping[str, Any] | None = None) -> TaskConfig:
    """Read and check a task file; `overrides` maps `section.entry` to a value.

    Raises TaskConfigInvalid for a missing, unknown or wrongly typed entry.
    """
    try:
        content = path.read_bytes()
        table: dict[str, Any] = tomllib.loads(content.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TaskConfigInvalid(path=path, detail=error) from error
    for key, value in (overrides or {}).items():
        section, _, entry = key.rpartition(".")
        (table.setdefault(section, {}) if section else table)[entry] = value
    choices = {name: table.get(name) for name in NETWORK_SECTIONS}
    for section, entry in SHAPES_NOTHING:
        found = choices[section]
        if isinstance(found, dict):
            choices[section] = {name: value for name, value in found.items() if name != entry}
    table["choices"] = _write_choices(choices)
    try:
        config = build_typed(TaskConfig, table)
        _check(config)
    except (TypeError, ValueError) as error:
        raise TaskConfigInvalid(path=path, detail=error) from error
    return config


def _write_choices(choices: Mapping[str, Any]) -> str:
    return json.dumps(choices, sort_keys=True)


def _check(config: TaskConfig) -> None:
    for rule, is_kept in (_data_rules(config) | _training_rules(config)).items():
        if not is_kept:
            raise ValueError(rule)


def _data_rules(config: TaskConfig) -> dict[str, bool]:
    data, decision = config.data, config.decision
    mapped = set(data.mapping.values()).union(*(extra.mapping.values() for extra in data.extra))
    limits = (data.limit_per_label, *(extra.limit_per_cell for extra in data.extra))
    return {
        "data.labels must not repeat": len(set(data.labels)) == len(data.labels),
        "data.normal_label must be a label": data.normal_label in data.labels,
        "data.mapping and those of data.extra must lead to labels": mapped <= set(data.labels),
        "data.codes must code every label": set(data.codes) == set(data.labels),
        "limits of data must not be negative": min(limits) >= 0,
        "input.size must be positive": config.input.size > 0,
        "input.colour must be grey or rgb": config.input.colour in ("grey", "rgb"),
        "input.contrast must be stretched or as_shown": config.input.contrast
        in ("stretched", "as_shown"),
        "input.hu_window must be a center and a positive width": not config.input.hu_window
        or (len(config.input.hu_window) == 2 and config.input.hu_window[1] > 1),
        "decision.headline_label must be a label": decision.headline_label in data.labels,
        "decision.recall_labels must be labels": set(decision.recall_labels) <= set(data.labels),
        "scope.stranger_label must be a label": config.scope.stranger_label in ("", *data.labels),
        "decision.target_recall must lie in (0, 1)": 0 < decision.target_recall < 1,
        "stage must be released or research": config.stage in ("released", "research"),
    }


def _training_rules(config: TaskConfig) -> dict[str, bool]:
    training, model = config.training, config.model
    return {
        "model.width must be positive": model.width > 0,
        "model.dropout must lie in [0, 1)": 0 <= model.dropout < 1,
        "training.epochs and training.batch_size must be positive": training.epochs > 0
        and training.batch_size > 0,
        "training.learning_rate must be positive": training.learning_rate > 0,
        "training.loss must be cross_entropy or focal": training.loss in ("cross_entropy", "focal"),
        "training.sampling must be weighted or balanced": training.sampling
        in ("weighted", "balanced"),
        "training.average_decay must lie in [0, 1)": 0 <= training.average_decay < 1,
        "training.frozen_epochs must not be negative": training.frozen_epochs >= 0,
        "training.unfreeze_from must lie in [0, 1]": 0 <= training.unfreeze_from <= 1,
        f"training.precision must be one of {', '.join(PRECISIONS)}": training.precision
        in PRECISIONS,
        "training.seeds must not repeat": len(set(training.seeds)) == len(training.seeds),
        "training.seed must be one of training.seeds": training.seed in training.seeds,
        "training.turned_share must lie in [0, 1)": 0 <= training.turned_share < 1,
        "training.turned_share wants images with an up, without augmentation.quarter_turns": not (
            training.turned_share and config.augmentation.quarter_turns
        ),
        f"training.monitor must be one of {', '.join(MONITORS)}": training.monitor in MONITORS,
    }
