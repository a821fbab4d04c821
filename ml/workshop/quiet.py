"""Loads Keras without the notes that its engines write past every setting of theirs."""

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


def quieten_engines() -> None:
    """Choose Keras' backend where nothing else did, and keep the engines' notes to themselves."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # What TensorFlow and its converters tell through absl and Python's logging.
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)


def load_keras() -> None:
    """Import Keras and its backend; what they write on the way is shown only if that fails.

    TensorFlow's native code writes there before its log levels count.
    """
    quieten_engines()
    with _withheld_stderr():
        importlib.import_module("keras")


@contextmanager
def _withheld_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(STDERR)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), STDERR)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
