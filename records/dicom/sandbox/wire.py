"""What goes between a server process and its children: JSON with a length, checked by type.

Nothing that a child says is believed for its form: an answer has to have the types that the
question's result has. Arrays travel as raw bytes in the output file, described in the JSON.
"""

import datetime as dt
import json
import math
import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

LENGTH = struct.Struct("!I")
MESSAGE_BYTES = 1024 * 1024
MESSAGE_DESCRIPTORS = 2
OUTPUT_PER_PIXEL = 9
"""Bytes of a decoded pixel at most: one level of more than 16 bits, with room for tables."""
ARRAY_TYPES = frozenset({"|u1", "<f4", "<f8"})
"""Bytes of grey or colour, and grey levels in modality units, of up to 16 bits or of more."""
OUT_OF_MEMORY = 12
"""The status with which a child ends that has no memory left to say so."""


class WireError(ValueError):
    """The other side said something that this protocol doesn't know."""


def send_message(channel: socket.socket, message: object, *, files: Sequence[int] = ()) -> None:
    """Send one message, with open files beside it."""
    body = json.dumps(message, default=str).encode()
    if len(body) > MESSAGE_BYTES:
        raise WireError("too long a message")
    data = LENGTH.pack(len(body)) + body
    sent = socket.send_fds(channel, [data], list(files)) if files else 0
    channel.sendall(data[sent:])


def receive_message(
    channel: socket.socket, *, deadline: float | None = None
) -> tuple[Any, list[int]]:
    """Return the next message and the files that came with it.

    Raises EOFError at the end, and TimeoutError once `deadline` (of the monotonic clock) has
    passed, however slowly the bytes drip in.
    """
    _set_time_left(channel, deadline)
    head, files, _, _ = socket.recv_fds(channel, LENGTH.size, MESSAGE_DESCRIPTORS)
    if not head:
        raise EOFError
    head += _receive_exactly(channel, LENGTH.size - len(head), deadline)
    (length,) = LENGTH.unpack(head)
    if length > MESSAGE_BYTES:
        raise WireError("too long a message")
    return json.loads(_receive_exactly(channel, length, deadline)), files


def _receive_exactly(channel: socket.socket, count: int, deadline: float | None) -> bytes:
    parts = []
    while count:
        _set_time_left(channel, deadline)
        part = channel.recv(count)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _set_time_left(channel: socket.socket, deadline: float | None) -> None:
    if deadline is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)


@dataclass(slots=True)
class ArrayWriter:
    """The arrays of one message, on their way into the output file."""

    output: int
    position: int = 0

    def put(self, array: NDArray[Any]) -> dict[str, Any]:
        """Write an array and return where it is."""
        place = _place(array, self.position)
        content = np.ascontiguousarray(array).data.cast("B")
        while content:
            written = os.pwrite(self.output, content, self.position)
            self.position += written
            content = content[written:]
        return place


@dataclass(slots=True)
class ArrayReader:
    """The arrays of one message, read from the output file: at most `room` bytes of it."""

    output: int
    room: int
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = min(os.fstat(self.output).st_size, self.room)

    def get(self, place: object) -> NDArray[Any]:
        """Return the array of a description; raises WireError before it allocates too much."""
        dtype, shape, start = _check_place(place, self.size)
        array = np.empty(shape, dtype)
        content = array.data.cast("B")
        while content:
            count = os.preadv(self.output, [content], start)
            if not count:
                raise WireError("an array cut short")
            start += count
            content = content[count:]
        return array


@dataclass(slots=True)
class _Gauge:
    """Stands for both ends of an output file of `room` bytes, into which nothing is written."""

    room: int
    position: int = 0

    def put(self, array: NDArray[Any]) -> dict[str, Any]:
        """Say where the array would be."""
        place = _place(array, self.position)
        self.position += array.nbytes
        return place

    def get(self, place: object) -> NDArray[Any]:
        """Judge a description as its reader would; there is no array to return."""
        dtype, _, _ = _check_place(place, self.room)
        return np.empty(0, dtype)


def check_carried(kind: Any, value: Any, *, room: int) -> None:
    """Raise WireError for an answer that wouldn't come through whole, with `room` bytes for arrays.

    So a child that proves a file knows what whoever shows it will get.
    """
    gauge = _Gauge(room)
    decode(kind, json.loads(json.dumps(encode(value, gauge))), gauge)


def _place(array: NDArray[Any], position: int) -> dict[str, Any]:
    return {"dtype": array.dtype.str, "shape": list(array.shape), "at": position}


def _check_place(place: object, size: int) -> tuple[np.dtype[Any], list[int], int]:
    """Type, shape and start of an array that lies within `size` bytes; raises WireError."""
    match place:
        case {"dtype": str(kind), "shape": [*shape], "at": int(start)} if kind in ARRAY_TYPES:
            pass
        case _:
            raise WireError("not an array")
    if not shape or any(type(side) is not int or side < 1 for side in shape):
        raise WireError("an array of no shape")
    dtype = np.dtype(kind)
    if start < 0 or start + math.prod(shape) * dtype.itemsize > size:
        raise WireError("an array beyond its file")
    return dtype, shape, start


def encode(value: Any, arrays: ArrayWriter | _Gauge) -> Any:
    """Turn a dataclass of plain values, and what is inside it, into what JSON can hold."""
    if is_dataclass(value):
        return {item.name: encode(getattr(value, item.name), arrays) for item in fields(value)}
    if isinstance(value, np.ndarray):
        return arrays.put(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: encode(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item, arrays) for item in value]
    return value


def decode(kind: Any, value: Any, arrays: ArrayReader | _Gauge | None = None) -> Any:
    """The reverse of `encode` for a value of the type `kind`; raises WireError for any other."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _decode_union(get_args(kind), value, arrays)
    if origin is not None:
        return _decode_generic(origin, get_args(kind), value, arrays)
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, arrays)
    return _decode_plain(kind, value)


def _decode_union(kinds: Sequence[Any], value: Any, arrays: ArrayReader | _Gauge | None) -> Any:
    if value is None and NoneType in kinds:
        return None
    for kind in kinds:
        if kind is not NoneType:
            try:
                return decode(kind, value, arrays)
            except WireError:
                continue
    raise WireError("none of the types that it may have")


def _decode_generic(
    origin: Any, kinds: Sequence[Any], value: Any, arrays: ArrayReader | _Gauge | None
) -> Any:
    if origin is np.ndarray and arrays is not None:
        return arrays.get(value)
    if origin is list and isinstance(value, list):
        return [decode(kinds[0], item, arrays) for item in value]
    if origin is tuple and isinstance(value, list) and len(kinds) == len(value):
        return tuple(decode(k, item, arrays) for k, item in zip(kinds, value, strict=True))
    if issubclass(origin, Mapping) and isinstance(value, dict):
        return {key: decode(kinds[1], item, arrays) for key, item in value.items()}
    raise WireError("not of its type")


def _decode_dataclass(kind: Any, value: Any, arrays: ArrayReader | _Gauge | None) -> Any:
    kinds = _field_types(kind)
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise WireError(f"not a {kind.__name__}")
    return kind(**{name: decode(kinds[name], item, arrays) for name, item in value.items()})


@cache
def _field_types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


def _decode_plain(kind: type, value: Any) -> Any:
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is kind:
        return value
    if isinstance(value, str):
        try:
            if issubclass(kind, dt.date | dt.time):
                return kind.fromisoformat(value)
            if issubclass(kind, str):
                return kind(value)
        except ValueError as error:
            raise WireError(f"not a {kind.__name__}") from error
    raise WireError(f"not a {kind.__name__}")
