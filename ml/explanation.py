"""Where the network looked: class activation maps from the last feature maps and the head."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def make_activation_maps(maps: Floats, kernel: Floats) -> Floats:
    """K maps (h x w) in 0..1 from feature maps (h x w x C) and the head's kernel (C x K).

    For global average pooling followed by one dense layer this is Grad-CAM without gradients
    (Selvaraju et al. 2017, appendix A): a place counts by what it adds to the label's logit,
    places that speak against it count nothing. Each map is scaled to its own maximum, and one
    that nothing supports is zero.
    """
    support = np.maximum(np.einsum("hwc,ck->khw", maps, kernel), 0)
    peaks = support.max(axis=(1, 2), keepdims=True)
    scaled = np.divide(support, peaks, out=np.zeros_like(support), where=peaks > 0)
    return np.asarray(scaled, np.float32)
