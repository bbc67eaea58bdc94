"""The launcher and the guard, as built for this computer."""

from __future__ import annotations

import gzip
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incamera.guard.sync import Shipment, dump_listing, pack, plan_shipment, read_image
from incamera.runtime.launcher import require_launcher
from incamera.tree import list_tree


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one file."""
    root = tmp_path / "bundle"
    (root / "app").mkdir(parents=True)
    (root / "app" / "app.py").write_text("print(1)\n")
    return root


@pytest.fixture
def launcher() -> Path:
    return require_launcher(platform.machine())


@pytest.fixture
def guard(tmp_path: Path, launcher: Path) -> Path:
    path = tmp_path / "incamera-guard-0123"
    shutil.copy(launcher, path)
    return path


class Receiver:
    """`guard receive` with its standard input and output in hand, as over SSH."""

    def __init__(self, guard: Path, apps: Path, shipment: Shipment, *words: str, name: str | None = None) -> None:
        self.shipment = shipment
        image = shipment.image
        if image is not None:
            size = len(image.entries) if image.entries else image.size
            words = (*words, "tree" if image.entries else "image", image.file, str(size))
        self.ended = False
        self.missing: list[int] | None = None
        self.image_from: int | None = None
        self.image_missing = False
        self.process = subprocess.Popen(
            [guard, "receive", apps, shipment.app, name or shipment.name, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def offer(self) -> list[str] | None:
        """Send the listing. Returns the paths that the device lacks; None when it has the bundle already."""
        self.send_listing()
        while (line := self.read_line()).startswith(b"wait "):
            pass
        if not line.startswith(b"send "):
            assert line in (b"whole\n", b"image missing\n", b""), line
            self.image_missing = line == b"image missing\n"
            return None
        assert self.read_line().startswith(b"free ")
        self.compressed = self.read_line() == b"as tar.gz\n"
        if self.shipment.image is not None and not self.shipment.image.entries:
            told = self.read_line().removeprefix(b"image ").strip()
            self.image_from = int(told) if told.isdigit() else None
        self.missing = [int(self.read_line()) for _ in range(int(line[5:]))]
        return [self.shipment.entries[number].path for number in self.missing]

    def send_listing(self) -> None:
        assert self.process.stdin is not None
        listing = dump_listing(self.shipment.entries)
        self.process.stdin.write(b"%d\n" % len(listing) + listing)
        self.process.stdin.flush()

    def read_line(self) -> bytes:
        assert self.process.stdout is not None
        return bytes(self.process.stdout.readline())

    def send(self, *, cut: int | None = None) -> int:
        """Send what is missing (only *cut* bytes of it, if given). Returns the exit code."""
        assert self.process.stdin is not None
        archive = b"".join(pack(self.shipment, self.missing)) if self.missing else b""
        if self.compressed:
            archive = gzip.compress(archive, 0)
        if self.image_from is not None and self.shipment.image is not None:
            archive = b"".join(read_image(self.shipment.image, self.image_from)) + archive
        self.process.stdin.write(archive[:cut])
        return self.end()

    @property
    def asked(self) -> bool:
        """Whether it waits for anything to be sent."""
        return self.missing is not None

    def end(self) -> int:
        self.ended = True
        with self.process:
            self.stdout, self.stderr = self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def receiver(guard: Path, tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    started: list[Receiver] = []

    def start(shipment: Shipment, *words: str, name: str | None = None, program: Path = guard) -> Receiver:
        started.append(Receiver(program, tmp_path / "apps", shipment, *words, name=name))
        return started[-1]

    yield start
    for one in started:
        if not one.ended:
            one.process.kill()
            one.end()


@pytest.fixture
def ship() -> Callable[..., Shipment]:
    """Makes a shipment of a folder's files."""

    def make(root: Path, app: str = "doorbell", **extra: bytes) -> Shipment:
        return plan_shipment(app, root, list_tree(root), extra_files=extra)

    return make
