"""Clients that say what no library says. The service goes on, and other clients don't notice."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from .lines import CREATE, LIST, Line, create, setting

if TYPE_CHECKING:
    from .conftest import Service

pytestmark = pytest.mark.starts_processes
SEED, ROUNDS = 20261201, 400
NAMES = (
    *("format", "width", "height", "rotation", "framerate", "channel", "input", "buffer.count", "buffer.strategy"),
    *("resolution", "subformat", "image.fit", "compression", "gop_length", "x" * 255, ""),
)
GIVE = struct.Struct("2I")
FLOATS = (0.0, -1.0, 1e308, 1e-300, 0.5, 30.0, float("nan"), float("inf"))
# Kinds of value: shared/vdo_line.h.
INTEGERS, REAL, TEXT, ARRAY = (0, 1, 2), 3, 4, 5


def is_served(service: Service) -> bool:
    """Whether another client gets a picture."""
    with Line(service.path) as line:
        if not line.hello("vdo"):
            return False
        line.send(CREATE, 0, create(snapshot=1, settings=setting("format", 2)))
        answer = line.receive()
        assert answer is not None
        for fd in answer[3]:
            os.close(fd)
        return answer[1] == 0


def random_number(source: random.Random) -> int:
    known = (0, 1, 2, 3, 16, 64, 65, 90, 128, 320, 1920, 65535, 2**31 - 1, 2**32 - 1)
    return source.choice((*known, source.getrandbits(32)))


def random_setting(source: random.Random) -> bytes:
    kind = source.choice((*INTEGERS, REAL, TEXT, ARRAY, 77))
    if kind in INTEGERS:
        value = struct.pack("q", source.choice((random_number(source), -1, 2**63 - 1)))
    elif kind == REAL:
        value = struct.pack("d", source.choice(FLOATS))
    else:
        noise = source.randbytes(source.randrange(40))
        value = source.choice((b"Y800", b"crop", b"", noise, struct.pack("2I", 320, 240)))
    return setting(source.choice(NAMES), value, kind)


def random_content(source: random.Random, kind: int) -> bytes:
    if kind == CREATE:
        settings = b"".join(random_setting(source) for _ in range(source.randrange(8)))
        numbers = [random_number(source) for _ in range(5)] if source.random() < 0.3 else [1, 1, 0, 0, 0]
        return create(*numbers, settings=settings)
    if source.random() < 0.3:
        return source.randbytes(source.randrange(300))
    return struct.pack("8I", *(random_number(source) for _ in range(8))) + source.randbytes(source.randrange(200))


def random_shapes(source: random.Random) -> bytes:
    head = struct.pack("18I", source.choice((0, 0, 1, 7)), source.choice((0, 1, 2, 16, 17, 2**31)), *range(16))
    shapes = b""
    for _ in range(source.randrange(20)):
        count, thickness = source.choice((0, 1, 2, 5, 64, 65, 255)), source.choice((0, 2, 8, 16, 255))
        shapes += source.randbytes(4) + bytes((thickness, source.randrange(2), source.randrange(2), count))
        points = [source.choice((*FLOATS, source.random())) for _ in range(2 * source.choice((count, count, 1)))]
        shapes += struct.pack(f"{len(points)}f", *(point if abs(point) < 1e38 else 1e38 for point in points))
    return head + shapes[: source.choice((len(shapes), len(shapes), source.randrange(len(shapes) + 1)))]


def play(service: Service, source: random.Random) -> None:
    """Be one client, until the line ends or it has nothing to say any more."""
    engine = source.choice(("vdo", "vdo", "bbox", "axoverlay2"))
    with Line(service.path) as line, contextlib.suppress(OSError):
        assert line.hello(engine)
        frames: list[socket.socket] = []
        try:
            for number in range(source.randrange(1, 25)):
                kind = source.randrange(14, 33)
                if engine == "vdo" and number == 0 and source.random() < 0.8:
                    kind = CREATE
                if engine != "vdo" and source.random() < 0.9:
                    kind = source.randrange(16, 21)
                data = random_shapes(source) if engine != "vdo" and kind == 16 else random_content(source, kind)
                line.send(kind, source.randrange(-2, 3), data, [0] * source.choice((0, 0, 0, 1, 128)))
                answer = line.receive()
                if answer is None:
                    return
                for fd in answer[3]:
                    keep = engine == "vdo" and kind == CREATE
                    frames.append(socket.socket(fileno=fd)) if keep else os.close(fd)
                for one in frames:
                    one.send(source.choice((GIVE.pack(random_number(source), random_number(source)), b"?", b"")))
        finally:
            for one in frames:
                one.close()


def test_random_messages_do_not_end_the_service(service: Service) -> None:
    source = random.Random(SEED)
    for number in range(ROUNDS):
        play(service, source)
        if number % 50 == 0:
            assert is_served(service)
    assert is_served(service)


def test_memory_of_the_service_cannot_be_made_shorter_by_a_client(service: Service) -> None:
    """Otherwise, the service would end when it draws."""
    with Line(service.path) as line:
        assert line.hello("vdo")
        line.send(CREATE, 0, create(settings=setting("format", 3)))
        answer = line.receive()
        assert answer is not None
        with socket.socket(fileno=answer[3][0]):
            line.send(17)
            slots = line.receive()
            assert slots is not None
            for fd in slots[3]:
                with pytest.raises(PermissionError):
                    os.ftruncate(fd, 0)
                os.close(fd)
    assert is_served(service)


def test_client_that_reads_nothing_stops_no_other(service: Service) -> None:
    with Line(service.path) as line:
        assert line.hello("vdo")
        line.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(5000):
                line.send(LIST)
        assert is_served(service)
