"""Writes a quantised network as a .tflite file, which is a FlatBuffer with TensorFlow Lite's schema."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CONV_2D, LOGISTIC = 3, 14
_VERSIONS = {CONV_2D: 3, LOGISTIC: 2}
_TYPES = {"int32": 2, "int8": 9}
RELU6 = 3


def number(format: str, value: float) -> bytes:
    """Return a number as it stands in a table, by its format in `struct`."""
    return struct.pack("<" + format, value)


def vector(format: str, values: Any) -> tuple[str, Any]:
    """Return a list of numbers, or, without a format, of tables."""
    return format, values


def flatbuffer(root: dict[int, Any]) -> bytes:
    """Return a file with the table *root*. A table is a dict of its fields: numbers, vectors, texts, tables."""
    out = bytearray(b"\0\0\0\0TFL3")
    struct.pack_into("<I", out, 0, _write(out, root))
    return bytes(out)


def _write(out: bytearray, item: Any) -> int:
    """Append *item*, and what it refers to, at a place that is a multiple of 16; return the place."""
    if isinstance(item, dict):
        return _write_table(out, item)
    format, values = ("B", item.encode() + b"\0") if isinstance(item, str) else item
    out += bytes(-(len(out) + 4) % 16) + struct.pack("<I", len(values) - isinstance(item, str))
    place = len(out) - 4
    out += struct.pack(f"<{len(values)}{format or 'I'}", *(values if format else [0] * len(values)))
    if not format:
        _refer(out, [(place + 4 + 4 * at, value) for at, value in enumerate(values)])
    return place


def _write_table(out: bytearray, fields: dict[int, Any]) -> int:
    slots, inline, references = [0] * (max(fields, default=-1) + 1), bytearray(4), []
    for at, value in fields.items():
        data = value if isinstance(value, bytes) else bytes(4)
        inline += bytes(-len(inline) % len(data))
        slots[at] = len(inline)
        if not isinstance(value, bytes):
            references.append((len(inline), value))
        inline += data
    out += bytes(-len(out) % 2)
    offsets = len(out)
    out += struct.pack(f"<{2 + len(slots)}H", 4 + 2 * len(slots), len(inline), *slots)
    out += bytes(-len(out) % 16)
    place = len(out)
    out += inline
    struct.pack_into("<i", out, place, place - offsets)
    _refer(out, [(place + offset, value) for offset, value in references])
    return place


def _refer(out: bytearray, references: list[tuple[int, Any]]) -> None:
    for at, value in references:
        struct.pack_into("<I", out, at, _write(out, value) - at)


@dataclass
class Network:
    """A network that is made operator by operator. Each method returns the number of a tensor."""

    tensors: list[dict[int, Any]] = field(default_factory=list)
    buffers: list[dict[int, Any]] = field(default_factory=lambda: [{}])
    operators: list[dict[int, Any]] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def tensor(
        self, shape: Any, scale: Any, zero: int = 0, type: str = "int8", data: Any = None, name: str = "t"
    ) -> int:
        """Add a tensor. *scale* is one number, or one for each item of its first dimension."""
        scales = np.atleast_1d(scale)
        quantization = {2: vector("f", scales), 3: vector("q", [zero] * len(scales)), 6: number("i", 0)}
        buffer = 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append({0: vector("B", np.asarray(data, type).tobytes())})
        kind = {1: number("b", _TYPES[type]), 2: number("I", buffer)}
        self.tensors.append({0: vector("i", shape), **kind, 3: name, 4: quantization})
        return len(self.tensors) - 1

    def operator(self, code: int, inputs: list[int], output: int, options: dict[int, Any] | None = None) -> int:
        """Add an operator; *options* are those of a convolution."""
        if code not in self.codes:
            self.codes.append(code)
        fields = {0: number("I", self.codes.index(code)), 1: vector("i", inputs), 2: vector("i", [output])}
        self.operators.append(fields | ({3: number("B", 1), 4: options} if options else {}))
        return output

    def render(self, source: int, result: int) -> bytes:
        """Return the file of the network that makes the tensor *result* of the tensor *source*."""
        codes = [
            {0: number("b", code), 2: number("i", _VERSIONS[code]), 3: number("i", code)} for code in self.codes
        ]  # fmt: skip
        graph = {0: vector("", self.tensors), 1: vector("i", [source]), 2: vector("i", [result])}
        graph |= {3: vector("", self.operators), 4: "main"}
        model = {0: number("I", 3), 1: vector("", codes), 2: vector("", [graph]), 3: "shapes"}
        return flatbuffer(model | {4: vector("", self.buffers)})
