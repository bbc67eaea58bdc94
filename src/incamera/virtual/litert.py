"""LiteRT's C library, as far as the models of virtual cameras need it. It is that of `toolchain/data/litert.toml`.

A model comes from a camera, and LiteRT trusts it: a damaged one may end the process. So only `inference_service` uses
this module, in a process of its own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_TENSORS = 16
MOST_DIMS = 6
MOST_BYTES = 256 << 20

_MOST_RANK = 8
_RANK_BITS = 0x7F
_CPU = 1
_HOST_MEMORY = 1
_READ, _WRITE = 0, 1
# LiteRT's numbers for types of numbers, and larod's, with the size of each.
TYPES = {
    1: (12, 4), 2: (8, 4), 3: (3, 1), 4: (10, 8), 6: (2, 1), 7: (6, 2), 9: (4, 1), 10: (11, 2), 11: (13, 8),
    13: (9, 8), 16: (7, 4), 17: (5, 2),
}  # fmt: skip


class BadModel(Exception):
    """A model that LiteRT cannot run."""


class _Layout(ctypes.Structure):
    _fields_ = (
        ("rank", ctypes.c_uint32),
        ("dims", ctypes.c_int32 * _MOST_RANK),
        ("strides", ctypes.c_uint32 * _MOST_RANK),
    )


class _TensorType(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int), ("layout", _Layout))


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or an output of a model. *type* is larod's number."""

    name: str
    type: int
    dims: tuple[int, ...]
    size: int


class LiteRt:
    """The library *path*. Raises OSError when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._environment = ctypes.c_void_p()
        if status := self.function("LiteRtCreateEnvironment")(0, None, ctypes.byref(self._environment)):
            raise OSError(f"LiteRT does not start: its error {status}")

    def function(self, name: str) -> Callable[..., int]:
        found: Any = getattr(self._library, name)
        return found  # type: ignore[no-any-return]

    def load(self, data: bytes | bytearray) -> Model:
        """Return the model in *data*. Raises BadModel."""
        return Model(self, self._environment, data)


class Model:
    """A model that is ready to run. *inputs* and *outputs* are in the order of the file."""

    def __init__(self, litert: LiteRt, environment: ctypes.c_void_p, data: bytes | bytearray) -> None:
        self._litert = litert
        self._environment = environment
        self._model, self._options, self._compiled = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        self._buffers: list[ctypes.c_void_p] = []
        # LiteRT reads it as long as the model is there.
        self._data = (ctypes.c_char * len(data)).from_buffer(bytearray(data))
        try:
            self._load()
            signature, index = self._find_signature()
            self._signature = ctypes.c_size_t(index)
            self.inputs, self._inputs, self._input_order = self._prepare(signature, "Input")
            self.outputs, self._outputs, self._output_order = self._prepare(signature, "Output")
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        size = ctypes.c_size_t(len(self._data))
        self._call("LiteRtCreateModelFromBuffer", self._environment, self._data, size, ctypes.byref(self._model))
        self._call("LiteRtCreateOptions", ctypes.byref(self._options))
        self._call("LiteRtSetOptionsHardwareAccelerators", self._options, _CPU)
        self._call(
            "LiteRtCreateCompiledModel", self._environment, self._model, self._options, ctypes.byref(self._compiled)
        )

    def _call(self, name: str, *arguments: object) -> None:
        if status := self._litert.function(name)(*arguments):
            raise BadModel(f"LiteRT refuses it ({name.removeprefix('LiteRt')}: error {status})")

    def _get(self, name: str, type: Callable[[], Any], *arguments: object) -> Any:
        value = type()
        self._call(name, *arguments, ctypes.byref(value))
        return value

    def _find_signature(self) -> tuple[ctypes.c_void_p, int]:
        """Return the signature of the model's main graph, and its number."""
        main = self._get("LiteRtGetMainModelSubgraphIndex", ctypes.c_size_t, self._model)
        graph = self._get("LiteRtGetModelSubgraph", ctypes.c_void_p, self._model, main).value
        for index in range(self._get("LiteRtGetNumModelSignatures", ctypes.c_size_t, self._model).value):
            signature = self._get("LiteRtGetModelSignature", ctypes.c_void_p, self._model, ctypes.c_size_t(index))
            if self._get("LiteRtGetSignatureSubgraph", ctypes.c_void_p, signature).value == graph:
                self._graph = ctypes.c_void_p(graph)
                return signature, index
        raise BadModel("no signature is that of its main graph")

    def _prepare(self, signature: ctypes.c_void_p, which: str) -> tuple[list[Tensor], list[ctypes.c_void_p], list[int]]:
        """Return the tensors of *which* end, their buffers in the order of the signature, and where each of them is."""
        count = self._get(f"LiteRtGetNumSubgraph{which}s", ctypes.c_size_t, self._graph).value
        number = self._get(f"LiteRtGetNumSignature{which}s", ctypes.c_size_t, signature).value
        if not 1 <= count <= MOST_TENSORS or number != count:
            raise BadModel(f"it has {count} {which.lower()}s")
        places = {}
        buffers = []
        for index in range(count):
            at = ctypes.c_size_t(index)
            tensor = self._get(f"LiteRtGetSignature{which}TensorByIndex", ctypes.c_void_p, signature, at)
            places[tensor.value] = index
            buffers.append(self._allocate(tensor, which, at))
        tensors = [
            self._get(f"LiteRtGetSubgraph{which}", ctypes.c_void_p, self._graph, ctypes.c_size_t(index))
            for index in range(count)
        ]
        if {tensor.value for tensor in tensors} != set(places):
            raise BadModel(f"its signature has other {which.lower()}s than its graph")
        return [self._describe(tensor) for tensor in tensors], buffers, [places[tensor.value] for tensor in tensors]

    def _type_of(self, tensor: ctypes.c_void_p) -> _TensorType:
        return self._get("LiteRtGetRankedTensorType", _TensorType, tensor)  # type: ignore[no-any-return]

    def _describe(self, tensor: ctypes.c_void_p) -> Tensor:
        name = self._get("LiteRtGetTensorName", ctypes.c_char_p, tensor).value or b""
        type = self._type_of(tensor)
        rank = type.layout.rank & _RANK_BITS
        dims = tuple(type.layout.dims[:rank])
        if type.type not in TYPES:
            raise BadModel("it has an input or output of a type that larod does not have")
        if rank > MOST_DIMS or any(dim < 1 for dim in dims):
            raise BadModel("it has an input or output whose shape is not fixed")
        number, size = TYPES[type.type]
        for dim in dims:
            size *= dim
        if size > MOST_BYTES:
            raise BadModel("it has an input or output that is too large")
        return Tensor(name.decode("utf-8", "replace"), number, dims, size)

    def _allocate(self, tensor: ctypes.c_void_p, which: str, at: ctypes.c_size_t) -> ctypes.c_void_p:
        size = self._describe(tensor).size
        type = self._type_of(tensor)
        requirements = self._get(
            f"LiteRtGetCompiledModel{which}BufferRequirements", ctypes.c_void_p, self._compiled, self._signature, at
        )
        room = self._get("LiteRtGetTensorBufferRequirementsBufferSize", ctypes.c_size_t, requirements)
        if room.value < size:
            raise BadModel("it has an input or output whose shape is not fixed")
        buffer = ctypes.c_void_p()
        self._call(
            "LiteRtCreateManagedTensorBuffer", self._environment, _HOST_MEMORY, ctypes.byref(type), room,
            ctypes.byref(buffer),
        )  # fmt: skip
        self._buffers.append(buffer)
        return buffer

    def run(self, values: Sequence[bytes | bytearray | memoryview]) -> list[bytes]:
        """Return the bytes of the outputs for those of the inputs. Raises BadModel."""
        for place, tensor, data in zip(self._input_order, self.inputs, values, strict=True):
            if len(data) != tensor.size:
                raise BadModel(f"an input has {tensor.size} bytes, not {len(data)}")
            with self._locked(self._inputs[place], _WRITE) as address:
                ctypes.memmove(address, bytes(data), len(data))
        inputs, outputs = (_array(buffers) for buffers in (self._inputs, self._outputs))
        counts = [ctypes.c_size_t(len(buffers)) for buffers in (inputs, outputs)]
        self._call("LiteRtRunCompiledModel", self._compiled, self._signature, counts[0], inputs, counts[1], outputs)
        found = []
        for place, tensor in zip(self._output_order, self.outputs, strict=True):
            with self._locked(self._outputs[place], _READ) as address:
                found.append(ctypes.string_at(address, tensor.size))
        return found

    @contextmanager
    def _locked(self, buffer: ctypes.c_void_p, mode: int) -> Iterator[int]:
        address = ctypes.c_void_p()
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(address), mode)
        try:
            yield address.value or 0
        finally:
            self._call("LiteRtUnlockTensorBuffer", buffer)

    def close(self) -> None:
        for buffer in self._buffers:
            self._litert.function("LiteRtDestroyTensorBuffer")(buffer)
        self._buffers.clear()
        for name, handle in (("CompiledModel", self._compiled), ("Options", self._options), ("Model", self._model)):
            if handle:
                self._litert.function(f"LiteRtDestroy{name}")(handle)
                handle.value = None


def _array(buffers: Sequence[ctypes.c_void_p]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(buffers))(*(buffer.value for buffer in buffers))
