"""The backbones by name: how each is built, what range it wants, and which input sizes fit it."""

from ml.workshop.training.backbones.catalogue import BACKBONES, Backbone

__all__ = ["BACKBONES", "Backbone"]
