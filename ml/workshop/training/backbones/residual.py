"""Our own compact residual network, to be trained from the start: 1.3 M parameters at width 1."""

from typing import Any

import keras

STEM = 32
# Blocks and channels of each stage; all but the first halve the maps.
STAGES = ((1, 32), (2, 64), (2, 128), (1, 208))


def build_residual(images: Any, width: float) -> Any:
    """Backbone of four stages of basic blocks (He et al. 2016), the input reduced 32 times.

    Every convolution is followed by its batch norm, so that all of them fold away at export.
    """
    x = _convolve(images, max(8, round(STEM * width)), "stem", strides=2)
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for stage, (blocks, channels) in enumerate(STAGES):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            name = f"stage{stage}_block{block}"
            x = _block(x, max(8, round(channels * width)), strides, name)
    return keras.Model(keras.utils.get_source_inputs(images), x, name="residual")


def _block(x: Any, channels: int, strides: int, name: str) -> Any:
    """Two convolutions and a shortcut, which is projected where the shape changes."""
    shortcut = x
    if strides > 1 or x.shape[-1] != channels:
        shortcut = _convolve(x, channels, f"{name}_short", kernel=1, strides=strides, active=False)
    x = _convolve(x, channels, f"{name}_first", strides=strides)
    x = _convolve(x, channels, f"{name}_second", active=False)
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _convolve(
    x: Any, channels: int, name: str, *, kernel: int = 3, strides: int = 1, active: bool = True
) -> Any:
    x = keras.layers.Conv2D(
        channels,
        kernel,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if active else x
