"""The wrong answers as pictures: each image, and what the network looked at, worst first."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.explanation import measure_evidence
from ml.images import read_frames, to_display
from ml.manifest import Manifest
from ml.overlay import render_activation
from ml.predictor import Predictor
from ml.study import conclude_images
from ml.workshop.evaluation.scoring import Answers

MAX_PICTURES = 24
MAX_LISTED = 200
# Stored at a little more than they are shown, for screens with small pixels.
STORED_SIDE = 176
WEBP_QUALITY = 70

# In the order shown: a disease that nobody would look for again comes first.
MISSED = "missed"
CONFUSED = "confused"
FALSE_ALARM = "false alarm"
KINDS = (MISSED, CONFUSED, FALSE_ALARM)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer: the row in the answers, its kind, and by how much it was preferred."""

    row: int
    kind: str
    margin: float


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A mistake to show; the images are data URIs, the second one with its activation map."""

    kind: str
    name: str
    source: str
    true_label: str
    given_label: str
    true_probability: float
    given_probability: float
    refusal: str
    image: str
    mapped_label: str
    overlay: str


@dataclass(frozen=True, slots=True)
class ListedMistake:
    """A line of the table of wrong answers; `confidence` is the product's word for it."""

    kind: str
    name: str
    true_label: str
    given_label: str
    probability: float
    confidence: str
    group: str
    refusal: str


def list_mistakes(
    answers: Answers, manifest: Manifest, mistakes: Iterable[Mistake]
) -> list[ListedMistake]:
    """The first mistakes in their order, at most `MAX_LISTED`; predictions.csv has them all."""
    listed = []
    for mistake in islice(mistakes, MAX_LISTED):
        example, shown = answers.examples[mistake.row], answers.probabilities[mistake.row]
        given = int(answers.given[mistake.row])
        row = dict(zip(manifest.labels, map(float, shown), strict=True))
        study = conclude_images(manifest, [row])
        listed.append(
            ListedMistake(
                kind=mistake.kind,
                name=example.name,
                true_label=example.label,
                given_label=manifest.labels[given],
                probability=float(shown[given]),
                confidence=study.confidence,
                group=example.group,
                refusal=answers.refusals[mistake.row],
            )
        )
    return listed


def find_mistakes(answers: Answers, manifest: Manifest) -> list[Mistake]:
    """All wrong answers: missed diseases, diseases taken for another, then false alarms.

    Within a kind the most convinced comes first. Without a normal label all are `confused`.
    """
    labels = manifest.labels
    normal = labels.index(manifest.normal_label) if manifest.normal_label in labels else -1
    mistakes = []
    for row in np.flatnonzero(answers.given != answers.targets):
        given, target = int(answers.given[row]), int(answers.targets[row])
        kind = CONFUSED
        if normal in (given, target):
            kind = MISSED if given == normal else FALSE_ALARM
        shown = answers.probabilities[row]
        mistakes.append(Mistake(int(row), kind, float(shown[given] - shown[target])))
    return sorted(mistakes, key=lambda one: (KINDS.index(one.kind), -one.margin, one.row))


def choose_mistakes(mistakes: list[Mistake], limit: int = MAX_PICTURES) -> list[Mistake]:
    """At most `limit` of them, in their order; no kind takes another's equal share."""
    waiting = {kind: [one for one in mistakes if one.kind == kind] for kind in KINDS}
    taken: dict[str, int] = dict.fromkeys(KINDS, 0)
    for _ in range(min(limit, len(mistakes))):
        open_kinds = [kind for kind in KINDS if taken[kind] < len(waiting[kind])]
        taken[min(open_kinds, key=lambda kind: taken[kind])] += 1
    return [one for kind in KINDS for one in waiting[kind][: taken[kind]]]


def make_gallery(
    predictor: Predictor, answers: Answers, mistakes: Iterable[Mistake]
) -> list[Exhibit]:
    """The mistakes as pictures; the map is that of the finding given: what spoke for it.

    Where the answer was the normal label the map is that of the finding that was missed.
    """
    labels, normal = predictor.bundle.labels, predictor.bundle.manifest.normal_label
    gallery = []
    for mistake in mistakes:
        row = mistake.row
        example, shown = answers.examples[row], answers.probabilities[row]
        given = int(answers.given[row])
        frame = read_frames(example.path)[0]
        (prediction,) = predictor.predict([frame])
        picture = shrink_picture(to_display(frame))
        mapped = example.label if labels[given] == normal else labels[given]
        evidence = measure_evidence(
            prediction.activation_maps[mapped],
            probability=prediction.probabilities[mapped],
            shown=picture,
        )
        gallery.append(
            Exhibit(
                kind=mistake.kind,
                name=example.name,
                source=example.source,
                true_label=example.label,
                given_label=labels[given],
                true_probability=float(shown[answers.targets[row]]),
                given_probability=float(shown[given]),
                refusal=answers.refusals[row],
                image=encode_picture(picture),
                mapped_label=mapped,
                overlay=encode_picture(lay_over(picture, evidence.grid, evidence.body)),
            )
        )
    return gallery


def shrink_picture(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB with a longer side of at most 176 pixels."""
    image = Image.fromarray(picture).convert("RGB")
    image.thumbnail((STORED_SIDE, STORED_SIDE))
    return np.asarray(image)


def lay_over(
    picture: NDArray[np.uint8],
    activation: NDArray[np.floating],
    body: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """The RGB picture under the activation map's colours, on the body alone."""
    layer = Image.fromarray(render_activation(activation, size=picture.shape[:2], body=body))
    under = Image.fromarray(picture).convert("RGBA")
    return np.asarray(Image.alpha_composite(under, layer).convert("RGB"))


def encode_picture(picture: NDArray[np.uint8]) -> str:
    """A data URI of the picture as WebP."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=WEBP_QUALITY, method=6)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
