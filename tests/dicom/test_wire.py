"""What is said between a server process and its children, and what is not believed."""

import datetime as dt
import json
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from records.dicom.sandbox.wire import ArrayReader, ArrayWriter, WireError, decode, encode


@dataclass(frozen=True)
class Told:
    """What a child might say."""

    when: dt.date | None
    place: tuple[float, float] | None
    words: dict[str, str]
    pixels: NDArray[np.float32] | NDArray[np.uint8]


def test_wire_gives_back_what_it_took(tmp_path):
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4)
    told = Told(dt.date(2026, 2, 3), (1.5, 2), {"a": "b"}, pixels)
    with (tmp_path / "output").open("w+b") as output:
        message = json.loads(json.dumps(encode(told, ArrayWriter(output.fileno()))))
        back = decode(Told, message, ArrayReader(output.fileno(), 1000))

    assert (back.when, back.place, back.words) == (told.when, told.place, told.words)
    assert np.array_equal(back.pixels, pixels)


WHERE = {"dtype": "<f4", "shape": [3, 4], "at": 0}


@pytest.mark.parametrize(
    "lie",
    [
        {"when": "yesterday"},
        {"when": 5},
        {"place": [1.0]},
        {"place": ["a", "b"]},
        {"words": {"a": 1}},
        {"words": []},
        {"pixels": WHERE | {"shape": [10**6, 10**6]}},
        {"pixels": WHERE | {"shape": [-3, -4]}},
        {"pixels": WHERE | {"at": -8}},
        {"pixels": WHERE | {"at": 8}},
        {"pixels": WHERE | {"dtype": "|O"}},
        {"pixels": None},
        {"more": 1},
    ],
)
def test_wire_believes_nothing_of_another_form(tmp_path, lie):
    honest = {"when": None, "place": None, "words": {}, "pixels": WHERE}
    with (tmp_path / "output").open("w+b") as output:
        output.write(bytes(48))
        output.flush()
        decode(Told, honest, ArrayReader(output.fileno(), 1000))
        with pytest.raises(WireError):
            decode(Told, honest | lie, ArrayReader(output.fileno(), 1000))
        with pytest.raises(WireError):
            decode(Told, honest, ArrayReader(output.fileno(), 40))
