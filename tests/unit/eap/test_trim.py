"""A trimmed package has what its app can import, and what that needs; everything else is left out, and listed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf

from incamera.eap.contents import bundle_members
from incamera.eap.trim import Trim, parse_record, plan_trim
from incamera.runtime.layout import PACKAGES
from incamera.targets.target import Target
from incamera.tree import list_tree

REPOSITORY = Path(__file__).parents[3]
TARGET = Target.parse("armv7hf-cp311")
STDLIB = "lib/python3.11"
SUFFIX = ".cpython-311-arm-linux-gnueabihf.so"
# A small standard library: what the interpreter needs, and what an app may or may not.
SOURCES = {
    "os.py": "import stat",
    "stat.py": "",
    "site.py": "def run():\n    import readline, rlcompleter",
    "encodings/__init__.py": "from . import aliases",
    "encodings/aliases.py": "",
    "encodings/cp932.py": "import _codecs_jp",
    "json/__init__.py": "from .decoder import JSONDecoder",
    "json/decoder.py": "",
    "json/tool.py": "import argparse",
    "argparse.py": "",
    "rlcompleter.py": "",
    "http/__init__.py": "",
    "http/client.py": "try: import ssl\nexcept ImportError: pass\nif __name__ == '__main__':\n    import argparse",
    "ssl.py": "import _ssl",
    "urllib/__init__.py": "",
    "urllib/request.py": "import http.client",
    "trace.py": "",
    "secrets.py": "from hmac import compare_digest",
    "hmac.py": "try:\n    import _hashlib as openssl\nexcept ImportError:\n    openssl = None\nimport hashlib",
    "hashlib.py": "try:\n    from _hashlib import scrypt\nexcept ImportError:\n    pass",
    "sqlite3/__init__.py": "import _sqlite3",
    "sqlite3/dump.py": "",
    "zoneinfo/__init__.py": "",
}
DYNAMIC = {
    "_codecs_jp": [],
    "_multibytecodec": [],
    "_ssl": ["libssl.so.3"],
    "_hashlib": ["libcrypto.so.3"],
    "_sqlite3": ["libsqlite3.so.0"],
    "readline": ["libreadline.so.8"],
}
LIBRARIES = {
    "libssl.so.3": ["libcrypto.so.3"],
    "libcrypto.so.3": [],
    "libsqlite3.so.0": ["libm.so.6"],
    "libm.so.6": [],
    "libreadline.so.8": [],
    "libc.so.6": [],
    "libwanted.so.1": [],
}


def write(path: Path, content: str | bytes = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


class World:
    """A bundle, and the sources of its standard library, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.sources = folder / "bundle", folder / "sources"
        for file, source in SOURCES.items():
            write(self.sources / STDLIB / file, source)
            write(self.root / STDLIB / f"{file}c", "byte-code")
        for name, needed in DYNAMIC.items():
            write(self.root / STDLIB / "lib-dynload" / f"{name}{SUFFIX}", make_elf(needed=needed))
        for name, needed in LIBRARIES.items():
            write(self.root / "lib" / name, make_elf(needed=needed))
        write(self.root / "libexec" / "python3.11", make_elf(needed=["libc.so.6"], program=True))
        for file in (
            "bin/python3",
            "bin/incamera-guard",
            "bin/f2py",
            "etc/launcher",
            "etc/trimmed.json",
            "bundle.json",
        ):
            write(self.root / file)
        for file in ("share/zoneinfo/UTC", "share/terminfo/x/xterm", "etc/ssl/cert.pem"):
            write(self.root / file)

    def add(self, file: str, source: str | bytes = "") -> None:
        """Add a file of a package; a module has byte-code, too."""
        write(self.root / PACKAGES / file, source)
        if file.endswith(".py"):
            folder, _, name = file.rpartition("/")
            write(self.root / PACKAGES / folder / "__pycache__" / f"{name[:-3]}.cpython-311.pyc", "byte-code")

    def trim(self, app: str, **options: object) -> Trim:
        write(self.root / "app" / "app.py", app)
        arguments = {"arguments": ["app.py"], **options}
        return plan_trim(self.root, list_tree(self.root), TARGET, self.sources, **arguments)  # type: ignore[arg-type]

    def modules(self, app: str, **options: object) -> set[str]:
        """Return what stays of the packages, without endings, for the code *app*."""
        kept = self.trim(app, **options).kept
        prefix = f"{PACKAGES}/"
        return {path.removeprefix(prefix).removesuffix(".pyc") for path in kept if path.startswith(prefix)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_only_what_is_imported_stays_with_its_libraries_and_data(world: World) -> None:
    kept = set(world.trim("import json").kept)
    assert {f"{STDLIB}/json/__init__.pyc", f"{STDLIB}/json/decoder.pyc", f"{STDLIB}/os.pyc", "lib/libc.so.6"} <= kept
    assert {"app/app.py", "bin/python3", "etc/launcher", "bundle.json", "libexec/python3.11"} <= kept
    for gone in ("json/tool.pyc", "argparse.pyc", "ssl.pyc", "rlcompleter.pyc", "sqlite3/__init__.pyc"):
        assert f"{STDLIB}/{gone}" not in kept
    for gone in ("lib/libssl.so.3", "lib/libcrypto.so.3", "lib/libsqlite3.so.0", "lib/libreadline.so.8"):
        assert gone not in kept
    for gone in ("etc/ssl/cert.pem", "share/zoneinfo/UTC", "share/terminfo/x/xterm", "bin/incamera-guard", "bin/f2py"):
        assert gone not in kept
    # What the runtime always has, and what no file needs but somebody has asked for.
    assert {"lib/libm.so.6", "lib/libwanted.so.1"} <= kept
    # Any text may be decoded with any codec.
    assert f"{STDLIB}/lib-dynload/_multibytecodec{SUFFIX}" in kept


def test_what_an_import_needs_stays(world: World) -> None:
    kept = set(world.trim("def late():\n    import http.client, sqlite3, zoneinfo").kept)
    assert {f"{STDLIB}/ssl.pyc", "lib/libssl.so.3", "lib/libcrypto.so.3", "etc/ssl/cert.pem"} <= kept
    assert {f"{STDLIB}/sqlite3/dump.pyc", "lib/libsqlite3.so.0"} <= kept  # C code imports the first
    assert "share/zoneinfo/UTC" in kept
    assert f"{STDLIB}/argparse.pyc" not in kept  # only as a program


@pytest.mark.parametrize(
    "app",
    [
        "import lamp.bulb",
        "from lamp import bulb",
        "import importlib\nimportlib.import_module('lamp.bulb')",
        "NAMES = {'x': 'lamp.bulb'}",
        "NAME = 'lamp.bulb:Bulb'",
        "with open('/tmp/x') as f:\n    from lamp.bulb import Bulb",
    ],
)
def test_module_that_the_app_names_stays_as_byte_code(world: World, app: str) -> None:
    for file in ("lamp/__init__.py", "lamp/bulb.py", "lamp/other.py", "lamp/data.json", "lamp/x.h", "lamp/x.pyi"):
        world.add(file)
    world.add("lamp/unused/__init__.py")
    world.add("lamp/unused/data.json")
    assert world.modules(app) == {"lamp/__init__", "lamp/bulb", "lamp/data.json"}


def test_package_that_imports_by_a_variable_stays_whole(world: World) -> None:
    world.add("lamp/__init__.py", "import importlib\ndef load(name):\n    return importlib.import_module(name)")
    world.add("lamp/plugin.py", "import json")
    trim = world.trim("import lamp")
    assert {f"{PACKAGES}/lamp/plugin.pyc", f"{STDLIB}/json/__init__.pyc"} <= set(trim.kept)


def test_lazy_packages_plugins_and_stubs_stay(world: World) -> None:
    world.add(
        "lazy/__init__.py", "import lazy_loader\na = lazy_loader.attach_stub(__name__, __file__)\n__all__ = ['sub']"
    )
    world.add("lazy/__init__.pyi", "from . import sub")
    world.add("lazy/sub.py")
    world.add("plug/__init__.py")
    world.add("plug/main.py")
    world.add("plug/command.py")
    world.add(
        "plug-1.dist-info/entry_points.txt", "[lamp.plugins]\nx = plug.main:X\n[console_scripts]\ny = plug.command:y\n"
    )
    world.add("plug-1.dist-info/METADATA")
    world.add("plug-1.dist-info/RECORD")
    assert world.modules("import lazy") == {
        *("lazy/__init__", "lazy/__init__.pyi", "lazy/sub", "plug/__init__", "plug/main"),
        *("plug-1.dist-info/entry_points.txt", "plug-1.dist-info/METADATA"),
    }


def test_what_compiled_modules_import_stays(world: World) -> None:
    world.add("fast/__init__.py", "from . import _fast")
    world.add("fast/helper.py")
    world.add(f"fast/_fast{SUFFIX}", make_elf(needed=["libssl.so.3"]) + b"\0fast.helper\0json\0nothing.else\0")
    trim = world.trim("import fast")
    assert {f"{PACKAGES}/fast/helper.pyc", f"{STDLIB}/json/__init__.pyc", "lib/libcrypto.so.3"} <= set(trim.kept)
    assert f"{STDLIB}/ssl.pyc" not in trim.kept
    assert trim.opaque == ()


@pytest.mark.parametrize("content", [b"\0PyO3 modules\0", b"__pyx_module json__name__"])
def test_where_imports_are_hidden_all_modules_stay(world: World, content: bytes) -> None:
    world.add("fast/__init__.py", "from . import _fast")
    world.add(f"fast/_fast{SUFFIX}", make_elf() + content)
    trim = world.trim("import fast")
    assert trim.opaque == (f"{PACKAGES}/fast/_fast{SUFFIX}",)
    assert {f"{STDLIB}/{file}c" for file in SOURCES} <= set(trim.kept)


def test_openssl_stays_only_if_a_source_may_need_its_hashes(world: World) -> None:
    assert "lib/libcrypto.so.3" not in world.trim("import secrets").kept
    for app in ("import secrets, hashlib", "import secrets\ndef f(x): return x.hmac"):
        kept = world.trim(app).kept
        assert {"lib/libcrypto.so.3", f"{STDLIB}/lib-dynload/_hashlib{SUFFIX}"} <= set(kept)


def test_readers_of_texts_from_the_web_stay_only_if_somebody_uses_them(world: World) -> None:
    world.add("numpy/__init__.py", "from .lib import _datasource\ndef loadtxt(): ...")
    world.add("numpy/lib/__init__.py")
    world.add("numpy/lib/_datasource.py", "def open():\n    from urllib.request import urlopen")
    assert f"{STDLIB}/urllib/request.pyc" not in world.trim("import numpy").kept
    assert f"{STDLIB}/urllib/request.pyc" in world.trim("import numpy\nnumpy.loadtxt('x')").kept
    world.add("table/__init__.py", "from numpy import genfromtxt")
    assert f"{STDLIB}/urllib/request.pyc" in world.trim("import numpy").kept


def test_text_in_a_compiled_module_that_is_known_to_be_no_import_is_left_out(world: World) -> None:
    world.add("numpy/__init__.py", "from .core import _multiarray_umath")
    world.add("numpy/core/__init__.py")
    world.add(f"numpy/core/_multiarray_umath{SUFFIX}", make_elf() + b"\0trace\0json\0")
    kept = world.trim("import numpy").kept
    assert f"{STDLIB}/json/__init__.pyc" in kept
    assert f"{STDLIB}/trace.pyc" not in kept


def test_table_has_what_the_compiled_modules_of_acap_import(world: World) -> None:
    rules = tomllib.loads((REPOSITORY / "src/incamera/runtime/data/imports.toml").read_text("utf-8"))["compiled"]
    for source in sorted((REPOSITORY / "packages/acap/src/acap").glob("_*.pyx")):
        found = re.findall(r"^\s*(?:from (\S+) import|import (\S+))", source.read_text("utf-8"), re.MULTILINE)
        names = {f"acap{one}" if one.startswith(".") else one or other for one, other in found}
        # All modules stay because of one that is not in the table.
        assert names <= set(rules.get(f"acap.{source.stem}", names)), source.name
    world.add("acap/__init__.py", "from . import _video")
    world.add("acap/errors.py", "import json")
    world.add(f"acap/_video{SUFFIX}", make_elf() + b"__pyx_module json")
    trim = world.trim("import acap")
    assert trim.opaque == ()
    assert {f"{PACKAGES}/acap/errors.pyc", f"{STDLIB}/json/__init__.pyc"} <= set(trim.kept)
    assert f"{STDLIB}/sqlite3/__init__.pyc" not in trim.kept


def test_library_that_a_source_opens_stays(world: World) -> None:
    for app in ("ctypes.CDLL('libsqlite3.so.0')", "ctypes.util.find_library('sqlite3')"):
        assert "lib/libsqlite3.so.0" in world.trim(app).kept
    assert "lib/libsqlite3.so.0" not in world.trim("'sqlite'").kept


def test_recorded_modules_and_kept_files_stay(world: World) -> None:
    world.add("lamp.py")
    assert world.modules("") == set()
    assert world.modules("", recorded=["lamp", "unknown.module"]) == {"lamp"}
    assert world.modules("", keep=["*/lamp.py"]) == {"lamp.py", "__pycache__/lamp.cpython-311"}  # as its source
    assert parse_record(
        "import time:   12 |   34 |   json.decoder\nlamp\n# text\nimport time: self [us] | x | y z"
    ) == [
        *("json.decoder", "lamp"),
    ]


def test_started_module_and_code_are_followed(world: World) -> None:
    for file in ("lamp/__init__.py", "lamp/__main__.py", "bulb.py"):
        world.add(file)
    assert world.modules("", arguments=["-m", "lamp"]) == {"lamp/__init__", "lamp/__main__"}
    assert world.modules("", arguments=["-c", "from bulb import main; main()"]) == {"bulb"}


def test_source_of_a_newer_python_is_followed_by_its_lines(world: World) -> None:
    world.add(
        "new/__init__.py", "import json\nfrom . import one, two\nfrom .three import (\n  x,\n)\nthis is no Python"
    )
    for name in ("one", "two", "three"):
        world.add(f"new/{name}.py")
    trim = world.trim("import new")
    assert {f"{PACKAGES}/new/{name}.pyc" for name in ("one", "two", "three")} <= set(trim.kept)
    assert f"{STDLIB}/json/__init__.pyc" in trim.kept


def test_dropped_files_are_all_listed_and_named(world: World) -> None:
    world.add("lamp.py")
    world.add("unused/sub/x.py", "x" * 100)
    trim = world.trim("import lamp")
    stays = {*trim.kept.values(), *(path.removesuffix("c") for path in trim.kept)}
    everything = {entry.path for entry in list_tree(world.root)}
    assert set(trim.dropped) == everything - set(trim.kept.values())
    assert f"{PACKAGES}/lamp.py" in stays
    sizes = {entry.path: entry.size for entry in list_tree(world.root)}
    names = dict(trim.name_dropped(sizes))
    assert {"unused.sub", "sqlite3", "libsqlite3.so.0", "sources of packages", "f2py"} <= set(names)
    assert sum(names.values()) == sum(sizes[path] for path in trim.dropped)


def test_members_of_a_trimmed_bundle_have_the_content_of_the_byte_code(world: World) -> None:
    world.add("lamp.py", "source")
    trim = world.trim("import lamp")
    members = {item.path: item for item in bundle_members(world.root, list_tree(world.root), [], trim.kept)}
    member = members[f"bundle/{PACKAGES}/lamp.pyc"]
    assert isinstance(member.content, Path)
    assert member.content.read_text() == "byte-code"
    assert f"bundle/{PACKAGES}/lamp.py" not in members
