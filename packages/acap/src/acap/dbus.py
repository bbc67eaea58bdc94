"""One call of a method on the system's D-Bus, with a text as its argument and its result. It needs no library."""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

_CALL, _RETURN, _ERROR = 1, 2, 3
# Fields of a message's header.
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_USUAL = "unix:path=/run/dbus/system_bus_socket"
_BUS = "org.freedesktop.DBus"
_MOST = 1 << 20


class Method(NamedTuple):
    """A method of an object on the bus."""

    destination: str
    path: str
    interface: str
    name: str


class BusError(OSError):
    """The bus cannot be reached, or the method has failed."""


def call(method: Method, argument: str, *, seconds: float = 10.0) -> str:
    """Call *method* with *argument*, and return the text that it answers. Raises BusError."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(_address())
            _log_in(connection)
            _ask(connection, 1, Method(_BUS, "/org/freedesktop/DBus", _BUS, "Hello"), None)
            return _ask(connection, 2, method, argument)
    except BusError:
        raise
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise BusError(f"D-Bus: {error}") from error


def _address() -> str:
    for part in os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", _USUAL).split(";"):
        if part.startswith("unix:path="):
            return part.removeprefix("unix:path=").partition(",")[0]
    raise BusError("D-Bus: the address of the system's bus is no unix:path")


def _log_in(connection: socket.socket) -> None:
    user = str(os.getuid()).encode().hex()
    connection.sendall(f"\0AUTH EXTERNAL {user}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n"):
        data = connection.recv(256)
        if not data or len(answer) > 4096:
            raise BusError("D-Bus: the bus ended the login")
        answer += data
    if not answer.startswith(b"OK "):
        raise BusError(f"D-Bus: the bus refused the login: {answer.decode('latin-1').strip()}")
    connection.sendall(b"BEGIN\r\n")


def _ask(connection: socket.socket, serial: int, method: Method, argument: str | None) -> str:
    connection.sendall(_render_call(serial, method, argument))
    while True:
        kind, fields, body = _read_message(connection)
        if fields.get(_REPLY) != serial:
            continue  # a signal, or the like
        text = _text(body) if str(fields.get(_SIGNATURE, "")).startswith("s") else ""
        if kind == _ERROR:
            raise BusError(f"{fields.get(_ERROR_NAME, 'D-Bus')}: {text or 'the call failed'}")
        if kind == _RETURN:
            return text


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def _text(body: bytes) -> str:
    (size,) = struct.unpack_from("<I", body)
    return body[4 : 4 + size].decode("utf-8", "replace")


def _pad(data: bytes, step: int) -> bytes:
    return data + b"\0" * (-len(data) % step)


def _render_call(serial: int, method: Method, argument: str | None) -> bytes:
    body = b"" if argument is None else _string(argument)
    fields = [(_PATH, b"o", method.path), (_INTERFACE, b"s", method.interface), (_MEMBER, b"s", method.name)]
    fields.append((_DESTINATION, b"s", method.destination))
    array = b""
    for code, signature, text in fields:
        array = _pad(array, 8) + bytes([code, 1]) + signature + b"\0" + _string(text)
    if body:
        array = _pad(array, 8) + bytes([_SIGNATURE, 1]) + b"g\0" + b"\1s\0"
    start = struct.pack("<cBBBIII", b"l", _CALL, 0, 1, len(body), serial, len(array))
    return _pad(start + array, 8) + body


def _read_message(connection: socket.socket) -> tuple[int, dict[int, int | str], bytes]:
    start = _receive(connection, 16)
    if start[:1] != b"l":
        raise BusError("D-Bus: a message in an unknown byte order")
    kind = start[1]
    size, _, array = struct.unpack_from("<III", start, 4)
    if max(size, array) > _MOST:
        raise BusError("D-Bus: a message is too long")
    header = _receive(connection, array + -(16 + array) % 8)[:array]
    return kind, _parse_fields(header), _receive(connection, size)


def _parse_fields(header: bytes) -> dict[int, int | str]:
    fields: dict[int, int | str] = {}
    at = 0
    while at < len(header):
        code, length = header[at], header[at + 1]
        signature = header[at + 2 : at + 2 + length]
        at += 3 + length
        if signature == b"g":
            size = header[at]
            fields[code] = header[at + 1 : at + 1 + size].decode()
            at += size + 2
        else:
            at += -at % 4
            (number,) = struct.unpack_from("<I", header, at)
            at += 4
            if signature == b"u":
                fields[code] = number
            else:
                fields[code] = header[at : at + number].decode("utf-8", "replace")
                at += number + 1
        at += -at % 8
    return fields


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise BusError("D-Bus: the bus closed the connection")
        data += part
    return data
