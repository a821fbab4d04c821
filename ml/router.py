"""Which task an image is for, by what it shows: the body-part model in front of the others."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.abstention import Abstention, check_distance
from ml.images import Frame
from ml.predictor import FramePrediction, Predictor

ROUTER_TASK = "body-part"
TASK_FILES = Path(__file__).parent / "tasks"
# Calibrated probability from which the router's word stands against a header's.
SURE = 0.9

AGREES, DISAGREES, UNSURE = "agrees", "disagrees", "unsure"
ROUTED_ELSEWHERE = "routed_elsewhere"


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of image that the body-part model tells apart, by its labels.

    `labels` has the label of each task's images; of several tasks with one label the first reads
    what no header names. `names` are what staff call an image, by label.
    """

    labels: Mapping[str, str]
    names: Mapping[str, str]

    def name_of(self, label: str) -> str:
        """What staff call an image with this label."""
        return self.names.get(label, label)

    def task_of(self, label: str) -> str | None:
        """The task that reads images with this label; None where there is none."""
        return next((task for task, one in self.labels.items() if one == label), None)


@dataclass(frozen=True, slots=True)
class Routing:
    """What an image looks like: the label, its task (None when no task reads it), how probable.

    `is_sure` says whether that may overrule a header. It is false whenever `abstention` is set:
    the image is unlike everything the router was trained on, and its label is a guess. `known` are
    all labels of that router.
    """

    label: str
    task: str | None
    probability: float
    is_sure: bool
    abstention: Abstention | None
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a header's task and the image's look compare: a code, and a sentence for staff."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Why a task's answer isn't given: `code` and `reason` are those of the abstention."""

    code: str
    reason: str


def read_kinds(folder: Path = TASK_FILES) -> Kinds:
    """The kinds of image that the task files in a folder name in their table `routing`."""
    labels: dict[str, str] = {}
    names: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")):
        table = tomllib.loads(path.read_text("utf-8"))
        routing = table.get("routing", {})
        names |= routing.get("other_images", {})
        if label := routing.get("router_label"):
            labels[table["task"]] = label
            names[label] = routing["image_name"]
    return Kinds(labels, names)


def make_routing(
    predictor: Predictor, frame: Frame, prediction: FramePrediction, kinds: Kinds
) -> Routing:
    """The routing from the body-part bundle's prediction of a frame.

    The router takes grey and colour images of any header, so of what can make a model abstain
    only blank pixels and the distance count here.
    """
    label, probability = max(prediction.probabilities.items(), key=lambda item: item[1])
    abstention = check_distance(prediction.distance, predictor.bundle.manifest)
    if frame.is_constant:
        abstention = Abstention("constant_image", "This image is blank: every pixel is the same.")
    return Routing(
        label=label,
        task=kinds.task_of(label),
        probability=probability,
        is_sure=abstention is None and probability >= SURE,
        abstention=abstention,
        known=frozenset(prediction.probabilities),
    )


def agree(routing: Routing, header_task: str, kinds: Kinds) -> Agreement:
    """Compare a routing with the task that a header or a person named.

    An unsure routing never speaks against a header, and a task that the router doesn't know
    can't be compared: both are `unsure`.
    """
    expected = kinds.labels.get(header_task)
    looks = kinds.name_of(routing.label)
    if expected not in routing.known:
        return Agreement(UNSURE, f"Images for {header_task} can't be told from others by look.")
    if routing.label == expected and routing.abstention is None:
        return Agreement(AGREES, f"The image looks like {looks}, as the header says.")
    if not routing.is_sure:
        return Agreement(UNSURE, "What the image shows can't be told for sure by its look.")
    said = kinds.name_of(expected)
    return Agreement(DISAGREES, f"The header says {said}, the image looks like {looks}.")


def compare_routing(task: str, routing: Routing, kinds: Kinds) -> Disagreement | None:
    """Why the task's answer must not be given for this image; None unless the router is sure."""
    agreement = agree(routing, task, kinds)
    if agreement.code != DISAGREES:
        return None
    return Disagreement(ROUTED_ELSEWHERE, agreement.reason)
