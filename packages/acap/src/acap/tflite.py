"""What a `.tflite` file tells of its model: inputs, outputs and operators. The file may be anything.

The camera's inference library has no function for the scale and the zero point of a tensor. They are in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import BadModel

# Larger counts are in no model that a camera runs.
_MOST_TENSORS, _MOST_OPERATORS, _MOST_DIMS = 65536, 65536, 12
_TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 10: "float64",
    12: "uint64", 15: "uint32", 16: "uint16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor: `dtype` by numpy's name, "" for another type. `scale` is 0 if it is not quantised.

    real = scale * (value - zero_point)
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The inputs and outputs of the first graph, and the names of its custom operators."""

    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    custom_operators: tuple[str, ...]


def is_tflite(data: bytes | memoryview) -> bool:
    """Return whether the file says that it is a TensorFlow Lite model."""
    return bytes(data[4:8]) == b"TFL3"


def read_model(data: bytes | memoryview) -> ModelFile:
    """Return what the file *data* tells. Raises BadModel."""
    if not is_tflite(data):
        raise BadModel("this file is not a TensorFlow Lite model")
    try:
        return _read(_Buffer(data))
    except (struct.error, IndexError, OverflowError) as error:
        raise BadModel("the model file is truncated or damaged") from error


class _Buffer:
    """The bytes of a FlatBuffer. Reading outside of them raises struct.error or IndexError."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)

    def read(self, format: str, at: int) -> int:
        if at < 0:
            raise IndexError
        number: int = struct.unpack_from("<" + format, self.data, at)[0]
        return number

    def follow(self, at: int) -> int:
        return at + self.read("I", at)

    def field(self, table: int, number: int) -> int:
        """Return where the field *number* of *table* is, or 0."""
        fields = table - self.read("i", table)
        slot = 4 + 2 * number
        offset = self.read("H", fields + slot) if slot + 2 <= self.read("H", fields) else 0
        return table + offset if offset else 0

    def scalar(self, table: int, number: int, format: str) -> int:
        at = self.field(table, number)
        return self.read(format, at) if at else 0

    def vector(self, table: int, number: int, size: int, most: int) -> tuple[int, int]:
        """Return the place of the first item, of *size* bytes, and the number of items."""
        at = self.field(table, number)
        if not at:
            return 0, 0
        at = self.follow(at)
        count = self.read("I", at)
        if count > most or at + 4 + count * size > len(self.data):
            raise IndexError
        return at + 4, count

    def numbers(self, table: int, number: int, format: str, most: int) -> tuple[int, ...]:
        at, count = self.vector(table, number, struct.calcsize(format), most)
        return struct.unpack_from(f"<{count}{format}", self.data, at)

    def tables(self, table: int, number: int, most: int) -> Iterator[int]:
        at, count = self.vector(table, number, 4, most)
        for item in range(count):
            yield self.follow(at + 4 * item)

    def string(self, table: int, number: int) -> str:
        """Return the first 256 bytes of a text."""
        at, count = self.vector(table, number, 1, 1 << 24)
        return bytes(self.data[at : at + min(count, 256)]).decode("utf-8", "replace")


def _read(buffer: _Buffer) -> ModelFile:
    root = buffer.follow(0)
    codes = list(buffer.tables(root, 1, _MOST_OPERATORS))
    graph = next(buffer.tables(root, 2, 64), None)
    if graph is None:
        raise BadModel("the model file has no graph")
    at, count = buffer.vector(graph, 0, 4, _MOST_TENSORS)
    inputs, outputs = (
        tuple(_tensor(buffer, at, count, place) for place in buffer.numbers(graph, number, "i", 1024))
        for number in (1, 2)
    )
    if not inputs or not outputs:
        raise BadModel("the model file has no inputs, or no outputs")
    # 32 stands for an operator that TensorFlow Lite itself does not have.
    custom = tuple(
        buffer.string(code, 1) for code in codes if 32 in (buffer.scalar(code, 0, "b"), buffer.scalar(code, 3, "i"))
    )
    return ModelFile(inputs, outputs, custom)


def _tensor(buffer: _Buffer, at: int, count: int, place: int) -> FileTensor:
    if not 0 <= place < count:
        raise IndexError
    table = buffer.follow(at + 4 * place)
    shape = buffer.numbers(table, 0, "i", _MOST_DIMS)
    quantization = buffer.field(table, 4)
    scale, zero_point = 0.0, 0
    if quantization:
        quantization = buffer.follow(quantization)
        first, scales = buffer.vector(quantization, 2, 4, 1 << 24)
        zero, zeros = buffer.vector(quantization, 3, 8, 1 << 24)
        # A tensor with a scale for each channel is never an input or output of a model that a camera runs.
        if scales == 1:
            scale, zero_point = float(buffer.read("f", first)), buffer.read("q", zero) if zeros else 0
    return FileTensor(buffer.string(table, 3), shape, _TYPES.get(buffer.scalar(table, 1, "b"), ""), scale, zero_point)
