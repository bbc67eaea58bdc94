"""The library's end of the line to LiteRT, with another process in its place. Whatever that answers is an error."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import acap

from .networks import example, real

pytestmark = [pytest.mark.starts_processes, pytest.mark.usefixtures("inference")]
Answer = Callable[[str], None]

# What begins a process that stands in for LiteRT's: `answer` sends the head of an answer, and its data.
BEGIN = f"""#!{sys.executable} -S
import os, socket, struct, sys
line = socket.socket(fileno=0)
def take(size):
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data
def greet():
    line.sendall(take(28 + 8))
def request():
    kind, number, size = struct.unpack("<IIQ", take(16))
    return kind, number, take(size)
def answer(code, number, data, size=None):
    line.sendall(struct.pack("<IIQ", code, number, len(data) if size is None else size) + data)
def told(*tensors, inputs=1):
    return struct.pack("<II", inputs, len(tensors) - inputs) + b"".join(
        struct.pack("<64sII6I", b"name", type, len(dims), *dims, *[0] * (6 - len(dims))) for type, *dims in tensors)
"""
# The second process of a test would be started for ever without it.
END = "\nline.recv(1)\n"


@pytest.fixture
def litert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Puts a program in LiteRT's place."""

    def write(code: str) -> None:
        path = tmp_path / f"litert-{len(list(tmp_path.iterdir()))}"
        path.write_text(BEGIN + code + END, "utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("INCAMERA_LITERT", str(path))

    return write


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "real.tflite"
    path.write_bytes(real().render())
    return path


DOUBLES = "greet()\nrequest()\nanswer(0, 7, told((12, 2), (12, 2)))\n"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", "LiteRT does not answer"),
        ("line.sendall(bytes(1000))\nline.close()", "LiteRT does not answer"),
        ("greet()\nrequest()", "LiteRT ended"),
        ("greet()\nrequest()\nline.sendall(bytes(15))", "LiteRT ended"),
        ("greet()\nrequest()\nanswer(1, 0, b'it is damaged')", "it is damaged"),
        ("greet()\nrequest()\nanswer(1, 0, b'x' * 5000)", "cannot be read"),
        ("greet()\nrequest()\nanswer(0, 1, b'', 1 << 60)", "LiteRT ended"),
        ("greet()\nrequest()\nanswer(0, 1, bytes(8))", "cannot be read"),
        ("greet()\nrequest()\nanswer(0, 1, struct.pack('<II', 1 << 31, 1))", "cannot be read"),
        ("greet()\nrequest()\nanswer(0, 1, told((99, 2), (12, 2)))", "cannot be read"),
        ("greet()\nrequest()\nanswer(0, 1, told((12, 0), (12, 2)))", "cannot be read"),
        ("greet()\nrequest()\nanswer(0, 1, told((12, 1 << 30, 1 << 30), (12, 2)))", "cannot be read"),
        ("greet()\nrequest()\nanswer(0, 1, told((12, 2), (12, 2))[:-1])", "cannot be read"),
    ],
)
def test_answer_to_a_load_that_cannot_be_is_an_error(litert: Answer, model: Path, code: str, text: str) -> None:
    # Where the process is to end, nothing waits.
    litert(code + ("\nsys.exit()" if text in ("LiteRT does not answer", "LiteRT ended") else ""))
    with pytest.raises(acap.BadModel, match=text):
        acap.inference.Model(model)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("request()\nsys.exit()", "LiteRT ended"),
        ("request()\nanswer(1, 7, b'an operator has failed')\nsys.exit()", "an operator has failed"),
        ("request()\nanswer(0, 7, bytes(9))", "cannot be read"),
        ("request()\nanswer(0, 7, bytes(4), 8)\nsys.exit()", "cannot be read"),
    ],
)
def test_answer_to_a_job_that_cannot_be_is_an_error_of_that_job(
    litert: Answer, tmp_path: Path, code: str, text: str
) -> None:
    from acap._inference import Connection, Job

    path = tmp_path / "real.tflite"
    path.write_bytes(real().render())
    litert(DOUBLES + code)
    connection = Connection()
    with path.open("rb") as file:
        program = connection.load(file.fileno(), "cpu-tflite", "model", {})
    job = Job(program, program.allocate(False), program.allocate(True), {})
    with pytest.raises(acap.InferenceFailed, match=text):
        job.run("run")
    litert(DOUBLES + "_, number, data = request()\nanswer(0, number, data)")
    job.run("run")  # in a new process


def test_reset_while_the_process_is_greeted_greets_again(litert: Answer, model: Path) -> None:
    told = "told((12, 1, 1, 1, 4), (12, 1, 16, 16, 3), (12, 2), inputs=2)"
    litert(f"take(36)\nline.sendall(bytes([255]) * 16)\ngreet()\nrequest()\nanswer(0, 7, {told})")
    with acap.inference.Model(model) as loaded:
        assert [tensor.shape for tensor in loaded.inputs] == [(1, 1, 1, 4), (1, 16, 16, 3)]


def test_model_that_the_interpreter_has_needs_no_process(litert: Answer, tmp_path: Path) -> None:
    litert("raise SystemExit('nobody should start it')")
    path = tmp_path / "uint8.tflite"
    path.write_bytes(example("uint8").render())
    with acap.inference.Model(path) as model:
        assert len(model.run(np.zeros((32, 32, 3), "uint8"))) == 2


@pytest.mark.parametrize("seed", range(10))
def test_damaged_answers_do_no_harm(litert: Answer, model: Path, seed: int) -> None:
    chance = random.Random(seed)
    told = struct.pack("<II", 1, 1) + struct.pack("<64sII6I", b"a", 12, 1, 2, 0, 0, 0, 0, 0) * 2
    stream = bytearray(struct.pack("<IIQ", 0, 1, len(told)) + told + struct.pack("<IIQ", 0, 1, 8) + bytes(8))
    for _ in range(chance.randrange(1, 5)):
        stream[chance.randrange(len(stream))] = chance.choice([0, 1, 255, chance.randrange(256)])
    litert(f"greet()\nrequest()\nline.sendall({bytes(stream)!r})\nsys.exit()")
    try:
        with acap.inference.Model(model) as loaded:
            loaded.run(*(np.zeros(tensor.shape, tensor.dtype) for tensor in loaded.inputs))
    except (acap.ModelError, TypeError):
        pass
