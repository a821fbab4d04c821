"""Which task an image is for, by what it shows: the body-part model in front of the others."""

from dataclasses import dataclass
from types import MappingProxyType

from ml.abstention import Abstention, check_distance
from ml.images import Frame
from ml.predictor import FramePrediction, Predictor

ROUTER_TASK = "body-part"
SOMETHING_ELSE = "something_else"
# A label of the body-part model: what staff call it, and the task that classifies it, if any.
NAMES = MappingProxyType(
    {
        "chest-xr": "a chest X-ray",
        "hand-xr": "a hand X-ray",
        "chest-ct": "a chest CT",
        "abdomen-ct": "an abdomen CT",
        "head-ct": "a head CT",
        "head-mr": "a head MR",
        "breast-mr": "a breast MR",
        "breast-us": "a breast ultrasound",
        "skin": "a photograph of skin",
        "fundus": "a fundus photograph",
        SOMETHING_ELSE: "none of the images that are known here",
    }
)
TASK_OF_LABEL = MappingProxyType(
    {
        "chest-xr": "chest-xray",
        "chest-ct": "lung-ct",
        "head-ct": "head-ct",
        "head-mr": "brain-mri",
        "skin": "skin-lesion",
        "fundus": "retina",
    }
)
LABEL_OF_TASK = MappingProxyType({task: label for label, task in TASK_OF_LABEL.items()})
# Calibrated probability from which the router's word stands against a header's.
SURE = 0.9

AGREES, DISAGREES, UNSURE = "agrees", "disagrees", "unsure"
ROUTED_ELSEWHERE = "routed_elsewhere"


@dataclass(frozen=True, slots=True)
class Routing:
    """What an image looks like: the label, its task (None when no task reads it), how probable.

    `is_sure` says whether that may overrule a header. It is false whenever `abstention` is set:
    the image is unlike everything the router was trained on, and its label is a guess.
    """

    label: str
    task: str | None
    probability: float
    is_sure: bool
    abstention: Abstention | None


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


def make_routing(predictor: Predictor, frame: Frame, prediction: FramePrediction) -> Routing:
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
        task=TASK_OF_LABEL.get(label),
        probability=probability,
        is_sure=abstention is None and probability >= SURE,
        abstention=abstention,
    )


def agree(routing: Routing, header_task: str) -> Agreement:
    """Compare a routing with the task that a header or a person named.

    An unsure routing never speaks against a header, and a task that the router doesn't know
    can't be compared: both are `unsure`.
    """
    expected = LABEL_OF_TASK.get(header_task)
    looks = NAMES.get(routing.label, routing.label)
    if expected is None:
        return Agreement(UNSURE, f"Images for {header_task} can't be told from others by look.")
    if routing.task == header_task and routing.abstention is None:
        return Agreement(AGREES, f"The image looks like {looks}, as the header says.")
    if not routing.is_sure:
        return Agreement(UNSURE, "What the image shows can't be told for sure by its look.")
    said = NAMES[expected]
    return Agreement(DISAGREES, f"The header says {said}, the image looks like {looks}.")


def compare_routing(task: str, routing: Routing) -> Disagreement | None:
    """Why the task's answer must not be given for this image; None unless the router is sure."""
    agreement = agree(routing, task)
    if agreement.code != DISAGREES:
        return None
    return Disagreement(ROUTED_ELSEWHERE, agreement.reason)
