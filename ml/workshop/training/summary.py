"""A network's layers as rows: shapes, parameters, and what one image costs in multiplications."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer: shape of its output, parameters, those that learn, multiplications of an image."""

    name: str
    kind: str
    output: Shape
    parameters: int
    trainable: int
    multiplications: int


def list_layers(network: Any) -> Iterator[LayerRow]:
    """The layers of a functional network, in order."""
    for layer in network.layers:
        outputs = layer.output if isinstance(layer.output, list) else [layer.output]
        shape: Shape = tuple(outputs[0].shape)
        yield LayerRow(
            name=layer.name,
            kind=type(layer).__name__,
            output=shape,
            parameters=_count(layer.weights),
            trainable=_count(layer.trainable_weights),
            multiplications=_count_multiplications(layer, shape),
        )


def _count(weights: Any) -> int:
    return sum(int(math.prod(weight.shape)) for weight in weights)


def _count_multiplications(layer: Any, output: Shape) -> int:
    """Those of convolutions and dense layers, where nearly all of them are."""
    kernels = [weight for weight in layer.weights if "kernel" in weight.name]
    if not kernels:
        return 0
    # Each value of a kernel meets every place of the output once.
    places = math.prod(side or 1 for side in output[1:-1])
    return places * _count(kernels)


def format_summary(network: Any) -> Iterator[str]:
    """Lines of text: the layers, then input, outputs and totals."""
    rows = list(list_layers(network))
    yield f"{'layer':44} {'kind':24} {'output':>18} {'parameters':>12}"
    for row in rows:
        shape = " x ".join(str(side) for side in row.output[1:])
        yield f"{row.name:44} {row.kind:24} {shape:>18} {row.parameters:12,}"
    for name, tensors in (("input", network.inputs), ("output", network.outputs)):
        for one in tensors:
            yield f"{name}: {' x '.join(str(side) for side in one.shape[1:])}"
    parameters = sum(row.parameters for row in rows)
    trainable = sum(row.trainable for row in rows)
    yield f"parameters: {parameters:,} ({trainable:,} learn, {parameters - trainable:,} stay)"
    yield f"multiplications for one image: {sum(row.multiplications for row in rows) / 1e6:,.1f} M"
