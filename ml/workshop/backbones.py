"""Which backbones there are and what each takes, told without loading Keras."""

from dataclasses import dataclass

NONE = "none"
IMAGENET = "imagenet"
TORCH_SUFFIX = ".pth"
WEIGHT_SUFFIXES = (".h5", ".keras", TORCH_SUFFIX)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input and first weights of a backbone must be.

    An input's side is at least `minimum` and a multiple of `step`. `hidden` is the size of the
    hidden layer of the two references; 0 means that the maps are averaged. `is_published` says
    that Keras has ImageNet weights, `reads_torch` that PyTorch files of it are read.
    """

    minimum: int = 32
    step: int = 32
    hidden: int = 0
    has_width: bool = False
    reads_torch: bool = False
    is_published: bool = False


LITE = Limits(has_width=True, reads_torch=True)
OF_KERAS = Limits(is_published=True)
BACKBONE_LIMITS: dict[str, Limits] = {
    "mobilenetv2": Limits(has_width=True, is_published=True),
    "resnet50": OF_KERAS,
    "resnet50v2": OF_KERAS,
    "vgg16": OF_KERAS,
    "densenet121": OF_KERAS,
    # Its first layers don't pad: below 96 nothing is left of the image.
    "inceptionv3": Limits(minimum=96, is_published=True),
    "efficientnetv2b0": OF_KERAS,
    "efficientnetv2b3": OF_KERAS,
    "efficientnetv2s": OF_KERAS,
    "efficientnetlite0": LITE,
    "efficientnetlite1": LITE,
    "efficientnetlite2": LITE,
    "residual": Limits(has_width=True),
    "cnn4-150": Limits(minimum=150, step=150, hidden=128, has_width=True),
    "cnn5-64": Limits(minimum=64, step=64, hidden=256, has_width=True),
}
