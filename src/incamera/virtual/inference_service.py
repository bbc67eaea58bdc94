"""Runs models for a virtual camera, or for an app on this computer, with LiteRT.

    python -P -m incamera.virtual.inference_service

Standard input is a socket, the line to the library or the service that stands in for larod
(`stand_ins/larod/remote.c`). One process has the models of one line. It ends with the line. A model may be anything: so
it is read here, apart from all else, with limits of memory and time. Where it crashes or takes too long, the process
ends, and the other side loads its models again when it needs them.

The other side greets first, with GREETING and eight bytes of its own, which come back. What came before is the rest of
something that was cut off, and is passed over. Nothing is sent unasked but `host_line.RESET`, when the process was
started anew: the other side greets again then. Then it sends requests, one at a time, and each gets an answer. All
numbers are little-endian.

    request: kind (u32), number of the model (u32), size (u64), data
      1 load: the data is a .tflite file     2 run: the inputs, one after the other     3 unload
    answer: 0, or 1 for an error (u32), number of the model (u32), size (u64), data
      of load: counts of inputs and outputs (u32 each); for each its name (64 bytes), type (u32, larod's number), rank
      (u32) and six dimensions (u32 each)     of run: the outputs     of an error: a text
"""

from __future__ import annotations

import os
import resource
import signal
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from incamera.virtual.host_process import Gone, Line, limit, own_line, time_limit
from incamera.virtual.litert import MOST_BYTES, MOST_DIMS, BadModel, LiteRt, Model, Tensor

GREETING = b"incamera inference 1 LiteRT\0"
LOAD, RUN, UNLOAD = 1, 2, 3
_GOOD, _FAILED = 0, 1
_REQUEST = struct.Struct("<IIQ")
_COUNTS = struct.Struct("<II")
_TENSOR = struct.Struct(f"<64sII{MOST_DIMS}I")
_MOST_MODELS = 64
_LONGEST_TEXT = 1000
_MOST_MEMORY = 4 << 30
_MOST_SECONDS = 120
_MOST_LOG = 1 << 20


class Service:
    """The models of one line. *open_litert* returns the library, or raises an error whose text is for the user."""

    def __init__(self, line: Line, open_litert: Callable[[], LiteRt]) -> None:
        self._line = line
        self._open = open_litert
        self._litert: LiteRt | None = None
        self._models: dict[int, Model] = {}
        self._last = 0

    def serve(self) -> None:
        """Answer requests until the line is closed. Raises Gone."""
        self._line.greet(GREETING)
        while True:
            kind, number, size = _REQUEST.unpack(self._line.receive_head(_REQUEST.size, GREETING))
            if size > MOST_BYTES or kind not in (LOAD, RUN, UNLOAD):
                raise Gone
            data = self._line.receive(size)
            try:
                if kind == LOAD and self._litert is None:
                    self._litert = self._open()  # it may have to be downloaded
                with time_limit(_MOST_SECONDS):
                    number, answer = self._answer(kind, number, data)
            except BadModel as error:
                text = str(error).encode()[:_LONGEST_TEXT]
                self._line.send(_REQUEST.pack(_FAILED, number, len(text)) + text)
            else:
                self._line.send(_REQUEST.pack(_GOOD, number, sum(map(len, answer))), *answer)

    def _answer(self, kind: int, number: int, data: bytearray) -> tuple[int, list[bytes]]:
        if kind == LOAD:
            return self._load(data)
        model = self._models.get(number)
        if model is None:
            raise BadModel("there is no such model")
        if kind == UNLOAD:
            self._models.pop(number).close()
            return number, []
        return number, model.run(list(_parts(model.inputs, data)))

    def _load(self, data: bytearray) -> tuple[int, list[bytes]]:
        if len(self._models) >= _MOST_MODELS:
            raise BadModel(f"there are {_MOST_MODELS} models already")
        assert self._litert is not None
        model = self._litert.load(data)
        self._last += 1
        self._models[self._last] = model
        tensors = [_describe(tensor) for tensor in (*model.inputs, *model.outputs)]
        return self._last, [_COUNTS.pack(len(model.inputs), len(model.outputs)), *tensors]


def _parts(tensors: list[Tensor], data: bytearray) -> Iterator[memoryview]:
    if len(data) != sum(tensor.size for tensor in tensors):
        raise BadModel("the inputs have another size than the model's")
    view = memoryview(data)
    for tensor in tensors:
        yield view[: tensor.size]
        view = view[tensor.size :]


def _describe(tensor: Tensor) -> bytes:
    dims = [*tensor.dims, *[0] * (MOST_DIMS - len(tensor.dims))]
    return _TENSOR.pack(tensor.name.encode()[:63], tensor.type, len(tensor.dims), *dims)


def _open_litert() -> LiteRt:
    """Return LiteRT, which is fetched if the store does not have it. Raises BadModel with a text for the user."""
    from incamera.build.litert import ensure_litert  # lazy: a model that the interpreter runs needs none of it
    from incamera.context import Context, SilentReporter
    from incamera.errors import InCameraError

    if not stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode):
        # LiteRT prints what nobody asked for. A camera has a log for that, a terminal has not.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stderr.fileno())
        os.close(null)
    try:
        path = ensure_litert(Context.open(SilentReporter()))
        # From now on, only the log is written. It is not longer than that, whatever models have LiteRT print.
        limit(resource.RLIMIT_FSIZE, _MOST_LOG)
        return LiteRt(path)
    except InCameraError as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise BadModel(f"it needs LiteRT, which is not there: {error}{hint}") from error
    except OSError as error:
        raise BadModel(f"it needs LiteRT, which does not run on this computer: {error}") from error


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app
    limit(resource.RLIMIT_AS, _MOST_MEMORY)
    limit(resource.RLIMIT_CORE, 0)
    with suppress(Gone):
        Service(own_line(), _open_litert).serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
