"""What a device can do is tried once between two starts of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from incamera.device.capabilities import Speed, ensure_images_tried, ensure_speed
from incamera.device.facts import DeviceFacts, Place
from incamera.runtime.launcher.protocol import ANSWERS, Measured, Tried
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import LocalTransport
from incamera.transport.protocols import Program, ProgramResult

CARD = Place(path="/card", filesystem="ext4", free=1 << 30, writable=True, executable=True)
FACTS = DeviceFacts(
    architecture="armv7l",
    kernel="",
    hostname="",
    system="",
    user="root",
    libc=None,
    loader=None,
    memory=0,
    memory_available=0,
    boot="one",
    tools=(),
    places=(CARD,),
    library_folders=(),
    libraries=(),
)


class Session:
    """Answers as the guard would, and keeps what it was asked."""

    transport = LocalTransport(Device(name="cam", address=SshAddress(host="camera.invalid")))
    device = transport.device

    def __init__(self, *answers: Tried | Measured, code: int = 0) -> None:
        self.answers = answers
        self.code = code
        self.asked: list[str] = []

    def run(self, program: Program, *, input: bytes, timeout: float) -> ProgramResult:
        self.asked.append(" ".join(program.arguments))
        answer = next((a for a in self.answers if KINDS[type(a)] == WANTED[program.arguments[1]]), None)
        line = json.dumps({"kind": KINDS[type(answer)], **vars(answer)}) if answer else ""
        return ProgramResult(self.code, line.encode(), b"")


KINDS = {class_: kind for kind, (class_, _) in ANSWERS.items()}
WANTED = {"try-images": "tried", "measure": "measured"}
GZIP_AND_ZSTD = Tried(squashfs=("gzip", "zstd"), problem=None, passing=False)
FAST = Measured(write=900_000, read=2_000_000)


def images(session: Session, folder: Path, facts: DeviceFacts = FACTS) -> tuple[str, ...]:
    return ensure_images_tried(session, facts, "/guard", cache=folder / "kept")  # type: ignore[arg-type]


def speed(session: Session, folder: Path, place: Place = CARD) -> Speed:
    return ensure_speed(session, FACTS, place, "/guard", cache=folder / "kept")  # type: ignore[arg-type]


def test_images_are_tried_once_in_each_boot(tmp_path: Path) -> None:
    session = Session(GZIP_AND_ZSTD)
    for _ in range(2):
        assert images(session, tmp_path) == ("gzip", "zstd")
    assert session.asked == ["/guard try-images"]
    images(session, tmp_path, replace(FACTS, boot="two"))
    assert len(session.asked) == 2


def test_kernel_that_mounts_no_image_is_asked_once(tmp_path: Path) -> None:
    session = Session(Tried(squashfs=(), problem="no loop device", passing=False))
    for _ in range(2):
        assert images(session, tmp_path) == ()
    assert len(session.asked) == 1


@pytest.mark.parametrize(
    "session", [Session(Tried(squashfs=(), problem="cannot write to /tmp", passing=True)), Session(code=137)]
)
def test_passing_problem_is_tried_again(tmp_path: Path, session: Session) -> None:
    assert images(session, tmp_path) == ()
    assert speed(Session(code=1), tmp_path) == Speed()
    session = Session(GZIP_AND_ZSTD, FAST)
    assert images(session, tmp_path) == ("gzip", "zstd")
    assert speed(session, tmp_path) == Speed(900_000, 2_000_000)


def test_place_that_has_space_again_is_measured(tmp_path: Path) -> None:
    session = Session(FAST)
    speed(session, tmp_path, replace(CARD, free=1 << 20))
    assert speed(session, tmp_path) == Speed(900_000, 2_000_000)


@pytest.mark.parametrize(
    ("place", "answer", "expected", "asked"),
    [
        (CARD, FAST, Speed(900_000, 2_000_000), 1),
        (CARD, Measured(write=5, read=None), Speed(5), 1),
        (replace(CARD, free=1 << 20), FAST, Speed(), 0),
        (replace(CARD, writable=False), FAST, Speed(), 0),
    ],
)
def test_place_is_measured_once_and_only_with_enough_space(
    tmp_path: Path, place: Place, answer: Measured, expected: Speed, asked: int
) -> None:
    session = Session(answer)
    for _ in range(2):
        assert speed(session, tmp_path, place) == expected
    assert len(session.asked) == asked


@pytest.mark.parametrize("text", ['{"boot": "one", "squashfs": 7}', '{"boot": "one", "images": []}', "not JSON"])
def test_damaged_or_older_cache_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").write_text(text)
    assert images(Session(GZIP_AND_ZSTD), tmp_path) == ("gzip", "zstd")
