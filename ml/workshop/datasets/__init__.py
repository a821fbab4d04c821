"""Labelled images from tables, folders of classes or DICOM files: one kind of row for them all."""

from ml.workshop.datasets.control import randomise_labels
from ml.workshop.datasets.examples import (
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
from ml.workshop.datasets.external import load_external
from ml.workshop.datasets.loading import load_dataset

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
