"""The backbones by name: how each is built, what range it wants, and which input sizes fit it."""

from ml.training.backbones.catalogue import BACKBONES, Backbone, find_backbone

__all__ = ["BACKBONES", "Backbone", "find_backbone"]
