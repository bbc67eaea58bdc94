"""Devices of chips: what they convert, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import acap

from .test_models import picture

if TYPE_CHECKING:
    from .conftest import Set

pytestmark = pytest.mark.usefixtures("inference")

EVERY = "cpu-tflite google-edge-tpu-tflite ambarella-cvflow axis-ace-proc a9-gpu-proc ambarella-cvflow-proc cpu-proc"


def settings(source: tuple[str, int, int], result: tuple[str, int, int], **more: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for which, (format, width, height) in (("input", source), ("output", result)):
        found |= {f"image.{which}.format": format, f"image.{which}.size": (width, height)}
    return found | {f"image.{name.replace('_', '.', 1)}.row-pitch": value for name, value in more.items()}


@pytest.fixture
def connection(service: Set) -> Iterator[Any]:
    from acap._inference import Connection

    service("DEVICES", EVERY)
    found = Connection()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("device", "wanted", "text"),
    [
        ("axis-ace-proc", settings(("nv12", 64, 32), ("rgb-interleaved", 64, 32)), None),
        ("axis-ace-proc", settings(("nv12", 64, 32), ("rgb-planar", 64, 32)), "no such conversion"),
        ("axis-ace-proc", settings(("nv12", 64, 32), ("rgb-interleaved", 32, 16)), "does not scale"),
        ("axis-ace-proc", settings(("nv12", 60, 32), ("rgb-interleaved", 60, 32)), "multiple of 8"),
        ("axis-ace-proc", settings(("nv12", 64, 2), ("rgb-interleaved", 64, 2)), "height of 4"),
        ("axis-ace-proc", settings(("nv12", 2048, 2048), ("rgb-interleaved", 2048, 2048)), "4194303 pixels"),
        ("axis-ace-proc", settings(("nv12", 64, 32), ("rgb-interleaved", 64, 32), input=128), "padding"),
        ("ambarella-cvflow-proc", settings(("nv12", 64, 32), ("rgb-planar", 32, 32)), None),
        ("ambarella-cvflow-proc", settings(("nv12", 64, 32), ("rgb-interleaved", 64, 32)), "no such conversion"),
        ("ambarella-cvflow-proc", settings(("nv12", 64, 32), ("rgb-planar", 48, 32)), "multiple of 32"),
        ("ambarella-cvflow-proc", settings(("nv12", 64, 32), ("rgb-planar", 48, 32), output=64), None),
        ("a9-gpu-proc", settings(("nv12", 64, 32), ("rgb-interleaved", 32, 16)), None),
        ("a9-gpu-proc", settings(("nv12", 64, 32), ("rgb-planar", 32, 16)), None),
        ("cpu-proc", settings(("rgb-planar", 64, 32), ("rgb-interleaved", 32, 16)), "cannot scale rgb-planar"),
        ("cpu-proc", settings(("nv12", 64, 32), ("rgb-planar", 34, 16), output=35), "multiple of 2"),
    ],
)
def test_device_has_its_own_conversions(connection: Any, device: str, wanted: dict[str, Any], text: str | None) -> None:
    if text is None:
        connection.load(-1, device, "a conversion", wanted)
        return
    with pytest.raises(acap.BadModel, match=text):
        connection.load(-1, device, "a conversion", wanted)


def test_gpu_refuses_other_formats_at_the_job(connection: Any) -> None:
    from acap._inference import Job

    program = connection.load(-1, "a9-gpu-proc", "a conversion", settings(("nv12", 64, 32), ("rgb-planar", 64, 32)))
    job = Job(program, program.allocate(False), program.allocate(True), {})
    with pytest.raises(acap.InferenceFailed, match="only supports color conversion from NV12 to RGB interleaved"):
        job.run("convert")


def test_file_of_a_chip_is_refused(connection: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"a model of a chip, which nothing here can run")
    with pytest.raises(acap.BadModel, match="no model for ambarella-cvflow"):
        acap.inference.Model(path)


def test_edge_tpu_makes_inputs_of_dma_buf(connection: Any, model_file: Callable[..., Path]) -> None:
    with acap.inference.Model(model_file(), "cpu-tflite") as model:
        wanted = [np.array(output) for output in model.run(picture())]
    with acap.inference.Model(model_file(), "google-edge-tpu-tflite") as model:
        slot = model._spare[0]
        assert [slot.inputs.place(0)[3], slot.outputs.place(0)[3]] == [6, 3]
        for output, same in zip(model.run(picture()), wanted, strict=True):
            np.testing.assert_array_equal(output, same)
