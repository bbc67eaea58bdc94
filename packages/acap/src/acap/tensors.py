"""The inputs and outputs of models: what they are, and arrays of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._inference import Array, Memory
from .errors import WrongShape, WrongType

if TYPE_CHECKING:
    from ._inference import Tensors
    from .tflite import FileTensor

_DTYPES = {
    "?": "bool", "B": "uint8", "b": "int8", "H": "uint16", "h": "int16", "I": "uint32", "i": "int32", "Q": "uint64",
    "q": "int64", "e": "float16", "f": "float32", "d": "float64",
}  # fmt: skip
FORMATS = {name: format for format, name in _DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a model.

    `shape`, `strides` (in bytes) and `dtype` are those of its array. `layout`: "nhwc", "nchw", "nv12", or "" if the
    camera does not tell. A number stands for scale * (number - zero_point); `scale` is 0 where nothing is known of it.
    """

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    layout: str
    scale: float
    zero_point: int


class Output(Array):
    """One output of a run: a read-only buffer. `numpy.asarray(output)` is an array of it, without a copy."""

    tensor: Tensor

    @property
    def name(self) -> str:
        return self.tensor.name

    @property
    def dtype(self) -> str:
        """numpy's name of the type."""
        return self.tensor.dtype

    @property
    def scale(self) -> float:
        return self.tensor.scale

    @property
    def zero_point(self) -> int:
        return self.tensor.zero_point

    @property
    def real(self) -> Any:
        """A new array of float32: what the numbers stand for."""
        import numpy

        values = numpy.asarray(self)
        if not self.tensor.scale:
            return values.astype(numpy.float32)
        return (values.astype(numpy.float32) - self.tensor.zero_point) * numpy.float32(self.tensor.scale)

    def __repr__(self) -> str:
        return f"<acap.inference.Output {self.name!r}: {self.dtype} {self.shape}>"


def itemsize_of(dtype: str) -> int:
    return struct.calcsize(FORMATS[dtype])


def tensors_of(tensors: Tensors, told: Sequence[FileTensor]) -> tuple[Tensor, ...]:
    """Return what the camera and the model's file tell together."""
    found = []
    for number in range(tensors.count):
        name, shape, pitches, format, itemsize, layout = tensors.describe(number)
        size = tensors.place(number)[2]
        known = told[number] if len(told) == tensors.count else None
        dtype = _DTYPES.get(format) or (known.dtype if known and known.dtype else "uint8")
        itemsize = itemsize or itemsize_of(dtype)
        shape = shape or (known.shape if known else (size // itemsize,))
        strides = (*pitches[1:], itemsize) if len(pitches) == len(shape) else _packed(shape, itemsize)
        scale, zero = (known.scale, known.zero_point) if known else (0.0, 0)
        name = known.name if known and known.name else name
        found.append(Tensor(name, shape, strides, dtype, layout, scale, zero))
    return tuple(found)


def _packed(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= size
    return tuple(reversed(strides))


def fill(tensor: Tensor, memory: Memory, values: Any) -> None:
    """Copy *values* into the buffer of an input. Raises WrongShape, WrongType."""
    import numpy

    array = numpy.asarray(values)
    if array.dtype != tensor.dtype:
        real = f"real = {tensor.scale:g} * (number - {tensor.zero_point})"
        hint = f"array.astype({tensor.dtype!r}), after scaling it: {real}"
        raise WrongType(f"the input {tensor.name!r} takes {tensor.dtype}, not {array.dtype}", hint=hint)
    if array.shape not in (tensor.shape, tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape):
        raise WrongShape(f"the input {tensor.name!r} has the shape {tensor.shape}, not {array.shape}")
    target = Array(memory, None, tensor.shape, tensor.strides, FORMATS[tensor.dtype], itemsize_of(tensor.dtype), True)
    memory.begin(True)
    numpy.copyto(numpy.asarray(target), array.reshape(tensor.shape))
    memory.end(True)


def describe(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.dtype} {tensor.shape}" for tensor in tensors)
