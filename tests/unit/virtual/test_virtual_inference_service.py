"""The process that runs a virtual camera's models: what it answers, and what ends it."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import pytest

from incamera.virtual.host_process import Gone, Line
from incamera.virtual.inference_service import GREETING, LOAD, RUN, UNLOAD, Service
from incamera.virtual.litert import BadModel, LiteRt, Tensor

TOKEN = b"12345678"
TWO = [Tensor("one", 3, (1, 2), 2), Tensor("other", 12, (1,), 4)]


class Doubler:
    """A model with two inputs, whose outputs are the inputs in the other order."""

    inputs, outputs = TWO, [TWO[1], TWO[0]]
    closed = 0

    def run(self, values: Sequence[Any]) -> list[bytes]:
        return [bytes(values[1]), bytes(values[0])]

    def close(self) -> None:
        Doubler.closed += 1


class FakeLiteRt:
    """Loads what begins with `good`."""

    def load(self, data: bytes) -> Doubler:
        if not data.startswith(b"good"):
            raise BadModel("LiteRT refuses it")
        return Doubler()


class Client:
    """The other side of the line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(30)

    def greet(self, before: bytes = b"") -> None:
        self.connection.sendall(before + GREETING + TOKEN)
        assert self.receive(len(GREETING) + 8) == GREETING + TOKEN

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def ask(self, kind: int, number: int = 0, data: bytes = b"") -> tuple[int, int, bytes]:
        self.connection.sendall(struct.pack("<IIQ", kind, number, len(data)) + data)
        code, number, size = struct.unpack("<IIQ", self.receive(16))
        return code, number, self.receive(size)


def open_fake() -> LiteRt:
    return cast("LiteRt", FakeLiteRt())


@contextmanager
def serving(open_litert: Any = open_fake) -> Iterator[Client]:
    ours, theirs = socket.socketpair()
    ended = []

    def serve() -> None:
        with theirs:
            try:
                Service(Line(theirs), open_litert).serve()
            except Gone:
                ended.append(True)

    # `signal.alarm` works in any thread; its signal would end the test.
    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield Client(ours)
    thread.join(30)
    assert ended == [True]


def test_model_is_loaded_run_and_unloaded() -> None:
    before = Doubler.closed
    with serving() as client:
        client.greet()
        code, number, told = client.ask(LOAD, data=b"good model")
        assert (code, told[:8]) == (0, struct.pack("<II", 2, 2))
        name, type, rank, *dims = struct.unpack("<64sII6I", told[8:104])
        assert (name.rstrip(b"\0"), type, rank, dims) == (b"one", 3, 2, [1, 2, 0, 0, 0, 0])
        assert client.ask(RUN, number, b"abWXYZ") == (0, number, b"WXYZab")
        assert client.ask(UNLOAD, number) == (0, number, b"")
        assert client.ask(RUN, number, b"abWXYZ")[0] == 1
    assert Doubler.closed == before + 1


def test_errors_are_texts_and_the_line_goes_on() -> None:
    with serving() as client:
        client.greet()
        assert client.ask(LOAD, data=b"bad") == (1, 0, b"LiteRT refuses it")
        _, number, _ = client.ask(LOAD, data=b"good")
        for data in (b"", b"abcde", b"abcdefg"):
            assert client.ask(RUN, number, data) == (1, number, b"the inputs have another size than the model's")
        assert client.ask(RUN, number + 1, b"abWXYZ")[2] == b"there is no such model"
        assert client.ask(RUN, number, b"abWXYZ")[0] == 0


def test_greeting_ends_what_was_cut_off() -> None:
    with serving() as client:
        client.greet(before=struct.pack("<IIQ", RUN, 1, 100) + GREETING[:-3])
        assert client.ask(LOAD, data=b"good")[0] == 0


def test_further_greeting_is_answered() -> None:
    with serving() as client:
        client.connection.sendall(GREETING + b"firsttok" + GREETING + TOKEN)
        assert client.receive(2 * len(GREETING) + 16) == GREETING + b"firsttok" + GREETING + TOKEN
        assert client.ask(LOAD, data=b"good")[0] == 0


def test_models_are_limited() -> None:
    with serving() as client:
        client.greet()
        answers = [client.ask(LOAD, data=b"good") for _ in range(65)]
        assert [code for code, *_ in answers] == [0] * 64 + [1]
        client.ask(UNLOAD, answers[0][1])
        assert client.ask(LOAD, data=b"good")[0] == 0


@pytest.mark.parametrize("request_", [(9, 0, 0), (LOAD, 0, 1 << 40), (RUN, 0, (256 << 20) + 1)])
def test_other_language_ends_the_line(request_: tuple[int, int, int]) -> None:
    with serving() as client:
        client.greet()
        client.connection.sendall(struct.pack("<IIQ", *request_))
        with pytest.raises(ConnectionError):
            client.receive(1)


def test_missing_litert_is_told_each_time() -> None:
    def fail() -> LiteRt:
        raise BadModel("it needs LiteRT, which is not there")

    with serving(fail) as client:
        client.greet()
        for _ in range(2):
            assert client.ask(LOAD, data=b"good") == (1, 0, b"it needs LiteRT, which is not there")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_requests_end_the_line_or_get_an_answer(seed: int) -> None:
    chance = random.Random(seed)
    with serving() as client:
        client.greet()
        stream = bytearray()
        for _ in range(20):
            data = chance.choice([b"good", b"bad", b"abWXYZ", b""])
            stream += struct.pack("<IIQ", chance.choice([LOAD, RUN, UNLOAD]), chance.randrange(3), len(data)) + data
        for _ in range(chance.randrange(4)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        client.connection.sendall(stream)
        client.connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):  # it did not read the rest
            while client.connection.recv(65536):
                pass
