"""Telling the workers that a row waits for them: the bell is the lowest app's."""

from accounts.doorbell import ring

__all__ = ["ring"]
