"""The engine of inference in the camera's service: what apps share, and what is left of one that is killed."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.acap_inference.conftest import inference_stand_in
from tests.unit.acap_inference.networks import example
from tests.unit.acap_video.conftest import PACKAGE, built_module
from tests.waiting import wait_until

from .lines import Line

if TYPE_CHECKING:
    from .conftest import Service

__all__ = ["built_module"]

pytestmark = pytest.mark.starts_processes

OPEN, CHECK, SESSIONS, LOAD, MODEL, MODELS, DELETE, BUFFERS, TRACK, FORGET, RUN, START, ENDS = range(2, 15)
PRIVATE, PUBLIC = 1, 2
NOT_FOUND, PERMISSION, ALLOC, INVALID, FD = -4, -5, -14, 22, -3
_ASK_LOAD = struct.Struct("=48s256sII")
_ENTRIES = 16 * (40 + 40 + 8 + 32)
_ASK_TENSOR = struct.Struct("=IIQq")


class Session(Line):
    """An app's connection to the engine."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.path)
        assert self.hello("larod")

    def call(self, kind: int, data: bytes = b"", fds: Sequence[int] = ()) -> tuple[int, bytes, list[int]]:
        self.send(kind, 0, data, fds)
        answer = self.receive()
        assert answer is not None
        assert answer[0] == kind
        return answer[1:]

    def load(self, path: Path, access: int = PRIVATE) -> int:
        with path.open("rb") as file:
            ask = _ASK_LOAD.pack(b"cpu-tflite", b"model", access, 0) + bytes(_ENTRIES)
            code, told, _ = self.call(LOAD, ask, [file.fileno()])
        assert code == 0, told
        return int(struct.unpack_from("=Q", told)[0])

    def models(self) -> list[int]:
        _, told, _ = self.call(MODELS)
        [count] = struct.unpack_from("=Q", told)
        return list(struct.unpack_from(f"={count}Q", told, 8))

    def track(self, fd: int, size: int = 0) -> tuple[int, bytes]:
        code, told, _ = self.call(TRACK, _ASK_TENSOR.pack(0, 3, size, 0), [fd])
        return code, told

    def run(
        self,
        model: int,
        tensors: Sequence[bytes],
        fds: Sequence[int],
        kind: int = RUN,
        number: int = 7,
        priority: int = 50,
    ) -> tuple[int, bytes]:
        head = struct.pack("=QQIIII4q", model, number, 1, 2, priority, 0, 0, 0, 0, 0)
        code, told, _ = self.call(kind, head + b"".join(tensors) + bytes(_ASK_TENSOR.size * (32 - len(tensors))), fds)
        return code, told


@pytest.fixture
def session(service: Service) -> Iterator[Session]:
    with Session(service) as found:
        assert found.call(OPEN)[0] == 0
        yield found


@pytest.fixture
def other(service: Service) -> Iterator[Session]:
    with Session(service) as found:
        assert found.call(OPEN)[0] == 0
        yield found


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "uint8.tflite"
    path.write_bytes(example("uint8").render())
    return path


def memory(size: int, data: bytes = b"") -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    os.pwrite(fd, data, 0)
    return fd


def app(service: Service, module: Path, code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start an app that has acap, over the service."""
    library = f"import ctypes; ctypes.CDLL({str(inference_stand_in())!r})\n"
    path = f"import sys, acap; acap.__path__.append({str(module)!r})\nimport numpy as np\n"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", library + path + code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(PACKAGE / "src"), "INCAMERA_CAMERA_SERVICE": str(service.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


LOOP = """
model = acap.inference.Model(sys.argv[1], restart_timeout=30)
values = np.arange(3072).reshape(32, 32, 3).astype("uint8")
kept = [np.array(one) for one in model.run(values)]
print("ready", flush=True)
for line in sys.stdin:
    outputs = model.submit(values).wait() if "async" in line else model.run(values)
    print(all((np.asarray(one) == same).all() for one, same in zip(outputs, kept)), model.restarted, flush=True)
"""


def test_killed_service_is_a_lost_connection_and_the_model_is_loaded_again(
    service: Service, built_module: Path, model_file: Path
) -> None:
    process = app(service, built_module, LOOP, model_file)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        for restarted, how in enumerate(["sync", "async", "sync"], start=1):
            service.restart()
            print(how, file=process.stdin, flush=True)
            assert process.stdout.readline() == f"True {restarted}\n"
        process.stdin.close()
    assert process.returncode == 0


def test_killed_app_leaves_nothing_in_the_service(service: Service, built_module: Path, model_file: Path) -> None:
    def left() -> tuple[int, int]:
        folder = Path(f"/proc/{service.process.pid}")
        return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))

    before = left()
    code = LOOP.replace("for line", "waits = [model.submit(values) for _ in range(4)]\nfor line")
    process = app(service, built_module, code, model_file)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        assert left() > before
        process.kill()
    # The line of the fixture, which looked whether the service listens, may have ended meanwhile, too.
    wait_until(
        lambda: all(now <= then for now, then in zip(left(), before, strict=True)),
        "the service has closed all of the app",
    )


def test_sessions_are_counted(session: Session, other: Session) -> None:
    assert struct.unpack("=Q", session.call(SESSIONS)[1]) == (2,)
    other.socket.close()
    wait_until(lambda: struct.unpack("=Q", session.call(SESSIONS)[1]) == (1,), "the other session has ended")


def test_public_model_is_seen_by_others_and_a_private_one_is_not(
    session: Session, other: Session, model_file: Path
) -> None:
    private, public = session.load(model_file), session.load(model_file, PUBLIC)
    assert sorted(session.models()) == [private, public]
    assert other.models() == [public]
    assert other.call(MODEL, struct.pack("=Q", private))[0] == NOT_FOUND
    assert other.call(MODEL, struct.pack("=Q", public))[0] == 0
    assert other.call(DELETE, struct.pack("=Q", public))[0] == PERMISSION
    session.socket.close()
    wait_until(lambda: other.models() == [], "the model has ended with its session")


def test_connection_tracks_32_tensors(session: Session, other: Session) -> None:
    fd = memory(100)
    numbers = [struct.unpack("=I", told)[0] for code, told in (session.track(fd) for _ in range(32)) if code == 0]
    assert len(set(numbers)) == 32
    assert session.track(fd)[0] == ALLOC
    assert other.track(fd)[0] == 0
    session.call(FORGET, struct.pack("=I32I", 1, numbers[5], *[0] * 31))
    assert session.track(fd)[0] == 0
    os.close(fd)


def test_job_runs_with_buffers_of_the_client(session: Session, model_file: Path) -> None:
    model = session.load(model_file)
    fds = [memory(3072, bytes(range(256)) * 12), memory(4), memory(64)]
    tensors = [_ASK_TENSOR.pack(0, 3, size, 0) for size in (3072, 4, 64)]
    assert session.run(model, tensors, fds)[0] == 0
    first = os.pread(fds[2], 64, 0)
    assert len(set(first)) > 5
    code, told, [ends] = session.call(ENDS)
    assert (code, told) == (0, b"")
    os.pwrite(fds[2], bytes(64), 0)
    assert session.run(model, tensors, fds, START)[0] == 0
    end = os.read(ends, 1000)
    assert struct.unpack_from("=QI", end[8:]) == (7, 0)
    assert os.pread(fds[2], 64, 0) == first
    for fd in (*fds, ends):
        os.close(fd)


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the service's faults. The service starts after it."""
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv("INCAMERA_FAULTS", str(folder))
    return folder


def test_jobs_that_wait_run_by_their_priority(faults: Path, service: Service, model_file: Path) -> None:
    (faults / "slow-jobs").write_text("300")
    with Session(service) as session:
        session.call(OPEN)
        model = session.load(model_file)
        fds = [memory(3072), memory(4), memory(64)]
        tensors = [_ASK_TENSOR.pack(0, 3, size, 0) for size in (3072, 4, 64)]
        _, _, [ends] = session.call(ENDS)
        for number, priority in enumerate([100, 100, 100, 0, 40]):
            assert session.run(model, tensors, fds, START, number, priority)[0] == 0
        order = [struct.unpack_from("=Q", os.read(ends, 1000)[8:])[0] for _ in range(5)]
        assert (set(order[:3]), order[3:]) == ({0, 1, 2}, [4, 3])
        for fd in (*fds, ends):
            os.close(fd)


def test_first_load_of_a_model_alone_is_slow(faults: Path, service: Service, model_file: Path) -> None:
    (faults / "slow-first-load").write_text("700")
    with Session(service) as session:
        session.call(OPEN)

        def seconds() -> float:
            began = time.monotonic()
            session.load(model_file)
            return time.monotonic() - began

        assert seconds() >= 0.7
        assert min(seconds() for _ in range(5)) < 0.7
        model_file.write_bytes(example("int8").render())
        assert seconds() >= 0.7


def test_buffer_that_is_cut_off_ends_the_job_alone(session: Session, model_file: Path) -> None:
    model = session.load(model_file)
    fd = memory(3072)
    code, told = session.track(fd)
    assert code == 0
    own = _ASK_TENSOR.pack(struct.unpack("=I", told)[0], 0, 0, 0)
    outputs = [memory(4), memory(64)]
    tensors = [own, *(_ASK_TENSOR.pack(0, 3, size, 0) for size in (4, 64))]
    assert session.run(model, tensors, outputs)[0] == 0
    os.ftruncate(fd, 0)
    code, told = session.run(model, tensors, outputs)
    assert (code, b"shorter" in told) == (FD, True)
    os.ftruncate(fd, 3072)
    assert session.run(model, tensors, outputs)[0] == 0
    for one in (fd, *outputs):
        os.close(one)


def test_what_others_have_cannot_be_used(session: Session, other: Session, model_file: Path) -> None:
    model = session.load(model_file)
    fd = memory(3072)
    code, told = other.track(fd)
    assert code == 0
    strange = _ASK_TENSOR.pack(struct.unpack("=I", told)[0] + 9, 0, 0, 0)
    assert session.run(model, [strange] * 3, [])[0] == INVALID
    assert other.run(model, [strange] * 3, [])[0] == NOT_FOUND
    assert session.run(model, [_ASK_TENSOR.pack(0, 3, 0, 0)] * 3, [fd])[0] == FD
    os.close(fd)


@pytest.mark.parametrize("seed", range(6))
def test_service_outlives_damaged_requests(service: Service, model_file: Path, seed: int) -> None:
    chance = random.Random(seed)
    fd = memory(5000)
    for _ in range(25):
        with Session(service) as session:
            session.call(OPEN)
            model = session.load(model_file, chance.choice([PRIVATE, PUBLIC]))
            for _ in range(20):
                kind = chance.choice([CHECK, LOAD, MODEL, MODELS, DELETE, BUFFERS, TRACK, FORGET, RUN, START, ENDS, 99])
                size = chance.choice([0, 4, 8, 16, 24, 64, 800, 2300, 4000])
                data = bytearray(chance.choice([bytes(size), chance.randbytes(size)]))
                if size >= 8 and chance.random() < 0.8:
                    struct.pack_into("=Q", data, 0, model)
                if size >= 32 and chance.random() < 0.8:
                    struct.pack_into("=IIII", data, 16, 1, 2, 50, chance.randrange(2))
                session.send(kind, 0, bytes(data), [fd] * chance.randrange(4))
                answer = session.receive()
                if answer is None:
                    break
                for one in answer[3]:
                    os.close(one)
    os.close(fd)
    with Session(service) as session:
        assert session.call(OPEN)[0] == 0
        session.load(model_file)
