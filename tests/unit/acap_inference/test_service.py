"""The inference service has no power, restarts, or is not there; and a process forks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.unit.acap_video.conftest import NEWEST, PACKAGE

import acap

from .conftest import inference_stand_in
from .test_models import picture

pytestmark = [pytest.mark.starts_processes, pytest.mark.usefixtures("inference")]
Write = Callable[..., Path]


def python(
    built_module: Path, code: str, *arguments: object, version: str | None = NEWEST, **asked: object
) -> list[str]:
    """Run *code* with acap in a process of its own, over the stand-in of *version*; return the lines that it prints."""
    library = f"import ctypes; ctypes.CDLL({str(inference_stand_in(version))!r})\n" if version else ""
    path = f"import sys, acap; acap.__path__.append({str(built_module)!r})\nimport numpy as np\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", library + path + code, *map(str, arguments)],
        env=os.environ
        | {"PYTHONPATH": str(PACKAGE / "src")}
        | {f"INCAMERA_LAROD_{name}": str(value) for name, value in asked.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_load_and_run_wait_for_power(built_module: Path, model_file: Write) -> None:
    code = """
model = acap.inference.Model(sys.argv[1])
print(model.no_power)
model.run(np.zeros((32, 32, 3), "uint8"))
"""
    assert python(built_module, code, model_file(), NO_POWER=3) == ["3"]


def test_power_that_does_not_come_is_an_error(built_module: Path, model_file: Write) -> None:
    code = """
import os
model = acap.inference.Model(sys.argv[1], power_timeout=0.2)
os.environ["INCAMERA_LAROD_NO_POWER"] = "1000"
for use in (model.run, lambda values: model.submit(values).wait()):
    try:
        use(np.zeros((32, 32, 3), "uint8"))
    except TimeoutError as error:
        assert isinstance(error, acap.NoPower)
        print(error)
"""
    text = "cpu-tflite had no power within 0.2 s: use the device less, or try again later"
    assert python(built_module, code, model_file()) == [text, text]


def test_model_is_loaded_again_after_the_service_restarted(built_module: Path, model_file: Write) -> None:
    code = """
model = acap.inference.Model(sys.argv[1])
values = np.arange(3072).reshape(32, 32, 3).astype("uint8")
kept = model.run(values)
same = []
for number in range(9):
    outputs = model.submit(values).wait() if number % 2 else model.run(values)
    same.append(bool((np.asarray(outputs[1]) == np.asarray(kept[1])).all()))
print(all(same), model.restarted)
"""
    assert python(built_module, code, model_file(), RESTART_AFTER=3, DOWN_FOR=2) == ["True 3"]


def test_service_that_does_not_come_back_is_an_error(built_module: Path, model_file: Write) -> None:
    code = """
model = acap.inference.Model(sys.argv[1], restart_timeout=0.2)
values = np.zeros((32, 32, 3), "uint8")
model.run(values)
try:
    model.run(values)
except ConnectionError as error:
    assert isinstance(error, acap.InferenceDown)
    print(error)
"""
    [line] = python(built_module, code, model_file(), RESTART_AFTER=1, DOWN_FOR=1000)
    assert "stopped and does not come back" in line


def test_missing_library_says_what_to_do(built_module: Path, model_file: Write) -> None:
    code = """
try:
    acap.inference.Model(sys.argv[1])
except OSError as error:
    assert isinstance(error, (acap.LibraryMissing, NotImplementedError))
    print(error)
"""
    [line] = python(built_module, code, model_file(), version=None)
    assert "liblarod.so.1" in line
    assert "virtual" in line


def test_model_is_refused_after_a_fork(built_module: Path, model_file: Write) -> None:
    code = """
import os
model = acap.inference.Model(sys.argv[1])
values = np.zeros((32, 32, 3), "uint8")
if os.fork() == 0:
    try:
        model.run(values)
    except RuntimeError as error:
        assert isinstance(error, acap.AfterFork)
        print(error, flush=True)
    del model
    print(len(acap.inference.Model(sys.argv[1]).run(values)), flush=True)  # one of its own
    os._exit(0)
os.wait()
print(len(model.run(values)))
"""
    first, *rest = python(built_module, code, model_file())
    assert "before a fork" in first
    assert rest == ["2", "2"]


def test_inference_is_not_loaded_by_import(built_module: Path) -> None:
    code = "print([name for name in sys.modules if name.startswith('acap')])"
    assert python(built_module, code, version=None) == ["['acap.errors', 'acap']"]


def test_oldest_camera_gives_the_same(built_module: Path, model_file: Write) -> None:
    from tests.unit.acap_video.conftest import OLDEST

    values = picture()
    with acap.inference.Model(model_file()) as model:
        wanted = np.asarray(model.run(values)[1]).tobytes().hex()
    code = """
values = np.frombuffer(bytes.fromhex(sys.argv[2]), "uint8").reshape(32, 32, 3)
print(np.asarray(acap.inference.Model(sys.argv[1]).run(values)[1]).tobytes().hex())
"""
    assert python(built_module, code, model_file(), values.tobytes().hex(), version=OLDEST) == [wanted]
