"""PyTorch files of the old kind, made by hand: nothing in them runs, no cut one passes."""

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import TaskConfigInvalid
from tests.ml.workshop.test_networks import configure

MAGIC = 0x1950A86A20F9469CFC6C


class FloatStorage:
    """Stands for `torch.FloatStorage`."""


class _Storage:
    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


def _rebuild_tensor_v2(*_: Any) -> None:
    """Stands for `torch._utils._rebuild_tensor_v2`, which the reader never calls."""


class _Tensor:
    """Pickles as PyTorch's tensors do: a storage, an offset, a shape and strides."""

    def __init__(self, key: str, values: np.ndarray) -> None:
        self.storage = _Storage(key, values.size)
        self.shape = values.shape
        self.strides = tuple(step // values.itemsize for step in values.strides)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_tensor_v2, (self.storage, 0, self.shape, self.strides, False, {})


class _TorchPickler(pickle._Pickler):
    """Writes the two names above as those of PyTorch."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            return ("storage", FloatStorage, obj.key, "cpu", obj.count, None)
        return None

    def save_global(self, obj: Any, name: str | None = None) -> None:
        modules = {FloatStorage: "torch", _rebuild_tensor_v2: "torch._utils"}
        if obj in modules:
            self.write(f"c{modules[obj]}\n{obj.__name__}\n".encode())
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch = {**pickle._Pickler.dispatch, type(FloatStorage): save_global}
    dispatch[type(_rebuild_tensor_v2)] = save_global


def write_torch(path: Path, weights: dict[str, np.ndarray], *, foreign: Any = None) -> Path:
    values = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}
    keys = {name: str(number) for number, name in enumerate(values)}
    state: dict[str, Any] = OrderedDict((n, _Tensor(keys[n], v)) for n, v in values.items())
    if foreign is not None:
        state["foreign"] = foreign
    stream = io.BytesIO()
    for content in (MAGIC, 1001, {"little_endian": True}):
        stream.write(pickle.dumps(content, 2))
    _TorchPickler(stream, 2).dump(state)
    stream.write(pickle.dumps(list(keys.values()), 2))
    for value in values.values():
        stream.write(struct.pack("<q", value.size) + value.tobytes())
    path.write_bytes(stream.getvalue())
    return path


def name_torch_weights(network: Any) -> dict[str, np.ndarray]:
    """Weights of our EfficientNet-Lite under the names and in the order of axes of PyTorch."""
    parts = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    outer = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    weights: dict[str, np.ndarray] = {}
    for layer in network.layers:
        name = layer.name.removesuffix("_bn")
        if not layer.weights or not name.startswith(("stem", "head", "block")):
            continue
        if name in outer:
            convolution, norm = outer[name]
        else:
            block, part = name.removeprefix("block").split("_")
            convolution, norm = f"_blocks.{block}._{part}_conv", f"_blocks.{block}.{parts[part]}"
        values = layer.get_weights()
        if layer.name.endswith("_bn"):
            entries = ("weight", "bias", "running_mean", "running_var")
            weights |= {f"{norm}.{entry}": v for entry, v in zip(entries, values, strict=True)}
        else:
            axes = (2, 3, 0, 1) if name.endswith("depthwise") else (3, 2, 0, 1)
            weights[f"{convolution}.weight"] = np.transpose(values[0], axes)
    return weights | {"_fc.weight": np.ones((5, 7)), "_fc.bias": np.ones(5)}


def build_lite(weights: str = "none") -> Any:
    from ml.workshop.training.network import build_network

    options = {"model__weights": weights, "model__width": 0.1}
    return build_network(configure("efficientnetlite0", 32, **options))


def test_build_network_reads_efficientnet_lite_from_a_pytorch_file(tmp_path: Path) -> None:
    source = build_lite()
    rng = np.random.default_rng(4)
    for layer in source.layers:
        layer.set_weights([rng.uniform(0.1, 0.6, value.shape) for value in layer.get_weights()])
    path = write_torch(tmp_path / "lite.pth", name_torch_weights(source))
    network = build_lite(str(path))
    for layer in network.layers[:-1]:
        for given, found in zip(
            source.get_layer(layer.name).get_weights() if layer.weights else [],
            layer.get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(found, np.asarray(given, np.float32))


def test_build_network_refuses_a_pytorch_file_of_another_network(tmp_path: Path) -> None:
    weights = name_torch_weights(build_lite())
    del weights["_blocks.3._project_conv.weight"]
    with pytest.raises(TaskConfigInvalid, match="another network"):
        build_lite(str(write_torch(tmp_path / "lite.pth", weights)))


def test_build_network_refuses_a_pytorch_file_for_other_backbones(tmp_path: Path) -> None:
    from ml.workshop.training.network import build_network

    path = str(write_torch(tmp_path / "lite.pth", {"a": np.ones(2)}))
    with pytest.raises(TaskConfigInvalid, match="only EfficientNet-Lite"):
        build_network(configure("residual", 32, model__weights=path))


def test_read_state_dict_refuses_a_file_that_is_cut_short(tmp_path: Path) -> None:
    from ml.workshop.training.torch_files import read_state_dict

    weights = {"a": np.arange(600.0).reshape(20, 30), "b": np.ones(7)}
    content = write_torch(tmp_path / "whole.pth", weights).read_bytes()
    cut = tmp_path / "cut.pth"
    for length in (0, 1, 20, 100, 250, len(content) - 32, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut|no PyTorch file"):
            read_state_dict(cut)


def test_build_network_runs_nothing_that_a_pytorch_file_names(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Foreign:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    path = write_torch(tmp_path / "lite.pth", {"a": np.ones(2)}, foreign=Foreign())
    with pytest.raises(TaskConfigInvalid, match="is not part of a file of tensors"):
        build_lite(str(path))
    assert not marker.exists()


@pytest.mark.parametrize("count", [4, -1])
def test_read_state_dict_refuses_when_a_tensor_needs_more_than_is_stored(
    count: int, tmp_path: Path
) -> None:
    from ml.workshop.training.torch_files import read_state_dict

    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = write_torch(tmp_path / "one.pth", {"a": values})
    np.testing.assert_array_equal(read_state_dict(path)["a"], values)
    stored = struct.pack("<q", 6) + values.tobytes()
    fewer = struct.pack("<q", count) + values.tobytes()[:16]
    path.write_bytes(path.read_bytes().replace(stored, fewer))
    with pytest.raises(ValueError, match="beyond its storage|cut short"):
        read_state_dict(path)
