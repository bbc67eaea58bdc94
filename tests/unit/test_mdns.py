"""Cameras answer a question by multicast DNS; whatever else answers is bounded, and never more than text."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.schemas import check_output

from incamera.__main__ import main
from incamera.connect.choose import devices_folder
from incamera.context import Context, SilentReporter
from incamera.device.registry import add_web_device
from incamera.mdns import SERVICE, Answer, discover, dump_question, parse_answers
from incamera.vapix.address import WebAddress, WebDevice

NUMBER = 7
A, PTR, TXT, SRV = 1, 12, 16, 33


def encode(*labels: str) -> bytes:
    return b"".join(bytes([len(label.encode())]) + label.encode() for label in labels) + b"\0"


SERVICE_NAME = encode(*SERVICE.split("."))


def record(owner: bytes, kind: int, value: bytes) -> bytes:
    return owner + struct.pack(">2HIH", kind, 1, 120, len(value)) + value


def message(*records: bytes, number: int = NUMBER, flags: int = 0x8400) -> bytes:
    return struct.pack(">6H", number, flags, 0, len(records), 0, 0) + b"".join(records)


def camera(serial: str, *, port: int = 443, address: str = "192.0.2.7", number: int = NUMBER) -> bytes:
    """Return the answer of a camera, with the pointers to names before that real ones have."""
    name, host = f"AXIS Q1.5 - {serial}", f"axis-{serial.lower()}"
    first = SERVICE_NAME + struct.pack(">2HIH", PTR, 1, 120, len(encode(name)) + 1) + encode(name)[:-1] + b"\xc0\x0c"
    instance = b"\xc0" + bytes([12 + len(SERVICE_NAME) + 10])
    text = f"macaddress={serial}".encode()
    return message(
        first,
        record(instance, SRV, struct.pack(">3H", 0, 0, port) + encode(host, "local")),
        record(instance, TXT, bytes([len(text)]) + text),
        record(encode(host.upper(), "local"), A, socket.inet_aton(address)),
        number=number,
    )


def test_camera_is_known_by_its_answer() -> None:
    assert parse_answers(camera("ACCC8E000001"), "192.0.2.99", NUMBER) == [
        Answer(
            name="AXIS Q1.5 - ACCC8E000001",
            host="axis-accc8e000001.local",
            address="192.0.2.7",
            port=443,
            serial="ACCC8E000001",
        )
    ]


def test_what_an_answer_lacks_is_taken_from_its_sender_or_left_out() -> None:
    data = message(record(SERVICE_NAME, PTR, encode("My\x1b[31m camera", *SERVICE.split("."))))
    (answer,) = parse_answers(data, "192.0.2.99", NUMBER)
    assert answer == Answer(name="My?[31m camera", address="192.0.2.99", port=80)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        dump_question(NUMBER),
        camera("ACCC8E000001", number=8),
        camera("ACCC8E000001")[:-3],
        message(record(b"\xc0\x0c", PTR, SERVICE_NAME)),  # a name that is its own rest
        message(record(b"\x01a\xc0\x0c" * 9, PTR, SERVICE_NAME)),
        struct.pack(">6H", NUMBER, 0x8400, 0, 65535, 0, 0) + SERVICE_NAME,
        message(record(encode("_printer", "_tcp", "local"), PTR, encode("x"))),
    ],
)
def test_what_is_no_answer_of_a_camera_is_ignored(data: bytes) -> None:
    assert parse_answers(data, "192.0.2.99", NUMBER) == []


def test_damaged_answers_give_text_or_nothing() -> None:
    chance = random.Random(5)
    whole = camera("ACCC8E000001")
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        for answer in parse_answers(bytes(data[: chance.randrange(len(data) + 1)]), "192.0.2.99", NUMBER):
            assert answer.name.isprintable()
            assert answer.address


@contextlib.contextmanager
def responder(serial: str) -> Iterator[None]:
    """Answer questions on loopback as a camera would: to the sender alone, with the number of its question."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        heard.bind(("224.0.0.251", 5353))
        index = socket.if_nametoindex("lo")
        heard.setsockopt(
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            socket.inet_aton("224.0.0.251") + struct.pack("@4si", bytes(4), index),
        )
        heard.settimeout(0.2)
        ended = threading.Event()

        def answer() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    question, sender = heard.recvfrom(9000)
                    (number,) = struct.unpack_from(">H", question)
                    if question == dump_question(number):
                        out.sendto(b"rubbish", sender)
                        out.sendto(camera(serial, address="127.0.0.1", number=number), sender)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_discovery_lists_who_answers_and_under_which_name_it_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    serial = f"{random.SystemRandom().randrange(1 << 48):012X}"
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path))
    address = WebAddress(host="127.0.0.1", port=443, user="root", certificate="0" * 64)
    add_web_device(devices_folder(Context.open(SilentReporter())), WebDevice(name="gate", address=address))
    command = ["device", "discover", "--interface", "lo", "--seconds", "1.5", "--json"]
    with responder(serial):
        assert main(command) == 0
    output = capsysbinary.readouterr().out.decode()
    check_output(command, output)
    (one,) = [each for each in json.loads(output)["cameras"] if each["serial"] == serial]
    assert (one["address"], one["port"], one["host"]) == ("127.0.0.1", 443, f"axis-{serial.lower()}.local")
    assert one["devices"] == ["gate"]


def test_discovery_ends_in_time_however_much_is_answered() -> None:
    began = time.monotonic()
    discover(0.3, ["lo"])
    assert time.monotonic() - began >= 0.3


def test_unknown_interface_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "discover", "--interface", "nowhere0"]) == 2
    assert 'no network interface "nowhere0"' in capsys.readouterr().err
