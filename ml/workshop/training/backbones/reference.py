"""Two small networks of the literature, kept as they are published, to measure others against.

Blocks of Conv3x3, ReLU and MaxPool, then a flattened hidden layer: simple to write down, but their
activation map isn't exact and they can't be exported.
"""

from typing import Any

import keras


def build_cnn4(images: Any, width: float) -> Any:
    """Four blocks of 32 to 256 channels without padding, the usual first network at 150 x 150."""
    return _build_blocks(images, (32, 64, 128, 256), width, padding="valid", name="cnn4")


def build_cnn5(images: Any, width: float) -> Any:
    """Five padded blocks of 32 to 512 channels, for 64 x 64 pixels."""
    return _build_blocks(images, (32, 64, 128, 256, 512), width, padding="same", name="cnn5")


def _build_blocks(
    images: Any, channels: tuple[int, ...], width: float, *, padding: str, name: str
) -> Any:
    """The blocks up to the last convolution's maps; the head pools those."""
    x = images
    for block, count in enumerate(channels):
        if block:
            x = keras.layers.MaxPooling2D(2, name=f"block{block - 1}_pool")(x)
        x = keras.layers.Conv2D(
            max(4, round(count * width)),
            3,
            padding=padding,
            activation="relu",
            name=f"block{block}_conv",
        )(x)
    return keras.Model(keras.utils.get_source_inputs(images), x, name=name)
