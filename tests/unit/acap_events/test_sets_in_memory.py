"""Public programs look into a set of keys themselves, as pandosme/make_acap does: the library has no list of them."""

from __future__ import annotations

import ctypes as c

import pytest
from tests.unit.acap_video.conftest import NEWEST, STAND_INS

INT, BOOL, DOUBLE, STRING = range(4)


class Name(c.Structure):
    _fields_ = (("name_space", c.c_char_p), ("key", c.c_char_p))


class Value(c.Structure):
    _fields_ = (
        ("integer", c.c_int),
        ("boolean", c.c_int),
        ("real", c.c_double),
        ("text", c.c_char_p),
        ("element", c.c_void_p),
        ("element_text", c.c_char_p),
        ("tags", c.c_void_p),
        ("nice_key", c.c_char_p),
        ("nice_value", c.c_char_p),
        ("exists", c.c_int),
        ("is_data", c.c_int),
        ("kind", c.c_int),
    )


SEE = c.CFUNCTYPE(None, c.POINTER(Name), c.POINTER(Value), c.c_void_p)


@pytest.fixture(scope="module")
def library() -> c.CDLL:
    library = c.CDLL(str(STAND_INS / NEWEST / "libaxevent.so.1"))
    library.ax_event_key_value_set_new.restype = c.c_void_p
    return library


def look(address: int) -> dict[tuple[bytes | None, bytes], object]:
    glib = c.CDLL("libglib-2.0.so.0")
    table = c.c_void_p.from_address(address)
    found: dict[tuple[bytes | None, bytes], object] = {}

    @SEE  # type: ignore[untyped-decorator]
    def see(name: c._Pointer[Name], value: c._Pointer[Value], _data: int) -> None:
        one = value.contents
        values = {INT: one.integer, BOOL: bool(one.boolean), DOUBLE: one.real, STRING: one.text}
        key = (name.contents.name_space, name.contents.key)
        found[key] = (values[one.kind] if one.exists else None, bool(one.is_data), one.nice_key)

    glib.g_hash_table_foreach(table, see, None)
    return found


def test_table_of_a_set_has_its_names_and_values(library: c.CDLL) -> None:
    address = library.ax_event_key_value_set_new()
    keys = c.c_void_p(address)

    def add(key: bytes, space: bytes | None, value: object, kind: int) -> None:
        assert library.ax_event_key_value_set_add_key_value(keys, key, space, value, kind, None)

    assert look(address) == {}
    add(b"topic0", b"tnsaxis", c.c_char_p(b"CameraApplicationPlatform"), STRING)
    add(b"state", None, c.byref(c.c_int(1)), BOOL)
    add(b"level", None, c.byref(c.c_double(2.5)), DOUBLE)
    add(b"count", None, c.byref(c.c_int(7)), INT)
    add(b"count", None, c.byref(c.c_int(8)), INT)  # in the place of the first
    add(b"open", None, None, INT)
    assert library.ax_event_key_value_set_mark_as_data(keys, b"state", None, None)
    assert library.ax_event_key_value_set_add_nice_names(keys, b"state", None, b"State", None, None)
    assert look(address) == {
        (b"tnsaxis", b"topic0"): (b"CameraApplicationPlatform", False, None),
        (None, b"state"): (True, True, b"State"),
        (None, b"level"): (2.5, False, None),
        (None, b"count"): (8, False, None),
        (None, b"open"): (None, False, None),
    }
    assert library.ax_event_key_value_set_remove_key(keys, b"level", None, None)
    assert (None, b"level") not in look(address)
    library.ax_event_key_value_set_free(keys)
