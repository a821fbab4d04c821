"""The typed form of a task file (`ml/tasks/<task>.toml`): every choice that training makes."""

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
# What a network can be kept for; less is better of those that end in `loss`.
MONITORS = ("robust_loss", "val_loss", "val_macro_auc", "val_balanced_accuracy")
TASKS_DIR = Path(__file__).parent / "tasks"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (SNOMED CT unless said otherwise)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which table, which labels in which order, and which labels of the set stand for another."""

    table: str
    labels: tuple[str, ...]
    normal_label: str
    mapping: dict[str, str]
    codes: dict[str, Code]


@dataclass(frozen=True, slots=True)
class InputConfig:
    """What the network sees: a square of `size` pixels, `grey` or `rgb`.

    `contrast` is `stretched` (the darkest and brightest hundredth go to the ends of the range, so
    that exposure and windowing don't count) or `as_shown`.
    """

    size: int
    colour: str
    contrast: str

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
    `frozen_epochs` trains the head alone first. The network kept is the best by `monitor`.
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
    monitor: str
    patience: int
    seed: int


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """How scores become a label, and which group of the data the headline figure comes from."""

    target_recall: float
    aggregation: str
    headline_source: str
    headline_label: str


@dataclass(frozen=True, slots=True)
class ScopeConfig:
    """What an image must be to be classified at all; empty lists accept anything."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    excluded_views: tuple[str, ...]
    excluded_words: tuple[str, ...]
    min_age_years: float
    max_age_years: float
    min_side: int
    max_aspect_ratio: float
    max_validation_refusal: float


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
    value by metric) is `research` whatever stands here. `digest` is the SHA-256 of the choices
    that shape the network.
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
    digest: str


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
    table["digest"] = hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()
    try:
        config = build_typed(TaskConfig, table)
        _check(config)
    except (TypeError, ValueError) as error:
        raise TaskConfigInvalid(path=path, detail=error) from error
    return config


def _check(config: TaskConfig) -> None:
    data, decision = config.data, config.decision
    rules = {
        "data.labels must not repeat": len(set(data.labels)) == len(data.labels),
        "data.normal_label must be a label": data.normal_label in data.labels,
        "data.mapping must lead to labels": set(data.mapping.values()) <= set(data.labels),
        "data.codes must code every label": set(data.codes) == set(data.labels),
        "input.colour must be grey or rgb": config.input.colour in ("grey", "rgb"),
        "input.contrast must be stretched or as_shown": config.input.contrast
        in ("stretched", "as_shown"),
        "input.size must be a multiple of 32": config.input.size % 32 == 0,
        "decision.headline_label must be a label": decision.headline_label in data.labels,
        "decision.target_recall must lie in (0, 1)": 0 < decision.target_recall < 1,
        "training.loss must be cross_entropy or focal": config.training.loss
        in ("cross_entropy", "focal"),
        "training.sampling must be weighted or balanced": config.training.sampling
        in ("weighted", "balanced"),
        "training.average_decay must lie in [0, 1)": 0 <= config.training.average_decay < 1,
        f"training.monitor must be one of {', '.join(MONITORS)}": config.training.monitor
        in MONITORS,
        "stage must be released or research": config.stage in ("released", "research"),
    }
    for rule, is_kept in rules.items():
        if not is_kept:
            raise ValueError(rule)
