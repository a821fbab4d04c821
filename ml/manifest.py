"""What a bundle says about itself: the typed form of its `manifest.json`."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.confidence import WORDS, Confidence
from ml.errors import BundleInvalid
from ml.inputs import InputConfig, RoutingConfig, ScopeConfig, input_rules
from ml.limits import Conformal, QualityLimits
from ml.series import KINDS, NONE, SeriesRule
from ml.signing import SIGNATURE
from ml.transfer import Transfer
from ml.typed_tables import build_typed

MANIFEST = "manifest.json"
SCHEMA = 1
RELEASED, RESEARCH = "released", "research"
# So many times the input's size heat maps may be made at.
MAX_MAP_SCALE = 4
# What can be said of a bundle's heat maps, once measured.
SUPPORTED, UNPROVEN = "supported", "unproven"
PLAIN_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}")
"""What a task and a version may be called: they name folders."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (SNOMED CT unless said otherwise)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Operating:
    """Probability from which each disease label is given, and what that was chosen for.

    `validation_recall` and `validation_specificity` are those of the label against all others.
    `bands` are the probabilities (from the first, below the second) in which a label's answer is
    indeterminate; beyond them at most `band_error` of the validation images were wrong, unless
    that would have taken more than `band_share` of them.
    """

    thresholds: dict[str, float]
    target: str
    target_recall: float
    validation_recall: dict[str, float]
    validation_specificity: dict[str, float]
    bands: dict[str, tuple[float, float]] = field(default_factory=dict)
    band_error: float = 0.0
    band_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Distance:
    """Largest distance from the training embeddings that is still answered."""

    limit: float
    validation_refusal: float
    target_refusal: float


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What the network was made from: SHA-256 of the table and of the task's choices.

    `averaged` is the number of trainings whose weights it is the mean of.
    """

    data_table: str
    data_sha256: str
    config_sha256: str
    images: dict[str, int]
    epochs: int
    best_epoch: int
    software: dict[str, str]
    averaged: int = 1


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure with its 95 % interval, from resampling whole groups or exact where that fails.

    `images` are those of the split; `asked` those that the figure is about (of an AUC's two sides
    the fewer) and `groups` their groups, 0 where neither was noted.
    """

    value: float
    low: float
    high: float
    images: int
    asked: int = 0
    groups: int = 0


@dataclass(frozen=True, slots=True)
class ExternalFigures:
    """What a bundle said to images of another place, which decided nothing, beside its own.

    `metrics` are those of the images, `own` the same figures of the test images of the labels that
    are asked there, `drops` how much worse the first are, all by name. `said` counts, by label of
    the set, the labels given, `left open` and `refused`; `refusals` the codes of these.
    `is_learned`: other images of that source were in training, so the place isn't foreign.
    `left_out` counts the rows that the task file's lists took out of all this, by reason.
    """

    table: str
    data_sha256: str
    images: int
    groups: int
    is_learned: bool
    said: dict[str, dict[str, int]]
    refusals: dict[str, int]
    metrics: dict[str, Metric]
    own: dict[str, Metric]
    drops: dict[str, Metric]
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MapFigures:
    """Where the heat maps of disease answers peak, and whether that can be believed.

    `figures` are shares by name (`ml.workshop.evaluation.maps` says each), `by_label` the share of
    the peaks that lie in one place, by disease. `images` are the disease answers, whose peaks lie
    in `cells` of the map's `grid` (rows, columns), with an `entropy` in bits. `masked` is the
    number of films with masks. `reasons` say which part of the rule `standing` rests on isn't kept.
    """

    standing: str
    reasons: tuple[str, ...]
    images: int
    grid: tuple[int, int]
    cells: int
    entropy: float
    masked: int
    figures: dict[str, Metric]
    by_label: dict[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a release had to reach, and what it reached.

    Judged on `bound`, the end of the 95 % interval that speaks against it; where there is none
    (older bundles), on `value`. With `is_most` `minimum` is the most allowed.
    `images` and `groups` are those that the figure is about; `reason` says why it isn't met.
    """

    minimum: float
    value: float
    is_met: bool
    bound: float | None = None
    is_most: bool = False
    images: int = 0
    groups: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Parity:
    """Agreement of the OpenVINO and TensorFlow artefacts on the validation images."""

    images: int
    max_difference: float
    labels_changed: int
    tolerance: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """One bundle's manifest; `labels` are in the order of the network's outputs.

    `intended_use` and `limits` are the model card's sentences that go wherever a result goes.
    `series` is the rule for whole series; `ml.study.rule_of` says what holds without one. Without
    `quality` no image is refused for how it was taken or stored, without `conformal` thresholds and
    bands alone decide. Without `transfer` nobody asked whether the operating points hold elsewhere,
    and without `confidence` its words are fixed parts of the way: so it was before either was
    measured. Heat maps come from the network at an input of `map_size` pixels a side, 0 for its
    own; without `maps` nobody measured whether they can be believed. Without `routing` the scope
    says which studies the task is for.
    """

    schema: int
    task: str
    title: str
    intended_use: str
    limits: tuple[str, ...]
    version: str
    stage: str
    created: str
    labels: tuple[str, ...]
    normal_label: str
    codes: dict[str, Code]
    input: InputConfig
    preprocessing: str
    temperature: float
    operating: Operating
    distance: Distance
    scope: ScopeConfig
    aggregation: str
    training: TrainingRecord
    metrics: dict[str, Metric]
    parity: Parity
    files: dict[str, str]
    gate: dict[str, GateResult] = field(default_factory=dict)
    series: SeriesRule | None = None
    quality: QualityLimits | None = None
    conformal: Conformal | None = None
    transfer: Transfer | None = None
    confidence: Confidence | None = None
    external: dict[str, ExternalFigures] = field(default_factory=dict)
    map_size: int = 0
    maps: MapFigures | None = None
    routing: RoutingConfig | None = None


def is_unproven(manifest: Manifest) -> bool:
    """Whether its heat maps were measured and not shown to point at disease."""
    return manifest.maps is not None and manifest.maps.standing == UNPROVEN


def is_map_size(map_size: int, input_size: int) -> bool:
    """Whether maps can be made at that size: 0, or from the input's size to four times that."""
    return not map_size or input_size <= map_size <= MAX_MAP_SCALE * input_size


def read_manifest(bundle: Path) -> tuple[Manifest, bytes]:
    """The manifest of a bundle and the bytes it was read from; raises BundleInvalid."""
    try:
        content = (bundle / MANIFEST).read_bytes()
        manifest = build_typed(Manifest, _parse(content))
        _check(manifest)
    except OSError as error:
        raise BundleInvalid(path=bundle, detail=f"{MANIFEST}: {error.strerror}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleInvalid(path=bundle, detail=f"{MANIFEST}: {error}") from error
    return manifest, content


def write_manifest(manifest: Manifest, bundle: Path) -> None:
    """Write the manifest, keys in the order of the dataclass.

    A signature over another manifest than this one is removed.
    """
    path = bundle / MANIFEST
    text = json.dumps(dataclasses.asdict(manifest), indent=2, default=_refuse) + "\n"
    if not path.exists() or path.read_text() != text:
        (bundle / SIGNATURE).unlink(missing_ok=True)
    path.write_text(text)


def _refuse(value: Any) -> Any:
    raise TypeError(f"{value!r} can't be written to a manifest")


def _parse(content: bytes) -> Any:
    """JSON that every reader takes for the same: no name twice, no NaN, no half characters."""
    table = json.loads(content, object_pairs_hook=_take_once, parse_constant=_refuse_constant)
    text = json.dumps(table, ensure_ascii=False)
    text.encode()
    if "\\u0000" in text:
        raise ValueError("it holds a NUL character")
    return table


def _take_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("an entry stands twice")
    return table


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _check(manifest: Manifest) -> None:
    rules = {
        f"schema {manifest.schema} is not {SCHEMA}": manifest.schema == SCHEMA,
        "task and version must be plain names": all(
            PLAIN_NAME.fullmatch(name) for name in (manifest.task, manifest.version)
        ),
        f"the stage is not {RELEASED} or {RESEARCH}": manifest.stage in (RELEASED, RESEARCH),
        "the normal label is not a label": manifest.normal_label in manifest.labels,
        "every label needs a code": set(manifest.codes) == set(manifest.labels),
        **input_rules(manifest.input),
        "thresholds must be of labels": set(manifest.operating.thresholds) <= set(manifest.labels),
        "what can't be ruled out must be labels": manifest.conformal is None
        or set(manifest.conformal.lowest) <= set(manifest.labels),
        "margins of confidence must be of its words": not manifest.confidence
        or set(manifest.confidence.margins) <= set(WORDS),
        "the temperature is not positive": manifest.temperature > 0,
        "file names must be plain": all(Path(name).name == name for name in manifest.files),
        "maps.standing is not known": not manifest.maps
        or manifest.maps.standing in (SUPPORTED, UNPROVEN),
        "map_size must be 0, or the input's size to four times that": is_map_size(
            manifest.map_size, manifest.input.size
        ),
        **_series_rules(manifest),
    }
    for rule, is_kept in rules.items():
        if not is_kept:
            raise ValueError(rule)


def _series_rules(manifest: Manifest) -> dict[str, bool]:
    rule = manifest.series
    if rule is None:
        return {}
    diseases = set(manifest.labels) - {manifest.normal_label}
    lines = rule.lines.values()
    return {
        f"series.kind must be one of {', '.join(KINDS)}": rule.kind in KINDS,
        "series.lines must be of every disease, or of none": set(rule.lines)
        == (set() if rule.kind == NONE else diseases),
        "series.neighbours must be positive": rule.neighbours >= 1,
        "series lines must rise with n and with the score": all(
            line.slope >= 0 and line.steepness > 0 for line in lines
        ),
    }
