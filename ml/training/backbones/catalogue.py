"""One entry for each backbone: builder, scaling, input sizes, and the kind of head it carries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from ml.errors import TaskConfigInvalid
from ml.task_config import TaskConfig
from ml.training.backbones import scaling
from ml.training.backbones.efficientnet_lite import build_efficientnet_lite
from ml.training.backbones.reference import build_cnn4, build_cnn5
from ml.training.backbones.residual import build_residual
from ml.training.backbones.scaling import Scaling


@dataclass(frozen=True, slots=True)
class Backbone:
    """How a backbone is built and fed.

    `build` makes a model of scaled images (a symbolic tensor) and a width; it ends in the last
    maps. `publish` makes it with ImageNet weights, which Keras fetches, for a size and a width.
    An input's side is at least `minimum` and a multiple of `step`. `hidden` is the size of the
    hidden layer of the two references; 0 means that the maps are averaged.
    """

    build: Callable[[Any, float], Any]
    scaling: Scaling
    minimum: int = 32
    step: int = 32
    hidden: int = 0
    has_width: bool = False
    reads_torch: bool = False
    publish: Callable[[int, float], Any] | None = None

    @property
    def is_exportable(self) -> bool:
        """Whether a bundle can be made of it: the maps are averaged and only then weighed."""
        return not self.hidden


def _of_keras(
    name: str, scaled: Scaling, *, minimum: int = 32, has_width: bool = False
) -> Backbone:
    """An entry of a network of `keras.applications`."""
    make = getattr(keras.applications, name)

    def build(images: Any, width: float) -> Any:
        options = {"alpha": width} if has_width else {}
        return make(include_top=False, weights=None, input_tensor=images, **options)

    def publish(size: int, width: float) -> Any:
        options = {"alpha": width} if has_width else {}
        return make(include_top=False, weights="imagenet", input_shape=(size, size, 3), **options)

    return Backbone(build, scaled, minimum=minimum, has_width=has_width, publish=publish)


def _lite(size: int) -> Backbone:
    def build(images: Any, width: float) -> Any:
        return build_efficientnet_lite(size, images, thinned=width)

    return Backbone(build, scaling.LITE, reads_torch=True, has_width=True)


BACKBONES: dict[str, Backbone] = {
    "mobilenetv2": _of_keras("MobileNetV2", scaling.SYMMETRIC, has_width=True),
    "resnet50": _of_keras("ResNet50", scaling.CAFFE),
    "resnet50v2": _of_keras("ResNet50V2", scaling.SYMMETRIC),
    "vgg16": _of_keras("VGG16", scaling.CAFFE),
    "densenet121": _of_keras("DenseNet121", scaling.STANDARDISED),
    # Its first layers don't pad: below 96 nothing is left of the image.
    "inceptionv3": _of_keras("InceptionV3", scaling.SYMMETRIC, minimum=96),
    # These three scale by themselves.
    "efficientnetv2b0": _of_keras("EfficientNetV2B0", scaling.AS_SHOWN),
    "efficientnetv2b3": _of_keras("EfficientNetV2B3", scaling.AS_SHOWN),
    "efficientnetv2s": _of_keras("EfficientNetV2S", scaling.AS_SHOWN),
    "efficientnetlite0": _lite(0),
    "efficientnetlite1": _lite(1),
    "efficientnetlite2": _lite(2),
    "residual": Backbone(build_residual, scaling.UNIT, has_width=True),
    "cnn4-150": Backbone(
        build_cnn4, scaling.UNIT, minimum=150, step=150, hidden=128, has_width=True
    ),
    "cnn5-64": Backbone(build_cnn5, scaling.UNIT, minimum=64, step=64, hidden=256, has_width=True),
}


def find_backbone(config: TaskConfig) -> Backbone:
    """The entry that the task names; raises TaskConfigInvalid when its choices don't fit it."""
    name, size, width = config.model.backbone, config.input.size, config.model.width
    entry = BACKBONES.get(name)
    if entry is None:
        detail = f"there is no backbone {name}; there are {', '.join(sorted(BACKBONES))}"
        raise TaskConfigInvalid(path=config.task, detail=detail)
    if size < entry.minimum or size % entry.step:
        detail = f"input.size of {name} is a multiple of {entry.step} from {entry.minimum} on"
        raise TaskConfigInvalid(path=config.task, detail=f"{detail}, not {size}")
    if width != 1 and not entry.has_width:
        raise TaskConfigInvalid(path=config.task, detail=f"model.width of {name} is always 1.0")
    return entry
