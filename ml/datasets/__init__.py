"""Labelled images from tables, folders of classes or DICOM files: one kind of row for them all."""

from ml.datasets.examples import SPLITS, Dataset, Example, balance_weights, index_labels
from ml.datasets.loading import load_dataset

__all__ = ["SPLITS", "Dataset", "Example", "balance_weights", "index_labels", "load_dataset"]
