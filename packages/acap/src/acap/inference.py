"""Neural networks on the camera's accelerators.

    model = acap.inference.Model("person.tflite")
    with acap.video.Stream(1280, 720, "nv12") as stream:
        for frame in stream:
            boxes, scores = model.run(frame)  # cut, scaled and converted by the camera
            print(scores.real.max())

A result is an output of the model: a read-only buffer, whose `shape`, `strides` and `dtype` `numpy.asarray` takes over
without a copy. `real` is a new array of float32 with what the numbers stand for: scale * (number - zero_point).
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ._inference import DMABUF as _DMABUF
from ._inference import LOCK, MAP, READWRITE, Array, Connection, Job, Lease, Memory, Program, Tensors, Wait
from .errors import (
    BadModel,
    InferenceDown,
    ModelClosed,
    ModelError,
    NoPower,
    NoSuchDevice,
    TooManyJobs,
    WrongShape,
)
from .pictures import Fit, Part, Picture, input_picture, part_of, picture_of
from .tensors import FORMATS, Output, Tensor, describe, fill, itemsize_of, tensors_of
from .tflite import ModelFile, is_tflite, read_model

__all__ = ["Model", "Output", "Result", "Tensor", "devices"]

# The fastest first. A device that is not here comes after them, and before the processor.
_FASTEST = ("a9-dlpu-tflite", "axis-a8-dlpu-tflite", "axis-a7-gpu-tflite", "armnn-gpu-tflite", "gpu-tflite")
_EDGE_TPU, _PROCESSOR = "google-edge-tpu-tflite", ("armnn-cpu-tflite", "cpu-tflite")
# How many results of a model may be in use before further ones are copies, and jobs run at the same time.
_MOST_SLOTS = 4
# How often one call loads the model again before it gives up.
_MOST_STOPS = 3
_RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
T = TypeVar("T")


def devices() -> list[str]:
    """Return the names of the camera's devices, for models and for conversions of pictures. Raises ModelError."""
    connection = Connection()
    try:
        return connection.devices()
    finally:
        connection.close()


@dataclass(slots=True)
class _Slot:
    """Buffers for one run at a time: what the model reads, and what it writes."""

    inputs: Tensors
    input_memories: list[Memory]
    outputs: Tensors
    output_memories: list[Memory]
    job: Job
    conversions: dict[tuple[Picture, bool], Job]
    staging: dict[Picture, tuple[Tensors, Memory]]


@dataclass(slots=True)
class _Converter:
    """A conversion of pictures to the model's input, with the buffers of streams that it has met."""

    program: Program
    sources: weakref.WeakKeyDictionary[Any, dict[tuple[int, int], Tensors]]


_Step = tuple[Job, str, Callable[[], None] | None]


class Model:
    """A neural network that the camera has loaded. Several threads may use it.

    *path*: the file, `.tflite` or of the camera's chip. *device*: a name of `devices()`; "auto" takes the fastest one
    that can load it. *converter*: the device that cuts, scales and converts frames. *power_timeout*: seconds to try
    again while the device has no power. *restart_timeout*: the same while the camera's inference service is down.
    *progress* is called with the seconds so far, at once and every second, while the model is being loaded: the first
    time on a camera may take minutes.

    Raises BadModel, NoSuchDevice, NoPower, InferenceDenied, InferenceDown, InferenceFailed, LibraryMissing,
    NotSupported, OSError if the file cannot be read.
    """

    _file = -1

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "auto",
        *,
        converter: str = "cpu-proc",
        power_timeout: float = 30.0,
        restart_timeout: float = 30.0,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.restarted = 0
        """How often the camera's inference service has stopped, and the model was loaded again."""
        self.no_power = 0
        """How often the device had no power, and it was tried again."""
        self._asked = device
        self._converter_name = converter
        self._power_timeout = power_timeout
        self._restart_timeout = restart_timeout
        self._running: set[Result] = set()
        self._closed = False
        self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._told = _read_file(self._file, self.path)
            self._open(lambda load: _wait_for(load, progress))
        except BaseException:
            self._close_file()
            raise

    def _open(self, call: Callable[[Callable[[], Program]], Program]) -> None:
        connection = Connection()
        program, self.device = self._load(connection, call)
        self._connection, self._program = connection, program
        self._converters: dict[Picture, _Converter] = {}
        self._slots = 0
        self._free: list[_Slot] = []
        first = self._new_slot()
        told = self._told or ModelFile((), (), ())
        self.inputs = tensors_of(first.inputs, told.inputs)
        """The model's inputs, each a Tensor."""
        self.outputs = tensors_of(first.outputs, told.outputs)
        """The model's outputs, each a Tensor."""
        self._spare = [first]

    def _load(self, connection: Connection, call: Callable[[Callable[[], Program]], Program]) -> tuple[Program, str]:
        names = connection.devices()
        has = f"the camera has {', '.join(names) or 'none'}"
        if self._asked != "auto" and self._asked not in names:
            raise NoSuchDevice(f"this camera has no device {self._asked!r}", hint=has)
        candidates = [self._asked] if self._asked != "auto" else _candidates(names, self._told)
        refused: list[BadModel] = []
        name = self.path.name
        for device in candidates:

            def load(device: str = device) -> Program:
                return self._powered(lambda: connection.load(self._file, device, name, {}))

            try:
                return call(load), device
            except BadModel as error:
                refused.append(error)
        if not refused:
            raise BadModel(f"{self.path} is a model for no device of this camera", hint=has)
        raise refused[-1]

    def _powered(self, call: Callable[[], T]) -> T:
        """Return what *call* returns, and try again within the time limit while the device has no power."""
        delays = self._power_delays()
        while True:
            try:
                return call()
            except NoPower as error:
                time.sleep(self._next_delay(delays, error))

    def _power_delays(self) -> Iterator[float]:
        end = time.monotonic() + self._power_timeout
        delay = 0.05
        while time.monotonic() + delay < end:
            yield delay
            delay = min(delay * 1.5, 1.0)

    def _next_delay(self, delays: Iterator[float], error: NoPower) -> float:
        delay = next(delays, None)
        if delay is None:
            text = f"{getattr(self, 'device', self._asked)} had no power within {self._power_timeout:g} s"
            raise NoPower(
                text, hint="use the device less, or try again later", code=error.code, domain="larod"
            ) from error
        self.no_power += 1
        return delay

    @property
    def tracked(self) -> int:
        """How many buffers of the model's connection the service has mapped, at most 32."""
        return self._connection.tracked

    def _new_slot(self) -> _Slot:
        inputs, outputs = self._program.allocate(False), self._program.allocate(True)
        memories = [[Memory(*tensors.place(n)) for n in range(tensors.count)] for tensors in (inputs, outputs)]
        job = Job(self._program, inputs, outputs, {})
        self._slots += 1
        return _Slot(inputs, memories[0], outputs, memories[1], job, {}, {})

    def _take_slot(self) -> tuple[_Slot, Lease] | None:
        """Return buffers that no job and no result uses, or None."""
        try:
            slot = self._free.pop()
        except IndexError:
            if self._slots > _MOST_SLOTS:
                return None
            try:
                slot = self._new_slot()
            except InferenceDown:
                raise
            except ModelError:
                # The service tracks only so many buffers.
                self._slots = _MOST_SLOTS + 1
                return None
        return slot, Lease(self._free, slot)

    def run(self, *inputs: Any, crop: Part | None = None, fit: Fit = "scale") -> tuple[Output, ...]:
        """Run the model and return its outputs.

        The only input may be a frame of `acap.video`. The camera cuts, scales and converts it: *crop* is the part
        (x, y, width, height) to use, in pixels. Without it, *fit* "scale" uses all, and "crop" the largest part in the
        middle that has the proportions of the model's input. 0 to 255 become -128 to 127 for a model of int8.

        Otherwise there is one array for each of the model's inputs, with the input's type and shape. A first dimension
        of 1 may be left out.

        A result keeps its buffers until it and all arrays of it are gone. When four are kept, further ones are copies.

        Raises WrongShape, WrongType, FrameReleased, NoPower, InferenceDown, InferenceFailed, ModelClosed, AfterFork.
        """
        return self._again(lambda: self._run(inputs, crop, fit))

    def _again(self, call: Callable[[], T]) -> T:
        """Return what *call* returns, after loading the model again if the service has stopped meanwhile."""
        stops = 0
        while True:
            connection = self._check()
            try:
                return call()
            except InferenceDown as error:
                stops += 1
                if stops > _MOST_STOPS:
                    raise
                self._reopen(connection, error)

    def _run(self, inputs: Sequence[Any], crop: Part | None, fit: Fit) -> tuple[Output, ...]:
        self._reap()
        taken = self._take_slot()
        if taken:
            slot, lease = taken
            self._finish(self._steps(slot, inputs, crop, fit))
            return self._results(slot, lease)
        with LOCK:
            slot = self._spare[0]
            self._finish(self._steps(slot, inputs, crop, fit))
            return self._results(slot, None)

    def _finish(self, steps: Sequence[_Step]) -> None:
        for job, doing, after in steps:
            self._powered(lambda job=job, doing=doing: job.run(doing))  # type: ignore[misc]
            if after:
                after()

    def submit(self, *inputs: Any, crop: Part | None = None, fit: Fit = "scale") -> Result:
        """Start to run the model, and return what gives the outputs: `await result`, or `result.wait()`.

        Arguments are those of `run`. A frame must be kept, and not released, until then. Raises TooManyJobs when all
        buffers are in use, by jobs that run and results that are kept; else what `run` raises.
        """
        return self._again(lambda: self._submit(inputs, crop, fit))

    def _submit(self, inputs: Sequence[Any], crop: Part | None, fit: Fit) -> Result:
        self._reap()
        taken = self._take_slot()
        if not taken:
            text = f"all {_MOST_SLOTS} buffers of the model are in use by jobs and results"
            raise TooManyJobs(text, hint="await jobs, and delete results or copy them")
        slot, lease = taken
        result = Result(self, slot, lease, self._steps(slot, inputs, crop, fit), inputs)
        result._advance()
        return result

    def _reap(self) -> None:
        for result in list(self._running):
            with contextlib.suppress(ModelError):
                result._advance()

    def _results(self, slot: _Slot, lease: Lease | None) -> tuple[Output, ...]:
        results = []
        for tensor, memory in zip(self.outputs, slot.output_memories, strict=True):
            memory.begin(False)
            memory.end(False)
            kept = memory if lease else memory.copy()
            format = FORMATS[tensor.dtype]
            output = Output(kept, lease, tensor.shape, tensor.strides, format, itemsize_of(tensor.dtype), False)
            output.tensor = tensor
            results.append(output)
        return tuple(results)

    def _steps(self, slot: _Slot, inputs: Sequence[Any], crop: Part | None, fit: Fit) -> list[_Step]:
        """Put the *inputs* into the buffers of *slot*; return the jobs that are to be run."""
        run: _Step = (slot.job, f"run {self.path.name}", None)
        if len(inputs) == 1 and hasattr(type(inputs[0]), "place"):
            return [self._conversion(slot, inputs[0], crop, fit), run]
        if crop is not None or fit != "scale":
            raise WrongShape("only frames can be cut", hint="give the model a frame, or an array that fits its input")
        if len(inputs) != len(self.inputs):
            raise WrongShape(f"the model has {len(self.inputs)} inputs, not {len(inputs)}", hint=describe(self.inputs))
        for tensor, memory, values in zip(self.inputs, slot.input_memories, inputs, strict=True):
            fill(tensor, memory, values)
        return [run]

    def _conversion(self, slot: _Slot, frame: Any, crop: Part | None, fit: Fit) -> _Step:
        place = frame.place
        picture, tensor = picture_of(frame), self.inputs[0]
        wanted = input_picture(tensor.shape, tensor.strides, tensor.layout)
        if wanted is None or tensor.dtype not in ("uint8", "int8") or len(self.inputs) != 1:
            raise WrongShape(
                "a frame cannot be converted for this model", hint=f"give it arrays: {describe(self.inputs)}"
            )
        part = part_of(picture, wanted, crop, fit)
        converter = self._converter(picture, wanted)
        source = _source(converter, slot, picture, frame, place)
        key = (picture, part is not None)
        settings = {"image.input.crop": part} if part else {}
        job = slot.conversions.get(key)
        if job is None:
            fd, offset, size, properties = slot.inputs.place(0)
            output = converter.program.create(True, fd, offset, size, properties)
            job = slot.conversions[key] = Job(converter.program, source, output, settings)
        else:
            job.change(source, settings)
        after = slot.input_memories[0].flip_signs if tensor.dtype == "int8" else None
        return job, f"convert a frame with {self._converter_name}", after

    def _converter(self, picture: Picture, wanted: Picture) -> _Converter:
        converter = self._converters.get(picture)
        if converter is None:
            if self._converter_name not in (names := self._connection.devices()):
                has = f"the camera has {', '.join(names)}"
                raise NoSuchDevice(f"this camera has no device {self._converter_name!r} to convert frames", hint=has)
            settings = picture.settings("input") | wanted.settings("output")
            try:
                program = self._powered(
                    lambda: self._connection.load(-1, self._converter_name, "a conversion", settings)
                )
            except BadModel as error:
                text = f"{self._converter_name} cannot convert {picture.format} of {picture.width}×{picture.height}"
                raise WrongShape(
                    f"{text} to {wanted.format} of {wanted.width}×{wanted.height}", hint=str(error)
                ) from None
            converter = self._converters[picture] = _Converter(program, weakref.WeakKeyDictionary())
        return converter

    def _check(self) -> Connection:
        if self._closed:
            raise ModelClosed("this model is closed")
        return self._connection

    def _reopen(self, lost: Connection, error: InferenceDown) -> None:
        """Load the model again after the service has stopped. Raises InferenceDown if it does not come back in time."""
        with LOCK:
            if self._connection is not lost:
                return
            self.restarted += 1
            end = time.monotonic() + self._restart_timeout
            delays, delay = iter(_RETRY_SECONDS), 0.0
            while True:
                try:
                    self._open(lambda load: load())
                except InferenceDown as failed:
                    error = failed
                else:
                    return
                delay = next(delays, delay)
                if time.monotonic() + delay > end:
                    text = "the camera's inference service stopped and does not come back"
                    raise InferenceDown(text, code=error.code, domain="larod") from error
                time.sleep(delay)

    def close(self) -> None:
        """Unload the model. Jobs that run are waited for; results stay valid."""
        if self._closed:
            return
        for result in list(self._running):
            with contextlib.suppress(ModelError):
                result.wait()
        self._closed = True
        self._close_file()
        self._free.clear()
        self._spare.clear()
        self._converters.clear()
        del self._program
        self._connection.close()

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self._close_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<acap.inference.Model {self.path.name} on {self.device}>"


class Result:
    """The outputs of a job that `Model.submit` has started: `await result`, or `result.wait()`."""

    def __init__(self, model: Model, slot: _Slot, lease: Lease, steps: list[_Step], inputs: Sequence[Any]) -> None:
        self._model = model
        self._slot = slot
        self._lease: Lease | None = lease
        self._steps = steps
        # A frame with a view cannot be released.
        self._views = [memoryview(values) for values in inputs if hasattr(type(values), "place")]
        self._wait: Wait | None = None
        self._delays: Iterator[float] | None = None
        self._delay = 0.0
        self._outputs: tuple[Output, ...] | None = None
        self._error: ModelError | None = None
        model._running.add(self)

    def done(self) -> bool:
        """Return whether the outputs are there, or an error."""
        with contextlib.suppress(ModelError):
            self._advance()
        return self._lease is None

    def wait(self, timeout: float | None = None) -> tuple[Output, ...]:
        """Wait for the outputs and return them. Raises TimeoutError after *timeout* seconds, else what `run` raises."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._advance():
            left = 0.5 if end is None else min(0.5, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"the model did not finish within {timeout:g} s")
            if self._wait:
                self._wait.poll(int(left * 1000) + 1)
            else:
                time.sleep(min(left, self._delay))
        assert self._outputs is not None
        return self._outputs

    def __await__(self) -> Generator[Any, None, tuple[Output, ...]]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> tuple[Output, ...]:
        while not self._advance():
            if self._wait:
                await _readable(self._wait.fileno())
            else:
                await asyncio.sleep(self._delay)
        assert self._outputs is not None
        return self._outputs

    def _advance(self) -> bool:
        """Go on as far as that is possible without waiting; return whether the outputs are there. Raises ModelError."""
        with LOCK:
            if self._error:
                raise self._error
            while self._outputs is None:
                try:
                    if not self._go_on():
                        return False
                except NoPower as error:
                    self._wait = None
                    self._delays = self._delays or self._model._power_delays()
                    try:
                        self._delay = self._model._next_delay(self._delays, error)
                    except NoPower as final:
                        self._end(error=final)
                        raise
                    return False
                except ModelError as error:
                    self._end(error=error)
                    raise
            return True

    def _go_on(self) -> bool:
        job, doing, after = self._steps[0]
        if self._wait is None:
            self._wait = job.start(doing)
            return False
        if not self._wait.done:
            return False
        self._wait.check()
        self._wait = None
        if after:
            after()
        self._steps.pop(0)
        if not self._steps:
            self._end(outputs=self._model._results(self._slot, self._lease))
        return True

    def _end(self, outputs: tuple[Output, ...] | None = None, error: ModelError | None = None) -> None:
        self._outputs, self._error = outputs, error
        self._lease = self._wait = None
        self._steps.clear()
        for view in self._views:
            view.release()
        self._model._running.discard(self)


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _read_file(fd: int, path: Path) -> ModelFile | None:
    """Return what a TensorFlow Lite file tells, or None for another one. Raises BadModel."""
    if os.fstat(fd).st_size < 8:
        raise BadModel(f"{path} is too short to be a model")
    # An exception may still refer to it, so it is closed when it is no longer needed.
    data = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
    if not is_tflite(data):
        return None
    try:
        return read_model(data)
    except BadModel as error:
        raise BadModel(f"{path}: {error}", hint="copy the file again") from None


def _candidates(names: Sequence[str], told: ModelFile | None) -> list[str]:
    """Return the devices of *names* that could run the model, the fastest first."""
    if told is None:
        return [name for name in names if name.endswith("-native") or name == "ambarella-cvflow"]
    if "edgetpu-custom-op" in told.custom_operators:
        return [_EDGE_TPU] if _EDGE_TPU in names else []
    able = [name for name in names if name.endswith("-tflite") and name != _EDGE_TPU]
    order = {name: number for number, name in enumerate((*_FASTEST, "", *_PROCESSOR))}
    return sorted(able, key=lambda name: order.get(name, len(_FASTEST)))


def _wait_for(load: Callable[[], T], progress: Callable[[float], None] | None) -> T:
    """Return what *load* returns. It runs in another thread, so that Ctrl-C ends the wait."""
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(load())
        except BaseException as error:  # it is raised in the thread that waits
            errors.append(error)
        done.set()

    start = time.monotonic()
    threading.Thread(target=run, name="acap loads a model", daemon=True).start()
    while True:
        if progress:
            progress(time.monotonic() - start)
        if done.wait(1.0):
            break
    if errors:
        raise errors.pop()
    return results.pop()


def _source(converter: _Converter, slot: _Slot, picture: Picture, frame: Any, place: Any) -> Tensors:
    """Return the tensor of the frame's own buffer, which the service keeps, or of a copy if it has none."""
    if place is not None:
        stream, fd, offset, size, kind = place
        with LOCK:
            buffers = converter.sources.setdefault(stream, {})
            found = buffers.get((fd, offset))
            if found is None:
                properties = _DMABUF | MAP if kind == "dmabuf" else MAP
                found = buffers[fd, offset] = converter.program.create(False, fd, offset, size, properties)
        return found
    if picture not in slot.staging:
        fd = os.memfd_create("acap-picture", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, picture.bytes)
            tensors = converter.program.create(False, fd, 0, picture.bytes, MAP | READWRITE)
            slot.staging[picture] = (tensors, Memory(fd, 0, picture.bytes, MAP))
        finally:
            os.close(fd)
    staged, memory = slot.staging[picture]
    with memoryview(frame) as pixels, memoryview(_bytes_of(memory, picture.bytes)) as target:
        count = min(pixels.nbytes, picture.bytes)
        target[:count] = pixels[:count]
    return staged


def _bytes_of(memory: Memory, size: int) -> Array:
    return Array(memory, None, (size,), (1,), "B", 1, True)
