"""The baseline to print beside every score: logistic regression on 16 x 16 grey thumbnails.

It sees exposure, framing and collection, hardly any disease: what it reaches, a network gets for
nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from ml.datasets import Example
from ml.evaluation.metrics import macro_auc, roc_auc, score_labels
from ml.images import read_frames, to_display
from ml.task_config import TaskConfig

SIDE = 16


def score_thumbnails(
    training: Sequence[Example], testing: Sequence[Example], config: TaskConfig
) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro AUC and the headline AUC of the baseline."""
    labels = config.data.labels
    model = LogisticRegression(max_iter=2000)
    model.fit(_make_thumbnails(training), [labels.index(row.label) for row in training])
    targets = np.array([labels.index(row.label) for row in testing])
    raw = model.predict_proba(_make_thumbnails(testing))
    scores = np.zeros((len(testing), len(labels)))
    scores[:, model.classes_] = raw
    figures = score_labels(targets, scores.argmax(axis=1), labels)
    normal, disease = (
        labels.index(name) for name in (config.data.normal_label, config.decision.headline_label)
    )
    kept = np.array([row.source == config.decision.headline_source for row in testing])
    kept &= np.isin(targets, (normal, disease))
    return {
        "accuracy": figures["accuracy"],
        "balanced_accuracy": figures["balanced_accuracy"],
        "macro_auc": macro_auc(scores, targets),
        "headline_auc": roc_auc(scores[kept, disease], targets[kept] == disease),
    }


def _make_thumbnails(examples: Sequence[Example]) -> NDArray[np.float64]:
    """One flattened thumbnail per row, grey levels centred on 0."""
    rows = []
    for example in examples:
        image = Image.fromarray(to_display(read_frames(example.path)[0])).convert("L")
        small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
        rows.append(np.asarray(small, np.float64).ravel() / 127.5 - 1)
    return np.stack(rows)
