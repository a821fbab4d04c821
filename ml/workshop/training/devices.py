"""Which devices train, and in which precision: GPUs where there are any, else the CPU as it is."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from ml.errors import TaskConfigInvalid
from ml.workshop.task_config import TaskConfig

AUTO = "auto"
# The backends whose devices Keras can list and share a batch between.
LISTING_BACKENDS = ("tensorflow", "jax")


def find_accelerators() -> list[str]:
    """Names of the GPUs (or TPUs) that Keras' backend sees, such as `gpu:0`."""
    if keras.backend.backend() not in LISTING_BACKENDS:
        return []
    return [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]


def choose_precision(precision: str) -> str:
    """The Keras dtype policy: half floats, which a CPU only emulates, are for accelerators."""
    if precision != AUTO:
        return precision
    return "mixed_float16" if find_accelerators() else "float32"


def share_batches(
    config: TaskConfig, devices: Sequence[str]
) -> Callable[[], AbstractContextManager[Any]]:
    """Opens where to build and fit a network so that every device takes its part of each batch.

    With one device or none nothing changes. Raises TaskConfigInvalid when the batch can't be
    shared out evenly.
    """
    if len(devices) < 2:
        return nullcontext
    size = config.training.batch_size
    if size % len(devices):
        detail = f"training.batch_size {size} is no multiple of the {len(devices)} devices"
        raise TaskConfigInvalid(path=config.task, detail=detail)
    if keras.backend.backend() == "jax":
        parallel = keras.distribution.DataParallel(devices=list(devices), auto_shard_dataset=False)
    else:
        # Only here, so that every other backend trains without TensorFlow installed.
        import tensorflow as tf

        parallel = tf.distribute.MirroredStrategy(list(devices))
    scope: Callable[[], AbstractContextManager[Any]] = parallel.scope
    return scope
