"""What the maps rest on: support that adds up to the logit, and occlusion."""

from pathlib import Path

import numpy as np

from ml.explanation import Occlusion, make_activation_maps, measure_support, occlude
from ml.predictor import Predictor
from ml.runtimes import RuntimeOutputs

# A step of a quarter is quick: nine covers.
QUICK = Occlusion(side=0.5, step=0.25)


class QuadrantNetwork:
    """A network small enough to know: label 0 likes a bright top left, label 1 a bright rest."""

    name = "quadrants"
    kernel = np.eye(2, dtype=np.float32)

    def predict(self, batch: np.ndarray) -> RuntimeOutputs:
        levels = batch.reshape(len(batch), 2, 4, 2, 4).mean(axis=(2, 4))
        is_top_left = np.array([[True, False], [False, False]])
        maps = np.stack([levels * is_top_left, levels * ~is_top_left], axis=-1)
        embeddings = maps.mean(axis=(1, 2)).astype(np.float32)
        return RuntimeOutputs(embeddings, maps.astype(np.float32), embeddings)


def test_measure_support_adds_up_to_the_logit_when_the_bias_is_added(
    predictor: Predictor, chests: np.ndarray, released_path: Path
) -> None:
    outputs = predictor.runtime.predict(chests)
    with np.load(released_path / "head.npz") as head:
        kernel, bias = head["kernel"], head["bias"]
    for maps, logits in zip(outputs.feature_maps, outputs.logits, strict=True):
        support = measure_support(maps, kernel)
        np.testing.assert_allclose(support.mean(axis=(1, 2)) + bias, logits, atol=1e-3)


def test_occlude_finds_the_place_that_a_label_stands_on() -> None:
    image = np.zeros((8, 8, 1), np.float32)
    image[:4, :4] = 100
    first, second = occlude(QuadrantNetwork(), image, QUICK)
    assert first.shape == (4, 4)
    assert np.unravel_index(first.argmax(), first.shape) == (0, 0)
    assert first[3, 3] == 0
    # The rest is dark: covered by the mean it is brighter, so it spoke against label 1.
    assert second[3, 3] < 0
    assert second[0, 0] == 0


def test_occlude_finds_nothing_when_the_image_is_blank(predictor: Predictor) -> None:
    size = predictor.bundle.manifest.input.size
    falls = occlude(predictor.runtime, np.zeros((size, size, 1), np.float32), QUICK)
    assert np.isfinite(falls).all()
    assert np.abs(falls).max() < 1e-5


def test_make_activation_maps_is_importable_where_it_was() -> None:
    assert make_activation_maps(np.ones((2, 2, 1), np.float32), np.ones((1, 1))).max() == 1
