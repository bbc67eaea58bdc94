"""Where Python code opens libraries by name: which calls are alternatives, and which only other systems reach."""

from __future__ import annotations

import pytest

from incamera.abi.checks.library_calls import LibraryCall, find_library_calls

IMPORTS = "import ctypes, os, platform, sys\nfrom ctypes import CDLL, cdll\nfrom ctypes.util import find_library\n"


def find(source: str) -> list[LibraryCall]:
    return find_library_calls("x.py", (IMPORTS + source).encode())


def groups(source: str) -> list[list[str | None]]:
    """The names in each set of alternatives."""
    choices: dict[int, list[str | None]] = {}
    for call in find(source):
        choices.setdefault(call.choice, []).append(call.name)
    return list(choices.values())


@pytest.mark.parametrize(
    "source",
    [
        "CDLL('a.so')",
        "CDLL(\n    'a.so',\n)",
        "CDLL (r'a.so')",
        "ctypes.CDLL(name='a.so')",
        "cdll['a.so']",
        "ctypes.cdll.LoadLibrary('a.so').go()",
        "x = [ctypes.PyDLL('a.so')]",
        "from ctypes import CDLL as Library\nLibrary('a.so')",
        "NAME = 'a.so'\nCDLL(NAME)",
        "def load():\n    return CDLL(NAME)\nNAME = 'a.so'",
        "class Library:\n    path = 'a.so'\n    def load(self):\n        self.lib = CDLL(self.path)",
        "if (lib := CDLL('a.so')).go():\n    pass",
        "with open('x') as stream:\n    CDLL('a.so')",
        "match x:\n    case 1:\n        CDLL('a.so')",
        "async def load():\n    return CDLL('a.so')",
        "CDLL('a.dll' if os.name == 'nt' else 'a.so')",
        "f = lambda: CDLL('a.so')",
    ],
)
def test_each_way_to_open_a_library_is_found(source: str) -> None:
    assert groups(source) == [["a.so"]]


@pytest.mark.parametrize("function", ["CDLL('{}')", "find_library('{}')", "ffi.dlopen('{}')"])
@pytest.mark.parametrize(
    "source",
    [
        "lib = A or B",
        "lib = A if x else B",
        "try:\n    lib = A\nexcept OSError:\n    lib = B",
        "lib = A\nif lib is None:\n    lib = B",
        "class X:\n    def __init__(self):\n        self.lib = A\n        if not self.lib:\n            self.lib = B",
        "if x:\n    lib = A\nelse:\n    lib = B",
        "def load():\n    if x:\n        return A\n    return B",
        "def names():\n    yield A\n    yield B",
        "try:\n    lib = A\nexcept OSError:\n    try:\n        lib = B\n    except OSError:\n        raise",
    ],
)
def test_alternatives_belong_together(source: str, function: str) -> None:
    assert groups(source.replace("A", function.format("a.so")).replace("B", function.format("b.so"))) == [
        ["a.so", "b.so"]
    ]


@pytest.mark.parametrize(
    "source",
    [
        "for name in ('a.so', 'b.so'):\n    try:\n        CDLL(name)\n        break\n    except OSError:\n        pass",
        "paths = [find_library('a.so'), find_library('b.so')]\nlib = CDLL(next(path for path in paths if path))",
        "path = next(filter(None, (find_library(name) for name in ['a.so', 'b.so'])))\nCDLL(path)",
    ],
)
def test_names_that_are_tried_in_turn_belong_together(source: str) -> None:
    named = [[name for name in group if name is not None] for group in groups(source)]
    assert [group for group in named if group] == [["a.so", "b.so"]]


@pytest.mark.parametrize(
    "source",
    [
        "CDLL('a.so')\nCDLL('b.so')",
        "lib = CDLL('a.so')\nlib.go()\nlib = CDLL('b.so')",
        "a, b = CDLL('a.so'), CDLL('b.so')",
        "libs = [CDLL('a.so'), CDLL('b.so')]",
        "def one():\n    return CDLL('a.so')\ndef other():\n    return CDLL('b.so')",
        "for name in ('a.so', 'b.so'):\n    libs.append(CDLL(name))",
    ],
)
def test_libraries_that_are_all_needed_are_apart(source: str) -> None:
    assert groups(source) in ([["a.so"], ["b.so"]], [["a.so", "b.so"]][: source.startswith("for")])


@pytest.mark.parametrize(
    "condition",
    [
        "sys.platform == 'win32'",
        "'win32' == sys.platform",
        "sys.platform in ('win32', 'cygwin')",
        "sys.platform.startswith('win')",
        "sys.platform.startswith(('win', 'darwin'))",
        "'darwin' in sys.platform",
        "os.name == 'nt'",
        "not os.name == 'posix'",
        "platform.system() == 'Windows'",
        "platform.system().lower() != 'linux'",
        "sys.platform != 'linux' and x",
        "platform.machine() == 'x86_64'",
    ],
)
def test_code_for_other_systems_opens_nothing_in_a_camera(condition: str) -> None:
    assert groups(f"if {condition}:\n    CDLL('a.so')\nelif x:\n    CDLL('b.so')") == [["b.so"]]
    assert groups(f"if not ({condition}):\n    lib = CDLL('b.so')\nelse:\n    lib = CDLL('a.so')") == [["b.so"]]


def test_what_follows_the_return_of_a_camera_is_for_other_systems() -> None:
    assert groups("def load():\n    if os.name == 'posix':\n        return CDLL('a.so')\n    return CDLL('b.so')") == [
        ["a.so"]
    ]


@pytest.mark.parametrize(
    "condition", ["x", "sys.version_info >= (3, 12)", "sys.platform == x", "sys.platform > 'win32'"]
)
def test_other_conditions_may_hold_in_a_camera(condition: str) -> None:
    assert groups(f"if {condition}:\n    CDLL('a.so')") == [["a.so"]]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("CDLL(find_library('z'))", ["z"]),
        ("CDLL(find_library('z') or 'libz.so.1')", ["libz.so.1", "z"]),
        ("path = find_library('z')\nlib = CDLL(path)", ["z"]),
        ("CDLL(None)", []),
        ("CDLL()", []),
        ("# CDLL('a.so')\ntext = \"CDLL('b.so')\"", []),
        ("CDLL(os.path.join(here, 'a.so'))", [None]),
        ("def load(name):\n    return CDLL(name)", [None]),
        ("name = 'a.so'\nname += x\nCDLL(name)", ["a.so", None]),
        ("for name in os.listdir('.'):\n    CDLL(name)", [None]),
        ("CDLL(f'{x}.so')", [None]),
    ],
)
def test_names_that_are_literal_found_or_computed(source: str, names: list[str | None]) -> None:
    assert [call.name for call in find(source)] == names


@pytest.mark.parametrize(
    ("source", "goes_on"),
    [
        ("try:\n    CDLL('a.so')\nexcept OSError:\n    lib = None", True),
        ("try:\n    CDLL('a.so')\nexcept (OSError, AttributeError):\n    pass", True),
        ("try:\n    CDLL('a.so')\nexcept:\n    pass", True),
        ("with contextlib.suppress(Exception):\n    CDLL('a.so')", True),
        ("try:\n    CDLL('a.so')\nexcept OSError as error:\n    raise ImportError from error", False),
        ("try:\n    CDLL('a.so')\nexcept AttributeError:\n    pass", False),
        ("try:\n    pass\nexcept OSError:\n    CDLL('a.so')", False),
        ("try:\n    CDLL('a.so')\nfinally:\n    pass", False),
    ],
)
def test_handlers_tell_whether_code_goes_on_without_a_library(source: str, goes_on: bool) -> None:
    assert [call.goes_on for call in find(source)] == [goes_on]


@pytest.mark.parametrize(
    "source", [b"print 'x'\nimport ctypes\nlib = ctypes.CDLL('a.so')\n", b"CDLL('a.so') ctypes \xff"]
)
def test_code_for_another_python_is_searched_as_text(source: bytes) -> None:
    assert [call.name for call in find_library_calls("x.py", source)] == ["a.so"]


@pytest.mark.parametrize("source", [b"CDLL('a.so'", b"CDLL(" * 5000, b"x = (" + b"-" * 100_000, b"CDLL('a\0b')", b""])
def test_malformed_code_has_no_calls(source: bytes) -> None:
    assert find_library_calls("x.py", source) == []
