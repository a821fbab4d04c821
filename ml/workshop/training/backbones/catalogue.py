"""One entry for each backbone: how it is built, how images are scaled for it, and its limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from ml.workshop.backbones import BACKBONE_LIMITS, Limits
from ml.workshop.training.backbones import scaling
from ml.workshop.training.backbones.efficientnet_lite import build_efficientnet_lite
from ml.workshop.training.backbones.reference import build_cnn4, build_cnn5
from ml.workshop.training.backbones.residual import build_residual
from ml.workshop.training.backbones.scaling import Scaling

Build = Callable[[Any, float], Any]


@dataclass(frozen=True, slots=True)
class Backbone:
    """How a backbone is built and fed.

    `build` makes a model of scaled images (a symbolic tensor) and a width; it ends in the last
    maps. `publish` makes it with ImageNet weights, which Keras fetches, for a size and a width.
    """

    build: Build
    scaling: Scaling
    limits: Limits
    publish: Callable[[int, float], Any] | None = None

    @property
    def is_exportable(self) -> bool:
        """Whether a bundle can be made of it: the maps are averaged and only then weighed."""
        return not self.limits.hidden


def _of_keras(name: str, scaled: Scaling) -> Backbone:
    """An entry of a network of `keras.applications`."""
    make = getattr(keras.applications, name)
    limits = BACKBONE_LIMITS[name.lower()]

    def build(images: Any, width: float) -> Any:
        options = {"alpha": width} if limits.has_width else {}
        return make(include_top=False, weights=None, input_tensor=images, **options)

    def publish(size: int, width: float) -> Any:
        options = {"alpha": width} if limits.has_width else {}
        return make(include_top=False, weights="imagenet", input_shape=(size, size, 3), **options)

    return Backbone(build, scaled, limits, publish)


def _lite(size: int) -> Backbone:
    def build(images: Any, width: float) -> Any:
        return build_efficientnet_lite(size, images, thinned=width)

    return Backbone(build, scaling.LITE, BACKBONE_LIMITS[f"efficientnetlite{size}"])


def _of_ours(name: str, build: Build) -> Backbone:
    return Backbone(build, scaling.UNIT, BACKBONE_LIMITS[name])


BACKBONES: dict[str, Backbone] = {
    "mobilenetv2": _of_keras("MobileNetV2", scaling.SYMMETRIC),
    "resnet50": _of_keras("ResNet50", scaling.CAFFE),
    "resnet50v2": _of_keras("ResNet50V2", scaling.SYMMETRIC),
    "vgg16": _of_keras("VGG16", scaling.CAFFE),
    "densenet121": _of_keras("DenseNet121", scaling.STANDARDISED),
    "inceptionv3": _of_keras("InceptionV3", scaling.SYMMETRIC),
    # These three scale by themselves.
    "efficientnetv2b0": _of_keras("EfficientNetV2B0", scaling.AS_SHOWN),
    "efficientnetv2b3": _of_keras("EfficientNetV2B3", scaling.AS_SHOWN),
    "efficientnetv2s": _of_keras("EfficientNetV2S", scaling.AS_SHOWN),
    "efficientnetlite0": _lite(0),
    "efficientnetlite1": _lite(1),
    "efficientnetlite2": _lite(2),
    "residual": _of_ours("residual", build_residual),
    "cnn4-150": _of_ours("cnn4-150", build_cnn4),
    "cnn5-64": _of_ours("cnn5-64", build_cnn5),
}
