"""Where the network looked: three ways to map it, one scale, and the tests of a map."""

from ml.explanation.activation import make_activation_maps, measure_support, scale_maps
from ml.explanation.evidence import (
    Evidence,
    describe_evidence,
    judge_finding,
    measure_evidence,
)
from ml.explanation.occlusion import Occlusion, occlude

__all__ = [
    "Evidence",
    "Occlusion",
    "describe_evidence",
    "judge_finding",
    "make_activation_maps",
    "measure_evidence",
    "measure_support",
    "occlude",
    "scale_maps",
]
