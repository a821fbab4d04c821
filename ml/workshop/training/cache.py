"""Keeps arrays that are dear to make, up to a number of bytes."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class ArrayCache(Generic[Scalar]):
    """Arrays by row. Once full it takes no more.

    Every row is read as often as any other: throwing one out for the next would only have both
    made again.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.is_full = False
        self._arrays: dict[int, NDArray[Scalar]] = {}
        self._lock = threading.Lock()

    def get(self, row: int, make: Callable[[], NDArray[Scalar]]) -> NDArray[Scalar]:
        """The row's array, made if it isn't kept; several threads may ask at once."""
        kept = self._arrays.get(row)
        if kept is not None:
            return kept
        made = make()
        with self._lock:
            if self.used + made.nbytes > self.limit:
                self.is_full = True
            elif row not in self._arrays:
                self._arrays[row] = made
                self.used += made.nbytes
        return made
