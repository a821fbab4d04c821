"""What heat maps must reach to be shown openly, and at which size they are made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MapsConfig:
    """How heat maps are made, and what they must reach to be shown openly.

    They come from the network at an input of `scale` times its own side: a larger one gives more
    and smaller cells, and takes time by its area. With masks of the
    `region`, peaks lie on it in `min_on_mask` of the films at least, and more often than on the
    masks of other films. No more than `max_same_place` of all peaks lie in one place; without
    masks the maps also correlate with the mean map of normal images by `max_normal_likeness` at
    most. Judged is the end of the 95 % interval that speaks against them.
    """

    scale: float = 1.0
    min_on_mask: float = 0.8
    max_same_place: float = 0.5
    max_normal_likeness: float = 0.5
    region: str = "the organ"


def find_map_size(maps: MapsConfig, input_size: int) -> int:
    """The side in pixels of the input that heat maps come from; 0 for the network's own."""
    return 0 if maps.scale == 1 else round(maps.scale * input_size)
