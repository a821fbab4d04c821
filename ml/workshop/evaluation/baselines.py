"""The baselines to print beside every score: what a network gets for nothing, or nearly so.

Logistic regression on 16 x 16 grey thumbnails sees exposure, framing and collection, hardly any
disease. A frozen ImageNet backbone with a linear layer is what stands before anything is trained.
"""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ml.calibration import choose_thresholds
from ml.errors import TaskConfigInvalid
from ml.images import read_frames, to_display
from ml.preprocessing import PREPROCESSING_VERSION
from ml.workshop.datasets import Example, index_labels
from ml.workshop.evaluation.metrics import macro_auc, roc_auc, score_labels
from ml.workshop.evaluation.scoring import Answers, decide_labels, headline_rows, score_points
from ml.workshop.progress import Progress
from ml.workshop.task_config import TaskConfig

Scores = NDArray[np.float64]
Embeddings = NDArray[np.float32]

THUMBNAIL_SIDE = 16
# Larger inputs cost time and hardly change what a frozen backbone tells apart.
MAX_FROZEN_SIZE = 160
# Images between two steps of the progress bar: each run of the network is traced anew.
CHUNK = 1024
CACHE_DIR = Path("var/embeddings")
# A baseline answers every image.
OF_REFUSALS = ("refused", "answered_")


def thumbnail_scores(
    training: Sequence[Example], testing: Sequence[Example], config: TaskConfig
) -> Scores:
    """Probabilities (N x K) for `testing` by logistic regression on 16 x 16 thumbnails."""
    labels = [row.label for row in training]
    return linear_scores(
        make_thumbnails(training), labels, make_thumbnails(testing), config.data.labels
    )


def frozen_scores(
    training: Sequence[Example],
    testing: Sequence[Example],
    config: TaskConfig,
    weights: Path | None = None,
) -> Scores:
    """Probabilities (N x K) for `testing` by a linear layer on a frozen backbone's embedding.

    `weights` is a file of ImageNet weights: MobileNetV2's (`.h5`) or EfficientNet-Lite0's (`.pth`).
    Without one it is the task's own backbone with its first weights. Embeddings are kept in
    `var/embeddings`, so that a second run is quick. Raises TaskConfigInvalid for no such file.
    """
    embedded = embed_examples([*training, *testing], freeze_config(config, weights))
    # Features of any scale, unlike grey levels.
    scaled = StandardScaler().fit(embedded[: len(training)]).transform(embedded)
    seen, unseen = scaled[: len(training)], scaled[len(training) :]
    return linear_scores(seen, [row.label for row in training], unseen, config.data.labels)


def linear_scores(
    seen: NDArray[np.floating],
    answers: Sequence[str],
    unseen: NDArray[np.floating],
    labels: Sequence[str],
) -> Scores:
    """Probabilities of the labels (M x K) for `unseen` (M x F), learned from `seen` (N x F).

    Logistic regression; a label without an answer among the N keeps probability 0.
    """
    scores = np.zeros((len(unseen), len(labels)))
    targets = [labels.index(answer) for answer in answers]
    if len(set(targets)) == 1:
        scores[:, targets[0]] = 1
        return scores
    model = LogisticRegression(max_iter=2000).fit(seen, targets)
    scores[:, model.classes_] = model.predict_proba(unseen)
    return scores


def score_baseline(
    scores: Scores, testing: Sequence[Example], config: TaskConfig
) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro AUC, recall of each label, and the headline AUC if any."""
    labels = config.data.labels
    targets = index_labels(testing, labels)
    figures = score_labels(targets, scores.argmax(axis=1), labels)
    kept = headline_rows(testing, labels, config.data.normal_label, config.decision)
    headline = {}
    if kept.size:
        disease = labels.index(config.decision.headline_label)
        headline["headline_auc"] = roc_auc(scores[kept, disease], targets[kept] == disease)
    return {
        "accuracy": figures["accuracy"],
        "balanced_accuracy": figures["balanced_accuracy"],
        "macro_auc": macro_auc(scores, targets),
        **headline,
        **{name: value for name, value in figures.items() if name.startswith("recall.")},
    }


def score_in_full(
    scores: Scores,
    known: Scores,
    validation: Sequence[Example],
    testing: Sequence[Example],
    config: TaskConfig,
) -> dict[str, float]:
    """Every figure that the network has on `testing`, by the same names, but those of refusals.

    `scores` (N x K) are a baseline's for `testing`, `known` (M x K) its for `validation`: there
    its thresholds are chosen, as the network's are.
    """
    data = config.data
    thresholds = choose_thresholds(
        known,
        index_labels(validation, data.labels),
        data.labels,
        among=config.decision.recall_labels,
        target_recall=config.decision.target_recall,
        min_specificity=config.decision.min_specificity,
    )
    answers = Answers(
        examples=tuple(testing),
        probabilities=scores,
        given=decide_labels(scores, data.labels, data.normal_label, thresholds),
        targets=index_labels(testing, data.labels),
        distances=np.zeros(len(testing)),
        refusals=("",) * len(testing),
    )
    figures = score_points(answers, data.labels, data.normal_label, config.decision)
    return {name: value for name, value in figures.items() if not name.startswith(OF_REFUSALS)}


def make_thumbnails(examples: Sequence[Example]) -> Scores:
    """One flattened thumbnail (256 values) for each example."""
    return np.stack([flatten_thumbnail(to_display(read_frames(row.path)[0])) for row in examples])


def flatten_thumbnail(shown: NDArray[np.uint8]) -> Scores:
    """256 grey levels of a displayed image, each a mean of its area, centred on 0."""
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = Image.fromarray(shown).convert("L").resize(side, Image.Resampling.BOX)
    return np.asarray(small, np.float64).ravel() / 127.5 - 1


def freeze_config(config: TaskConfig, weights: Path | None) -> TaskConfig:
    """The task with the baseline's backbone and weights, and an input of at most 160 pixels.

    Without weights it is the task as it is.
    """
    if weights is None:
        return config
    backbone = "efficientnetlite0" if weights.suffix == ".pth" else "mobilenetv2"
    model = dataclasses.replace(config.model, backbone=backbone, width=1.0, weights=str(weights))
    spec = dataclasses.replace(config.input, size=min(config.input.size, MAX_FROZEN_SIZE))
    return dataclasses.replace(config, input=spec, model=model)


def embed_examples(examples: Sequence[Example], config: TaskConfig) -> Embeddings:
    """Embeddings (N x C) of the examples by the task's backbone as its first weights have it."""
    cache = CACHE_DIR / f"{_name_space(config)}.npz"
    known = _read_cache(cache)
    names = [hashlib.sha256(example.path.read_bytes()).hexdigest() for example in examples]
    fresh = {name: row for name, row in zip(names, examples, strict=True) if name not in known}
    if fresh:
        known |= _run_backbone(fresh, config)
        _write_cache(cache, known)
    return np.stack([known[name] for name in names])


def _name_space(config: TaskConfig) -> str:
    """What an embedding depends on besides the image, as a short name."""
    weights = Path(config.model.weights)
    if not weights.is_file():
        raise TaskConfigInvalid(path=config.task, detail=f"no weights file {weights}")
    with weights.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    spec, model = config.input, config.model
    choices = (digest, model.backbone, model.width, dataclasses.astuple(spec))
    return hashlib.sha256(f"{choices}{PREPROCESSING_VERSION}".encode()).hexdigest()[:16]


def _run_backbone(fresh: Mapping[str, Example], config: TaskConfig) -> dict[str, Embeddings]:
    # Here, because whoever scores thumbnails alone needs no engine.
    from ml.workshop.training.network import build_network
    from ml.workshop.training.outputs import run_network

    network = build_network(config)
    names, examples = list(fresh), list(fresh.values())
    found: dict[str, Embeddings] = {}
    with Progress(len(names), "frozen backbone", unit="image") as bar:
        for start in range(0, len(names), CHUNK):
            part = examples[start : start + CHUNK]
            outputs = run_network(network, part, config)
            found |= dict(zip(names[start : start + CHUNK], outputs.embeddings, strict=True))
            bar.advance(len(part))
    return found


def _read_cache(path: Path) -> dict[str, Embeddings]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return dict(zip(arrays["names"].tolist(), arrays["embeddings"], strict=True))


def _write_cache(path: Path, known: Mapping[str, Embeddings]) -> None:
    """Whole or not at all: another process may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.stem}.{os.getpid()}.npz")
    np.savez(draft, names=np.array(list(known)), embeddings=np.stack(list(known.values())))
    draft.replace(path)
