"""The bridge to `ml`: from a claimed row to an answer, outside any transaction.

The one room of this app that imports `ml`, and with it (only when a model is opened) the
inference engine.
"""

from classifier.inference.answers import answer_for, route_study
from classifier.inference.bundles import (
    BundleDescription,
    describe_bundle,
    find_bundle_paths,
    is_trusted,
)
from classifier.inference.overlays import draw_overlay, judge_label

__all__ = [
    "BundleDescription",
    "answer_for",
    "describe_bundle",
    "draw_overlay",
    "judge_label",
    "find_bundle_paths",
    "is_trusted",
    "route_study",
]
