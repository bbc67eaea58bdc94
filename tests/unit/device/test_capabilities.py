"""What is tried out on a device is tried once between two starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from incamera.device.capabilities import Speed, ensure_images_tried, ensure_speed
from incamera.device.facts import DeviceFacts, Place
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


class Device:
    """Answers as the guard would, and counts."""

    def __init__(self, told: str, code: int = 0) -> None:
        self.told = told
        self.code = code
        self.asked: list[str] = []

    def run(self, program: Program, *, timeout: float) -> ProgramResult:
        self.asked.append(" ".join(program.arguments))
        return ProgramResult(self.code, self.told.encode(), b"")


def test_images_are_tried_once_in_each_boot(tmp_path: Path) -> None:
    device = Device("squashfs gzip\nsquashfs zstd\n")
    for _ in range(2):
        found = ensure_images_tried(device, FACTS, "/guard", cache=tmp_path / "kept")  # type: ignore[arg-type]
        assert found == ("squashfs gzip", "squashfs zstd")
    assert device.asked == ["/guard try-images"]
    ensure_images_tried(device, replace(FACTS, boot="two"), "/guard", cache=tmp_path / "kept")  # type: ignore[arg-type]
    assert len(device.asked) == 2


def test_kernel_that_mounts_no_image_is_asked_once(tmp_path: Path) -> None:
    device = Device("no squashfs: no loop device\n")
    for _ in range(2):
        assert ensure_images_tried(device, FACTS, "/guard", cache=tmp_path / "kept") == ()  # type: ignore[arg-type]
    assert len(device.asked) == 1


@pytest.mark.parametrize(("told", "code"), [("no squashfs: cannot write to /tmp\n", 0), ("", 137)])
def test_passing_problem_is_tried_again(tmp_path: Path, told: str, code: int) -> None:
    device = Device(told, code)
    assert ensure_images_tried(device, FACTS, "/guard", cache=tmp_path / "kept") == ()  # type: ignore[arg-type]
    assert ensure_speed(Device("", 1), FACTS, CARD, "/guard", cache=tmp_path / "kept") == Speed()  # type: ignore[arg-type]
    device = Device("squashfs gzip\nwrite 900\nread 2000\n")
    assert ensure_images_tried(device, FACTS, "/guard", cache=tmp_path / "kept") == ("squashfs gzip",)  # type: ignore[arg-type]
    speed = ensure_speed(device, FACTS, CARD, "/guard", cache=tmp_path / "kept")  # type: ignore[arg-type]
    assert speed == Speed(900_000, 2_000_000)


def test_place_that_has_space_again_is_measured(tmp_path: Path) -> None:
    device = Device("write 900\nread 2000\n")
    ensure_speed(device, FACTS, replace(CARD, free=1 << 20), "/guard", cache=tmp_path / "kept")  # type: ignore[arg-type]
    speed = ensure_speed(device, FACTS, CARD, "/guard", cache=tmp_path / "kept")  # type: ignore[arg-type]
    assert speed == Speed(900_000, 2_000_000)


@pytest.mark.parametrize(
    ("place", "told", "speed", "asked"),
    [
        (CARD, "write 900\nread 2000\n", Speed(900_000, 2_000_000), 1),
        (CARD, "", Speed(), 1),
        (replace(CARD, free=1 << 20), "write 1\nread 1\n", Speed(), 0),
        (replace(CARD, writable=False), "write 1\nread 1\n", Speed(), 0),
    ],
)
def test_place_is_measured_once_and_only_with_enough_space(
    tmp_path: Path, place: Place, told: str, speed: Speed, asked: int
) -> None:
    device = Device(told)
    for _ in range(2):
        assert ensure_speed(device, FACTS, place, "/guard", cache=tmp_path / "kept") == speed  # type: ignore[arg-type]
    assert len(device.asked) == asked


def test_damaged_cache_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text('{"boot": "one", "images": 7}')
    device = Device("squashfs xz\n")
    assert ensure_images_tried(device, FACTS, "/guard", cache=tmp_path / "kept") == ("squashfs xz",)  # type: ignore[arg-type]
