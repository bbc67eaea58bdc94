"""Ask the local network which cameras there are, by multicast DNS (RFC 6762, 6763), with one question.

Anybody in the network may answer, with anything. So what comes back is bounded in size, number and time, and is only
shown: nothing connects to it.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

SERVICE = "_axis-video._tcp.local"
_GROUP, _PORT = "224.0.0.251", 5353
_PTR, _TXT, _A, _AAAA, _SRV, _IN = 12, 16, 1, 28, 33, 1
_ANSWER = 0x8000
_WEB_PORT = 80
# The largest message (RFC 6762, section 17), and how much of such answers is read.
_MOST_BYTES = 9000
_MOST_RECORDS = 200
_MOST_MESSAGES = 2000
_MOST_CAMERAS = 500
_MOST_LABELS = 64
_MOST_LETTERS = 200
_ASKED_AGAIN = 1.0
_MAC = re.compile(r"[0-9A-F]{12}")
_HOST = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody says of a camera: its *name*, *host* name, *address*, *port*, and the *serial* number; "" for none.

    The address is what the answer names, else the one that it came from.
    """

    name: str
    address: str
    port: int
    host: str = ""
    serial: str = ""


class _Bad(Exception):
    """A message that is not as RFC 1035 describes it."""


def list_interfaces() -> list[str]:
    """Return the names of this computer's network interfaces."""
    return [name for _, name in socket.if_nameindex()]


def discover(seconds: float, interfaces: Sequence[str] | None = None) -> list[Answer]:
    """Return the cameras that answer within *seconds*, by name. Raises OSError when no interface can be asked.

    *interfaces*: the names of those that are asked; by default, all.
    """
    number = int.from_bytes(os.urandom(2))
    question = dump_question(number)
    found: dict[tuple[str, str], Answer] = {}
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in _open(interfaces)]
        asked = [one for one in sockets if _ask(one, question)]
        if not asked:
            raise OSError("no network interface takes the question")
        selector = stack.enter_context(selectors.DefaultSelector())
        for one in asked:
            selector.register(one, selectors.EVENT_READ)
        end = time.monotonic() + seconds
        again = time.monotonic() + _ASKED_AGAIN
        messages = 0
        while (left := end - time.monotonic()) > 0 and messages < _MOST_MESSAGES and len(found) < _MOST_CAMERAS:
            for key, _ in selector.select(min(left, max(0.0, again - time.monotonic()) or left)):
                assert isinstance(key.fileobj, socket.socket)
                with contextlib.suppress(OSError):
                    data, (sender, *_) = key.fileobj.recvfrom(_MOST_BYTES)
                    messages += 1
                    for answer in parse_answers(data, sender, number):
                        found.setdefault((answer.name, answer.address), answer)
            if time.monotonic() >= again:
                again = end
                for one in asked:
                    _ask(one, question)
    return sorted(found.values(), key=lambda answer: (answer.name, answer.address))


def _open(interfaces: Sequence[str] | None) -> Iterator[socket.socket]:
    """Yield a socket for each interface."""
    for index, name in socket.if_nameindex():
        if interfaces is None or name in interfaces:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setblocking(False)
            # An ip_mreqn: no group, no address, the number of the interface.
            with contextlib.suppress(OSError):
                request = struct.pack("@4s4si", bytes(4), bytes(4), index)
                one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            yield one


def _ask(one: socket.socket, question: bytes) -> bool:
    try:
        one.sendto(question, (_GROUP, _PORT))
    except OSError:  # it has no address, or is down
        return False
    return True


def dump_question(number: int) -> bytes:
    """Return the message that asks for cameras. From any port but 5353, answers come to us alone."""
    name = b"".join(bytes([len(label)]) + label.encode() for label in SERVICE.split(".")) + b"\0"
    return struct.pack(">6H", number, 0, 1, 0, 0, 0) + name + struct.pack(">2H", _PTR, _IN)


def parse_answers(data: bytes, sender: str, number: int) -> list[Answer]:
    """Return the cameras in the message *data* from the address *sender*; none where it does not answer *number*."""
    try:
        records = list(_Message(data).records(number))
    except (_Bad, struct.error, IndexError):
        return []
    names = [
        name for kind, owner, name in records if kind == _PTR and owner.lower() == SERVICE and isinstance(name, str)
    ]
    services: dict[str, tuple[str, int]] = {}
    serials: dict[str, str] = {}
    addresses: dict[str, list[str]] = {}
    for kind, name, value in records:
        owner = name.lower()
        if kind == _SRV and isinstance(value, tuple):
            services[owner] = value
        elif kind == _TXT and isinstance(value, dict):
            serials[owner] = value.get("macaddress", "").upper()
        elif kind in (_A, _AAAA) and isinstance(value, str):
            addresses.setdefault(owner, []).append(value)
    answers = []
    for name in dict.fromkeys(names):
        host, port = services.get(name.lower(), ("", _WEB_PORT))
        known = sorted(addresses.get(host.lower(), []), key=lambda address: ":" in address)
        serial = serials.get(name.lower(), "")
        answers.append(
            Answer(
                name=_printable(name[: -len(SERVICE) - 1] if name.lower().endswith(f".{SERVICE}") else name),
                host=host if _HOST.fullmatch(host) else "",
                address=known[0] if known else sender,
                port=port,
                serial=serial if _MAC.fullmatch(serial) else "",
            )
        )
    return answers


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_LETTERS])


class _Message:
    """A DNS message. Raises _Bad, struct.error or IndexError where it is not as it should be."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 12

    def records(self, number: int) -> Iterator[tuple[int, str, object]]:
        """Yield type, owner and value of each record of an answer to question *number*."""
        found, flags, questions, *counts = struct.unpack_from(">6H", self._data)
        if not flags & _ANSWER or found not in (number, 0) or questions + sum(counts) > _MOST_RECORDS:
            return
        for _ in range(questions):
            self._name()
            self._at += 4
        for _ in range(sum(counts)):
            owner = self._name()
            kind, _, _, length = struct.unpack_from(">2HIH", self._data, self._at)
            self._at += 10
            end = self._at + length
            if end > len(self._data):
                raise _Bad
            value = self._value(kind, end)
            self._at = end
            yield kind, owner, value

    def _value(self, kind: int, end: int) -> object:
        if kind == _PTR:
            return self._name()
        if kind == _SRV:
            _, _, port = struct.unpack_from(">3H", self._data, self._at)
            self._at += 6
            return self._name(), port
        if kind == _TXT:
            return self._texts(end)
        data = self._data[self._at : end]
        if kind == _A and len(data) == 4:
            return str(IPv4Address(data))
        return str(IPv6Address(data)) if kind == _AAAA and len(data) == 16 else None

    def _texts(self, end: int) -> Mapping[str, str]:
        found: dict[str, str] = {}
        while self._at < end:
            length = self._data[self._at]
            text = self._data[self._at + 1 : min(end, self._at + 1 + length)].decode("utf-8", "replace")
            name, _, value = text.partition("=")
            found.setdefault(name.lower(), value)
            self._at += 1 + length
        return found

    def _name(self) -> str:
        labels: list[str] = []
        self._at = self._labels(self._at, labels)
        return ".".join(labels)

    def _labels(self, at: int, labels: list[str]) -> int:
        """Add the labels of the name at *at*. Returns where it ends there; a pointer leads back to the rest of it."""
        end = 0
        while length := self._data[at]:
            if length >= 0xC0:
                end = end or at + 2
                target = int.from_bytes(self._data[at : at + 2]) & 0x3FFF
                if target >= at:  # each has to lead back, and the labels between are counted: so it ends
                    raise _Bad
                at = target
                continue
            if length > 63 or len(labels) >= _MOST_LABELS:
                raise _Bad
            labels.append(self._data[at + 1 : at + 1 + length].decode("utf-8", "replace"))
            at += 1 + length
        return end or at + 1
