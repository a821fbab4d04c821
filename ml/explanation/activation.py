"""Class activation maps from the last feature maps and the head, without gradients."""

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
    return scale_maps(measure_support(maps, kernel))


def measure_support(maps: Floats, kernel: Floats) -> Floats:
    """What each place adds to each label's logit (K x h x w), negative where it speaks against.

    Their mean over the places, plus the head's bias, is the logit.
    """
    support: Floats = maps.reshape(-1, maps.shape[-1]) @ kernel
    return np.ascontiguousarray(support.T).reshape(-1, *maps.shape[:2])


def scale_maps(support: Floats) -> Floats:
    """Maps of 0..1 from signed ones (K x h x w): what supports a label, as a part of its peak."""
    kept = np.maximum(support, 0)
    peaks = kept.max(axis=(1, 2), keepdims=True)
    scaled = np.divide(kept, peaks, out=np.zeros_like(kept), where=peaks > 0)
    return np.asarray(scaled, np.float32)
