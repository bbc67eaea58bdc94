"""Writes small quantised networks as .tflite files, to try the reader and the interpreter with.

A FlatBuffer is written from its front: each table with its field list before it, and what it refers to behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Numbers of TensorFlow Lite's schema.
ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED = 0, 1, 2, 3, 4, 9
LOGISTIC, MAX_POOL_2D, MUL, RESHAPE, SOFTMAX, CUSTOM = 14, 17, 18, 22, 25, 32
_OPTIONS = {
    CONV_2D: 1, DEPTHWISE_CONV_2D: 2, AVERAGE_POOL_2D: 5, MAX_POOL_2D: 5, FULLY_CONNECTED: 8, SOFTMAX: 9,
    CONCATENATION: 10, ADD: 11, RESHAPE: 17, MUL: 21,
}  # fmt: skip
_VERSIONS = {CONV_2D: 3, DEPTHWISE_CONV_2D: 3, FULLY_CONNECTED: 4, SOFTMAX: 2, ADD: 2, CONCATENATION: 2, LOGISTIC: 2}
_TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int8": 9}
SAME, VALID = 0, 1
NO_ACTIVATION, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


@dataclass
class Scalar:
    """A number in a table, by its format in `struct`."""

    format: str
    value: float


@dataclass
class Table:
    """The fields that are not of default value, by their number."""

    fields: Mapping[int, Any]


@dataclass
class Vector:
    """Numbers, or tables."""

    format: str
    items: Sequence[Any]
    align: int = 4


def render(root: Table) -> bytes:
    """Return the file."""
    out = bytearray(b"\0\0\0\0TFL3")
    struct.pack_into("<I", out, 0, _write(out, root))
    return bytes(out)


def _pad(out: bytearray, align: int, after: int = 0) -> None:
    while (len(out) + after) % align:
        out.append(0)


def _write(out: bytearray, item: Table | Vector | str) -> int:
    """Append *item* and what it refers to; return its place."""
    if isinstance(item, str):
        _pad(out, 4)
        place = len(out)
        out += struct.pack("<I", len(item.encode())) + item.encode() + b"\0"
        return place
    return _write_table(out, item) if isinstance(item, Table) else _write_vector(out, item)


def _write_vector(out: bytearray, vector: Vector) -> int:
    _pad(out, max(4, vector.align), 4)
    place = len(out)
    out += struct.pack("<I", len(vector.items))
    if vector.format:
        out += struct.pack(f"<{len(vector.items)}{vector.format}", *vector.items)
        return place
    out += bytes(4 * len(vector.items))
    for number, item in enumerate(vector.items):
        _refer(out, place + 4 + 4 * number, item)
    return place


def _refer(out: bytearray, at: int, item: Any) -> None:
    struct.pack_into("<I", out, at, _write(out, item) - at)


def _write_table(out: bytearray, table: Table) -> int:
    slots = [0] * (max(table.fields, default=-1) + 1)
    inline = bytearray(4)
    references = []
    for number, value in table.fields.items():
        code = value.format if isinstance(value, Scalar) else "I"
        _pad(inline, struct.calcsize(code))
        slots[number] = len(inline)
        if isinstance(value, Scalar):
            inline += struct.pack("<" + code, value.value)
        else:
            references.append((len(inline), value))
            inline += bytes(4)
    _pad(out, 2)
    fields = len(out)
    out += struct.pack(f"<{2 + len(slots)}H", 4 + 2 * len(slots), len(inline), *slots)
    _pad(out, 8)
    place = len(out)
    out += inline
    struct.pack_into("<i", out, place, place - fields)
    for offset, value in references:
        _refer(out, place + offset, value)
    return place


@dataclass
class Tensor:
    """A tensor of a network; *scale* is one number, or one for each channel along *axis*."""

    shape: tuple[int, ...]
    type: str = "int8"
    scale: Any = 0.0
    zero: int = 0
    data: Any = None
    name: str = ""
    axis: int = 0


@dataclass
class Network:
    """A network that is made operator by operator."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[tuple[int, list[int], list[int], dict[int, Any]]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(self, *shape: int, **values: Any) -> int:
        self.tensors.append(Tensor(shape, **values))
        return len(self.tensors) - 1

    def operator(self, code: int, inputs: list[int], output: int, options: dict[int, Any] | None = None) -> int:
        self.operators.append((code, inputs, [output], options or {}))
        return output

    def render(self) -> bytes:
        """Return the .tflite file."""
        codes = sorted({code for code, *_ in self.operators})
        buffers: list[Table] = [Table({})]
        tensors = [self._tensor(tensor, buffers) for tensor in self.tensors]
        operators = [
            Table(
                {0: Scalar("I", codes.index(code)), 1: Vector("i", inputs), 2: Vector("i", outputs)}
                | ({3: Scalar("B", _OPTIONS[code]), 4: Table(options)} if code in _OPTIONS else {})
            )
            for code, inputs, outputs, options in self.operators
        ]
        graph: dict[int, Any] = {0: Vector("", tensors), 1: Vector("i", self.inputs), 2: Vector("i", self.outputs)}
        graph |= {3: Vector("", operators), 4: "main"}
        custom = {1: "edgetpu-custom-op"}
        model = {
            0: Scalar("I", 3),
            1: Vector("", [
                Table({0: Scalar("b", code), 2: Scalar("i", _VERSIONS.get(code, 1)), 3: Scalar("i", code)}
                      | (custom if code == CUSTOM else {}))
                for code in codes
            ]),
            2: Vector("", [Table(graph)]),
            3: "made by incamera's tests",
            4: Vector("", buffers),
        }  # fmt: skip
        return render(Table(model))

    @staticmethod
    def _tensor(tensor: Tensor, buffers: list[Table]) -> Table:
        fields: dict[int, Any] = {
            0: Vector("i", tensor.shape),
            1: Scalar("b", _TYPES[tensor.type]),
            3: tensor.name or "tensor",
        }
        fields[2] = Scalar("I", 0)
        if tensor.data is not None:
            fields[2] = Scalar("I", len(buffers))
            data = np.ascontiguousarray(tensor.data, tensor.type).tobytes()
            buffers.append(Table({0: Vector("B", data, 16)}))
        scales = list(tensor.scale) if isinstance(tensor.scale, Sequence) else [tensor.scale]
        if any(scales):
            quantization: dict[int, Any] = {
                2: Vector("f", scales),
                3: Vector("q", [tensor.zero] * len(scales), 8),
                6: Scalar("i", tensor.axis),
            }
            fields[4] = Table(quantization)
        return Table(fields)
