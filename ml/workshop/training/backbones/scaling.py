"""From grey levels 0..255 to the range a backbone's published weights were trained for."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# The layer that a fixed change of channels is made with; it never learns.
SCALING = "scaling"
# Of ImageNet, red, green, blue, for levels 0..1.
MEANS = (0.485, 0.456, 0.406)
DEVIATIONS = (0.229, 0.224, 0.225)
# Of ImageNet, blue, green, red, for levels 0..255, as the Caffe models subtracted them.
CAFFE_MEANS = (103.939, 116.779, 123.68)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every channel times `scale` plus `offset`."""

    scale: float
    offset: float

    def apply(self, images: Any) -> Any:
        """Three scaled channels; a grey one is repeated."""
        is_identity = (self.scale, self.offset) == (1.0, 0.0)
        scaled = images if is_identity else keras.layers.Rescaling(self.scale, self.offset)(images)
        if images.shape[-1] == 3:
            return scaled
        return keras.layers.Concatenate()([scaled, scaled, scaled])


@dataclass(frozen=True, slots=True)
class ByChannel:
    """Each channel times its scale plus its offset, as the backbone orders them.

    `is_reversed` is for blue, green, red. It is a fixed 1x1 convolution: plain arithmetic for every
    engine, and one that they fold.
    """

    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    is_reversed: bool = False

    def apply(self, images: Any) -> Any:
        """Three scaled channels; a grey one is repeated."""
        layer = keras.layers.Conv2D(3, 1, name=SCALING, trainable=False)
        scaled = layer(images)
        order = np.eye(3)[:, ::-1] if self.is_reversed else np.eye(3)
        kernel = order if images.shape[-1] == 3 else np.ones((1, 3))
        layer.set_weights([(kernel * self.scales)[np.newaxis, np.newaxis], np.array(self.offsets)])
        return scaled


@dataclass(frozen=True, slots=True)
class Plain:
    """Levels 0..1 in as many channels as there are: for networks without published weights."""

    def apply(self, images: Any) -> Any:
        """The same channels, scaled."""
        return keras.layers.Rescaling(1 / 255)(images)


Scaling = Uniform | ByChannel | Plain

AS_SHOWN = Uniform(1.0, 0.0)
SYMMETRIC = Uniform(1 / 127.5, -1.0)
LITE = Uniform(1 / 128, -127 / 128)
UNIT = Plain()
CAFFE = ByChannel((1.0, 1.0, 1.0), tuple(-mean for mean in CAFFE_MEANS), is_reversed=True)
STANDARDISED = ByChannel(
    tuple(1 / (255 * deviation) for deviation in DEVIATIONS),
    tuple(-mean / deviation for mean, deviation in zip(MEANS, DEVIATIONS, strict=True)),
)
