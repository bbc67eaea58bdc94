"""C programs over the stand-in: one with the names of larod's first generation, and one that damages models."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.unit.acap_video.conftest import NEWEST

import acap
from incamera.virtual.stand_ins import build

from .conftest import inference_stand_in
from .networks import OPERATORS
from .test_models import picture

pytestmark = [pytest.mark.starts_processes, pytest.mark.usefixtures("inference")]
HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler called cc")
def test_program_of_the_first_generation_gives_the_same(model_file: Callable[..., Path], tmp_path: Path) -> None:
    library, program = inference_stand_in(), tmp_path / "program"
    subprocess.run(["cc", "-Wall", "-Werror", HERE / "old_program.c", library, "-o", program], check=True)
    values = picture()
    (tmp_path / "input").write_bytes(values.tobytes())
    with acap.inference.Model(model_file()) as model:
        wanted = [np.asarray(output).tobytes() for output in model.run(values)]
    files = [model_file(), *(tmp_path / name for name in ("input", "scores", "map"))]
    environment = os.environ | {"LD_LIBRARY_PATH": str(library.parent)}
    done = subprocess.run([program, *files], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    for name, right in zip(("scores", "map"), wanted, strict=True):
        assert (tmp_path / name).read_bytes()[: len(right)] == right


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["convolution", "depthwise", "fully_connected", "softmax", "concatenation", "add"])
def test_damaged_models_do_no_harm(kind: str, tmp_path: Path) -> None:
    """The interpreter with the sanitizers for addresses and undefined behaviour."""
    program = tmp_path / "damage"
    build.write_sources("larod", NEWEST, tmp_path)
    sanitizers = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    # Without the versions of its functions, which only a library can have.
    parts = sorted(path.name for path in tmp_path.glob("*.c") if path.name not in build.units(tmp_path))
    (tmp_path / "library.c").write_text("".join(f'#include "{part}"\n' for part in parts), "utf-8")
    sources = ["-I", str(tmp_path), *(str(tmp_path / unit) for unit in build.units(tmp_path)), str(HERE / "damage.c")]
    words = ["cc", "-std=gnu11", "-D_GNU_SOURCE", *sanitizers, *sources, "-lm", "-lpthread", "-o", str(program)]
    subprocess.run(words, check=True)
    model = tmp_path / "model.tflite"
    model.write_bytes(OPERATORS[kind](np.random.default_rng(1), "int8").render())
    done = subprocess.run([program, model, "3000", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[0]) > 100
