"""Labelled images from tables, folders of classes or DICOM files: one kind of row for them all."""

from ml.datasets.control import randomise_labels
from ml.datasets.examples import (
    EXTERNAL,
    SPLITS,
    Dataset,
    Example,
    ExternalSource,
    balance_weights,
    index_labels,
    training_weights,
    validation_weights,
)
from ml.datasets.external import load_external
from ml.datasets.loading import load_dataset

__all__ = [
    "EXTERNAL",
    "SPLITS",
    "Dataset",
    "Example",
    "ExternalSource",
    "balance_weights",
    "index_labels",
    "load_dataset",
    "load_external",
    "randomise_labels",
    "training_weights",
    "validation_weights",
]
