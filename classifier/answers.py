"""What passes between the queue and a worker: the right to write, and what is written."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from classifier.choices import Abstention
from classifier.models import ModelVersion


@dataclass(frozen=True)
class Claim:
    """A worker's right to write on one classification."""

    classification_id: UUID
    study_id: UUID
    task: str
    fence: int
    attempt: int
    chosen_series: tuple[str, ...] = ()
    """Ids of the series that the image, not the header, brought to this task."""


@dataclass(frozen=True)
class FrameResult:
    """What the network said of one frame."""

    instance_id: UUID
    frame: int
    probabilities: dict[str, float]
    activation_maps: dict[str, list[list[float]]] | None = None
    is_deciding: bool = False


@dataclass(frozen=True)
class Routed:
    """Which tasks the images of a study with a silent header are for; at least one."""

    tasks: tuple[str, ...]
    routing: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a worker found out about a study; `abstention` set means that it gives no label.

    `outcome`, `label` and `suspected_label` belong together as in `Classification`.
    """

    model_version: ModelVersion | None = None
    runtime: str = ""
    outcome: str = ""
    label: str = ""
    suspected_label: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    confidence: str = ""
    routing: dict[str, Any] = field(default_factory=dict)
    aggregation: str = ""
    input_hashes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    frames: list[FrameResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tally: dict[str, Any] = field(default_factory=dict)
    abstention: Abstention | None = None
    abstention_reason: str = ""
