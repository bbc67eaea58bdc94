"""The launcher and the guard, as built for this computer."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.guard.answers import parse_answer
from incamera.guard.packing import Packing, end_archive, frame, make_compressor
from incamera.guard.sync import Shipment, archive_ending, dump_listing, pack, plan_shipment, read_image
from incamera.runtime.launcher import require_launcher
from incamera.runtime.launcher.protocol import Answer, Complete, Verb, Waiting, Wanted
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
    """`guard receive` with its standard input and output in hand, as over SSH.

    `missing` are the numbers of the entries that it wants, None if it wants nothing; `image_from` is the first byte of
    the image that it wants, None if it wants none; `answers` is all that it has answered.
    """

    def __init__(self, guard: Path, apps: Path, shipment: Shipment, *words: str, name: str | None = None) -> None:
        self.apps = apps
        self.shipment = shipment
        image = shipment.image
        if image is not None:
            size = len(image.entries) if image.entries else image.size
            words = (*words, "tree" if image.entries else "image", image.file, str(size))
        self.code: int | None = None
        self.missing: list[int] | None = None
        self.packings: tuple[str, ...] = ()
        self.image_from: int | None = None
        self.answers: list[Answer] = []
        self.process = subprocess.Popen(
            [guard, Verb.receive, apps, shipment.app, name or shipment.name, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def offer(self) -> list[str] | None:
        """Send the listing. Returns the paths that the device lacks; None when it wants nothing."""
        self.send_listing()
        answer = self.await_turn()
        if isinstance(answer, Wanted):
            self.missing = [number for first, last in answer.missing for number in range(first, last + 1)]
            self.packings, self.image_from = answer.packings, answer.image_from
            assert answer.free
            return [self.shipment.entries[number].path for number in self.missing]
        assert answer is None or isinstance(answer, Complete)
        return None

    def send_listing(self) -> None:
        assert self.process.stdin is not None
        listing = dump_listing(self.shipment.entries)
        self.process.stdin.write(b"%d\n" % len(listing) + listing)
        self.process.stdin.flush()

    def read_answer(self) -> Answer | None:
        """Return what the guard says next, None at the end."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return None
        self.answers.append(parse_answer(line))
        return self.answers[-1]

    def await_turn(self) -> Answer | None:
        """Return the first answer that does not say that it waits for another deploy."""
        while isinstance(answer := self.read_answer(), Waiting):
            pass
        return answer

    def send(self, *, cut: int | None = None, packings: Sequence[Packing] = (Packing.none,)) -> int:
        """Send what is missing (only *cut* bytes of it, if given), each group of files with the next of *packings*.

        Returns the exit code.
        """
        assert self.process.stdin is not None
        archive = b""
        missing = self.missing or []
        for number, packing in enumerate(packings):
            part = missing[number :: len(packings)]
            compressor = make_compressor(packing)
            data = compressor.compress(b"".join(pack(self.shipment, part, packing)) + archive_ending(packing))
            data += compressor.flush()
            archive += b"".join(frame(data)) + end_archive() if part else b""
        if self.image_from is not None and self.shipment.image is not None:
            archive = b"".join(read_image(self.shipment.image, self.image_from)) + archive
        with suppress(BrokenPipeError):
            self.process.stdin.write(archive[:cut])
        return self.end()

    def finish(self) -> int:
        """Send what is missing, if anything is. Returns the exit code."""
        return self.send() if self.missing is not None and self.code is None else self.end()

    @property
    def complete(self) -> Complete | None:
        return next((answer for answer in self.answers if isinstance(answer, Complete)), None)

    @property
    def repaired(self) -> bool:
        """Whether it has said that something there was damaged, and has been replaced."""
        return self.complete is not None and self.complete.repaired

    def end(self) -> int:
        """Close its standard input, and return its exit code."""
        if self.code is None:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            assert self.process.stderr is not None
            timer = threading.Timer(PATIENCE_SECONDS, self.process.kill)
            timer.start()
            # Not by `communicate`, which misses what a line that was read brought along.
            with self.process:
                with suppress(BrokenPipeError):
                    self.process.stdin.close()
                stdout, self.stderr = self.process.stdout.read(), self.process.stderr.read()
            timer.cancel()
            self.code = self.process.returncode
            self.answers += map(parse_answer, stdout.splitlines())
        return self.code


@pytest.fixture
def receiver(guard: Path, tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    started: list[Receiver] = []

    def start(shipment: Shipment, *words: str, name: str | None = None, program: Path = guard) -> Receiver:
        started.append(Receiver(program, tmp_path / "apps", shipment, *words, name=name))
        return started[-1]

    yield start
    for one in started:
        if one.code is None:
            one.process.kill()
            one.end()


class SlowRemoval:
    """The next deploy stops while it removes runtimes that no bundle names: one bundle's `image` is a named pipe."""

    def __init__(self, apps: Path) -> None:
        (apps / ".images" / "unused").mkdir(parents=True)
        self._pipe = apps / "other" / "bundle" / "image"
        self._pipe.parent.mkdir(parents=True)
        os.mkfifo(self._pipe)
        self._writer = -1

    def await_start(self) -> None:
        """Wait until a deploy has begun to read the pipe."""
        wait_until(self._has_reader, "old runtimes are removed")

    def go_on(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
        self._writer = -1

    def _has_reader(self) -> bool:
        with suppress(OSError):
            self._writer = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
        return self._writer >= 0


@pytest.fixture
def slow_removal(tmp_path: Path) -> Iterator[SlowRemoval]:
    removal = SlowRemoval(tmp_path / "apps")
    yield removal
    removal.go_on()


@pytest.fixture
def ship() -> Callable[..., Shipment]:
    """Makes a shipment of a folder's files."""

    def make(root: Path, app: str = "doorbell", **extra: bytes) -> Shipment:
        return plan_shipment(app, root, list_tree(root), extra_files=extra)

    return make
