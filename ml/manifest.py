"""What a bundle says about itself: the typed form of its `manifest.json`."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.errors import BundleInvalid
from ml.signing import SIGNATURE
from ml.task_config import Code, InputConfig, ScopeConfig
from ml.typed_tables import build_typed

MANIFEST = "manifest.json"
SCHEMA = 1
RELEASED, RESEARCH = "released", "research"
PLAIN_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}")
"""What a task and a version may be called: they name folders."""


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
    """A figure with its 95 % interval, from resampling whole groups."""

    value: float
    low: float
    high: float
    images: int


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a release had to reach, and what it reached."""

    minimum: float
    value: float
    is_met: bool


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
        "input.hu_window is no center and positive width": not manifest.input.hu_window
        or (len(manifest.input.hu_window) == 2 and manifest.input.hu_window[1] > 1),
        "thresholds must be of labels": set(manifest.operating.thresholds) <= set(manifest.labels),
        "the temperature is not positive": manifest.temperature > 0,
        "file names must be plain": all(Path(name).name == name for name in manifest.files),
    }
    for rule, is_kept in rules.items():
        if not is_kept:
            raise ValueError(rule)
