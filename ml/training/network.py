"""The network: a backbone, global average pooling and one dense layer, for any Keras backend."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from ml.errors import TaskConfigInvalid
from ml.task_config import ModelConfig, TaskConfig
from ml.training.efficientnet_lite import build_efficientnet_lite, read_weights

FEATURES = "features"
EMBEDDING = "embedding"
LOGITS = "logits"


def _mobilenet_v2(config: ModelConfig, **options: Any) -> Any:
    return keras.applications.MobileNetV2(alpha=config.width, **options)


def _resnet50_v2(_: ModelConfig, **options: Any) -> Any:
    return keras.applications.ResNet50V2(**options)


def _efficientnet_v2_b0(_: ModelConfig, **options: Any) -> Any:
    return keras.applications.EfficientNetV2B0(**options)


def _efficientnet_lite0(
    _: ModelConfig, *, input_tensor: Any = None, input_shape: Any = None, **__: Any
) -> Any:
    images = keras.Input(input_shape) if input_tensor is None else input_tensor
    return build_efficientnet_lite(0, images)


# Each with the scale and offset from 0..255 to the range its weights were trained for; the last
# one scales by itself.
BACKBONES: dict[str, tuple[Callable[..., Any], float, float]] = {
    "mobilenetv2": (_mobilenet_v2, 1 / 127.5, -1.0),
    "resnet50v2": (_resnet50_v2, 1 / 127.5, -1.0),
    "efficientnetlite0": (_efficientnet_lite0, 1 / 128, -127 / 128),
    "efficientnetv2b0": (_efficientnet_v2_b0, 1.0, 0.0),
}


def build_network(config: TaskConfig) -> Any:
    """A flat functional model from images (0..255) to logits, its inner layers named.

    `features` are the last maps (N x h x w x C), `embedding` their mean (N x C). Because only a
    dense layer follows the mean, the class activation map is the maps weighted by its kernel.
    """
    if config.model.backbone not in BACKBONES:
        raise TaskConfigInvalid(path=config.task, detail=f"no backbone {config.model.backbone}")
    build, scale, offset = BACKBONES[config.model.backbone]
    spec = config.input
    images = keras.Input((spec.size, spec.size, spec.channels), name="image")
    scaled = keras.layers.Rescaling(scale, offset)(images)
    if images.shape[-1] == 1:
        scaled = keras.layers.Concatenate()([scaled, scaled, scaled])
    backbone = build(config.model, include_top=False, weights=None, input_tensor=scaled)
    _load_weights(backbone, build, config)
    for layer in backbone.layers:
        # Weights may carry no batch statistics; training=False is not enough, because fit()
        # overrides it.
        if isinstance(layer, keras.layers.BatchNormalization) and config.model.fixed_norms:
            layer.trainable = False
    maps = keras.layers.Identity(name=FEATURES)(backbone.output)
    pooled = keras.layers.GlobalAveragePooling2D(name=EMBEDDING)(maps)
    kept = keras.layers.Dropout(config.model.dropout)(pooled)
    logits = keras.layers.Dense(len(config.data.labels), dtype="float32", name=LOGITS)(kept)
    return keras.Model(images, logits, name=config.task.replace("-", "_"))


def _load_weights(backbone: Any, build: Callable[..., Any], config: TaskConfig) -> None:
    """Fill the backbone from `none`, `imagenet` or a weights file of the same backbone."""
    if config.model.weights == "none":
        return
    size = config.input.size
    options = {"include_top": False, "input_shape": (size, size, 3)}
    if config.model.weights == "imagenet":
        pretrained = build(config.model, weights="imagenet", **options)
    else:
        pretrained = build(config.model, weights=None, **options)
        path = Path(config.model.weights)
        if not path.is_file():
            raise TaskConfigInvalid(path=config.task, detail=f"no weights file {path}")
        if path.suffix == ".pth":
            read_weights(pretrained, path)
        else:
            pretrained.load_weights(path)
    backbone.set_weights(pretrained.get_weights())
