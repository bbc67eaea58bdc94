"""The reader of .tflite files: nothing in a file makes it do anything but return or raise BadModel."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import acap
from acap.tflite import ModelFile, read_model

from .networks import OPERATORS, example

SMALL = OPERATORS["logistic"](np.random.default_rng(0), "int8").render()
WHOLE = example("int8").render()
Write = Callable[..., Path]


def test_reader_tells_inputs_and_outputs() -> None:
    told = read_model(WHOLE)
    assert [tensor.name for tensor in (*told.inputs, *told.outputs)] == ["picture", "scores", "map"]
    assert (told.inputs[0].shape, told.inputs[0].dtype) == ((1, 32, 32, 3), "int8")
    assert (told.outputs[0].scale, told.outputs[0].zero_point) == (1 / 256, -128)


def test_every_truncated_file_is_refused_or_read() -> None:
    for end in range(len(SMALL)):
        try:
            read_model(SMALL[:end])
        except acap.BadModel:
            continue
        assert end > len(SMALL) // 2


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_damaged_file_is_refused_or_read(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for at, byte in changes:
        data[at] = byte
    data[4:8] = b"TFL3"
    with contextlib.suppress(acap.BadModel):
        assert isinstance(read_model(bytes(data)), ModelFile)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(acap.BadModel):
        read_model(data[:4] + b"TFL3" + data[4:])


@pytest.mark.usefixtures("inference")
def test_damaged_file_does_not_harm_the_stand_in(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    path = tmp_path / "model.tflite"
    loaded = 0
    for _ in range(300):
        data = bytearray(WHOLE if random.random() < 0.3 else SMALL)
        for _ in range(int(random.integers(1, 8))):
            data[int(random.integers(8, len(data)))] = int(random.integers(0, 256))
        path.write_bytes(data)
        try:
            with acap.inference.Model(path, "cpu-tflite") as model:
                model.run(*(np.zeros(tensor.shape, tensor.dtype) for tensor in model.inputs))
                loaded += 1
        except acap.ModelError:
            continue
    assert loaded
