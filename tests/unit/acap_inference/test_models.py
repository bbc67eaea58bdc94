"""Models: what they tell, what they take and give, and how they fail."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import acap

from . import networks
from .tflite_writer import CUSTOM, Network

if TYPE_CHECKING:
    from .conftest import Set

pytestmark = pytest.mark.usefixtures("inference")
Write = Callable[..., Path]


def picture(type: str = "uint8", size: int = 32, seed: int = 1) -> Any:
    numbers = np.random.default_rng(seed).integers(0, 256, (1, size, size, 3)).astype("uint8")
    return numbers if type == "uint8" else (numbers ^ 0x80).view("int8")


def test_devices_are_listed(service: Set) -> None:
    assert acap.inference.devices() == ["cpu-tflite", "cpu-proc"]
    service("DEVICES", "a9-dlpu-tflite cpu-proc")
    assert acap.inference.devices() == ["a9-dlpu-tflite", "cpu-proc"]


@pytest.mark.parametrize(("type", "zero"), [("uint8", 0), ("int8", -128)])
def test_tensors_tell_shape_type_and_scale(model_file: Write, type: str, zero: int) -> None:
    with acap.inference.Model(model_file(type)) as model:
        [given] = model.inputs
        scores, heat_map = model.outputs
    assert (given.name, given.shape, given.strides) == ("picture", (1, 32, 32, 3), (3072, 96, 3, 1))
    assert (given.dtype, given.layout, given.zero_point) == (type, "nhwc", zero)
    assert given.scale == pytest.approx(1 / 255)
    assert (scores.name, scores.shape, scores.scale, scores.zero_point) == ("scores", (1, 4), 1 / 256, zero)
    assert (heat_map.name, heat_map.shape) == ("map", (1, 8, 8, 1))


def test_real_numbers_are_scaled(model_file: Write) -> None:
    with acap.inference.Model(model_file("int8")) as model:
        scores, _ = model.run(picture("int8"))
    assert scores.real.dtype == np.float32
    np.testing.assert_array_equal(scores.real, (np.asarray(scores).astype(np.float32) + 128) / 256)
    assert scores.real.sum() == pytest.approx(1, abs=0.02)


def test_result_is_an_array_without_a_copy_that_later_runs_leave_alone(model_file: Write) -> None:
    with acap.inference.Model(model_file()) as model:
        results = [model.run(picture(seed=seed))[1] for seed in range(10)]
        arrays = [np.asarray(result) for result in results]
        assert not arrays[0].flags.writeable
        assert arrays[0].__array_interface__["data"] == np.asarray(results[0]).__array_interface__["data"]
        again = [np.array(model.run(picture(seed=seed))[1]) for seed in range(10)]
    for array, same in zip(arrays, again, strict=True):
        np.testing.assert_array_equal(array, same)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_of_a_model(model_file: Write) -> None:
    path = model_file()
    acap.inference.Model(path).close()
    gc.collect()
    before = descriptors()
    for _ in range(3):
        with acap.inference.Model(path) as model:
            kept = model.run(picture())
            model.submit(picture()).wait()
    assert np.asarray(kept[0]).shape == (1, 4)
    del kept, model
    gc.collect()
    assert descriptors() == before


def test_first_dimension_may_be_left_out(model_file: Write) -> None:
    with acap.inference.Model(model_file()) as model:
        one, other = model.run(picture())[0], model.run(picture()[0])[0]
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_array_may_have_any_strides(model_file: Write) -> None:
    values = picture()
    with acap.inference.Model(model_file()) as model:
        wanted = np.array(model.run(values)[1])
        turned = np.asfortranarray(values)
        np.testing.assert_array_equal(np.asarray(model.run(turned)[1]), wanted)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros((1, 31, 32, 3), "uint8"), acap.WrongShape, r"the shape \(1, 32, 32, 3\), not \(1, 31, 32, 3\)"),
        (np.zeros((1, 32, 32, 3), "float32"), acap.WrongType, "takes uint8, not float32"),
        (b"bytes", acap.WrongType, "takes uint8, not"),
    ],
)
def test_wrong_input_is_refused(model_file: Write, values: Any, error: type[Exception], message: str) -> None:
    with acap.inference.Model(model_file()) as model:
        with pytest.raises(error, match=message) as caught:
            model.run(values)
        assert isinstance(caught.value, ValueError | TypeError)
        with pytest.raises(acap.WrongShape, match="1 inputs, not 2: picture uint8"):
            model.run(picture(), picture())
        with pytest.raises(acap.WrongShape, match="only frames can be cut"):
            model.run(picture(), crop=(0, 0, 8, 8))
        model.run(picture())


@pytest.mark.parametrize("cut", [0, 5, 100, 2000])
def test_truncated_file_is_refused(model_file: Write, cut: int) -> None:
    path = model_file()
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"uint8\.tflite") as caught:
        acap.inference.Model(path)
    assert isinstance(caught.value, acap.BadModel)


def test_file_that_is_missing_is_a_builtin_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        acap.inference.Model(tmp_path / "none.tflite")


def test_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch" * 10)
    with pytest.raises(acap.BadModel, match="a model for no device of this camera: the camera has cpu-tflite"):
        acap.inference.Model(path)
    with pytest.raises(acap.BadModel, match="no TensorFlow Lite model") as caught:
        acap.inference.Model(path, "cpu-tflite")
    assert (caught.value.code, caught.value.domain) == (-2, "larod")


def test_model_of_another_chip_is_refused(tmp_path: Path) -> None:
    network = Network()
    source, result = (network.tensor(1, 4, type="uint8", scale=0.5) for _ in range(2))
    network.operator(CUSTOM, [source], result)
    network.inputs, network.outputs = [source], [result]
    path = tmp_path / "edgetpu.tflite"
    path.write_bytes(network.render())
    with pytest.raises(acap.BadModel, match="for no device of this camera"):
        acap.inference.Model(path)
    with pytest.raises(acap.BadModel, match="operator 0"):
        acap.inference.Model(path, "cpu-tflite")


def test_auto_takes_the_fastest_device_that_loads_the_model(model_file: Write, service: Set) -> None:
    service("DEVICES", "cpu-tflite google-edge-tpu-tflite axis-a8-dlpu-tflite cpu-proc axis-a8-dlpu-native")
    assert acap.inference.Model(model_file()).device == "axis-a8-dlpu-tflite"
    with pytest.raises(LookupError, match="no device 'a9-dlpu-tflite': the camera has cpu-tflite, ") as caught:
        acap.inference.Model(model_file(), "a9-dlpu-tflite")
    assert isinstance(caught.value, acap.NoSuchDevice)
    with pytest.raises(acap.BadModel, match="this is no model for axis-a8-dlpu-native"):
        acap.inference.Model(model_file(), "axis-a8-dlpu-native")


def test_long_load_tells_its_progress(model_file: Write, service: Set) -> None:
    service("LOAD_MS", 1500)
    told: list[float] = []
    acap.inference.Model(model_file(), progress=told.append).close()
    assert told
    assert told == sorted(told)


def test_closed_model_cannot_be_used(model_file: Write) -> None:
    model = acap.inference.Model(model_file())
    model.close()
    model.close()
    for use in (model.run, model.submit):
        with pytest.raises(ValueError, match="closed") as caught:
            use(picture())
        assert isinstance(caught.value, acap.ModelClosed)


def test_threads_share_a_model(model_file: Write) -> None:
    wanted: dict[int, Any] = {}
    wrong: list[int] = []
    with acap.inference.Model(model_file()) as model:
        for seed in range(4):
            wanted[seed] = np.array(model.run(picture(seed=seed))[1])

        def use(seed: int) -> None:
            for _ in range(20):
                if not (np.asarray(model.run(picture(seed=seed))[1]) == wanted[seed]).all():
                    wrong.append(seed)

        threads = [threading.Thread(target=use, args=(seed,)) for seed in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_many_models_do_not_disturb_each_other(model_file: Write) -> None:
    path = model_file()
    models = [acap.inference.Model(path) for _ in range(12)]
    first = np.array(models[0].run(picture())[1])
    for model in models:
        np.testing.assert_array_equal(np.asarray(model.run(picture())[1]), first)
        model.close()


def test_other_operators_are_refused_with_their_number(tmp_path: Path) -> None:
    network = networks.reshape(np.random.default_rng(0), "int8")
    network.operators[0] = (5, *network.operators[0][1:])
    path = tmp_path / "model.tflite"
    path.write_bytes(network.render())
    with pytest.raises(acap.BadModel, match="number 5: it is not imitated"):
        acap.inference.Model(path)
