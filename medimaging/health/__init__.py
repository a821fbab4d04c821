"""What the product is made of, and how each part of it is."""

from medimaging.health.parts import PROBES, Part, State, parts, probe

__all__ = ["PROBES", "Part", "State", "parts", "probe"]
