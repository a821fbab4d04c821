"""Reads the tensors of an old PyTorch file (`torch.save` before 1.6) without PyTorch.

The file is a pickle, which could run anything: the reader knows only the few names that a state
dict of tensors needs and refuses every other.
"""

import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
}
# What pickle raises on a file that it didn't write, besides ValueError.
READING_ERRORS = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
)


class _Pending:
    """A tensor whose numbers come later in the file."""

    def __init__(
        self, key: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
    ) -> None:
        self.key, self.offset, self.shape, self.strides = key, offset, shape, strides


class _TensorUnpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Pending
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a file of tensors")

    def persistent_load(self, pid: Any) -> str:
        _, storage, key, *_ = pid
        self.dtypes[key] = STORAGES[storage]
        return str(key)


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name; raises ValueError for anything but a state dict."""
    try:
        with path.open("rb") as stream:
            header = [_TensorUnpickler(stream).load() for _ in range(3)]
            if header[0] != MAGIC:
                raise ValueError("no PyTorch file of the old kind")
            reader = _TensorUnpickler(stream)
            tensors = reader.load()
            keys = _TensorUnpickler(stream).load()
            stored = {key: _read_numbers(stream, reader.dtypes[key]) for key in keys}
        return {name: _cut(stored, tensor) for name, tensor in tensors.items()}
    except READING_ERRORS as error:
        raise ValueError(f"{path} can't be read: {error}") from error


def _read_numbers(stream: BinaryIO, dtype: np.dtype[Any]) -> NDArray[Any]:
    count = int.from_bytes(stream.read(8), "little", signed=True)
    content = stream.read(max(0, count) * dtype.itemsize)
    if count < 0 or len(content) != count * dtype.itemsize:
        raise EOFError("the file is cut short")
    return np.frombuffer(content, dtype)


def _cut(stored: dict[str, NDArray[Any]], tensor: _Pending) -> NDArray[Any]:
    """The tensor's view of its storage, copied into the usual order; strides count numbers."""
    numbers = stored[tensor.key][tensor.offset :]
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    # A stride of 0 would let a short storage fill any amount of memory.
    is_larger = math.prod(tensor.shape) > len(numbers)
    if is_larger or last >= len(numbers) or min((tensor.offset, *tensor.strides)) < 0:
        raise ValueError("a tensor reaches beyond its storage")
    strides = [step * numbers.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides).copy()
