"""The bridge to `ml`: from a claimed row to an answer, outside any transaction.

The one room of this app that imports `ml`, and with it (only when a model is opened) the
inference engine.
"""

from classifier.inference.answers import answer_for, route_study
from classifier.inference.bundle_store import (
    is_present,
    kept_digests,
    remove_bundle,
    remove_unfinished,
    shipped_digests,
)
from classifier.inference.bundles import (
    BundleDescription,
    describe_bundle,
    find_bundle_paths,
    is_trusted,
    keep,
    keep_registered,
    order_of,
    read_bundle_file,
)
from classifier.inference.overlays import draw_overlay, judge_label
from ml.equivalence import answers_alike

__all__ = [
    "BundleDescription",
    "answer_for",
    "answers_alike",
    "describe_bundle",
    "draw_overlay",
    "find_bundle_paths",
    "is_present",
    "is_trusted",
    "judge_label",
    "keep",
    "keep_registered",
    "kept_digests",
    "order_of",
    "read_bundle_file",
    "remove_bundle",
    "remove_unfinished",
    "route_study",
    "shipped_digests",
]
