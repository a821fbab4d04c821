"""Where the network looked: three ways to map it, and the tests that such a map must pass."""

from ml.explanation.activation import make_activation_maps, measure_support, scale_maps
from ml.explanation.occlusion import Occlusion, occlude

__all__ = ["Occlusion", "make_activation_maps", "measure_support", "occlude", "scale_maps"]
