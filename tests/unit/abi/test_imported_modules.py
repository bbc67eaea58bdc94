"""A file's name doesn't prove that Python imports it: faults of modules are errors only where an import is certain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import bundle, wheel, write

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report, Severity
from incamera.abi.policy import load_policy

E, W = Severity.error, Severity.warning
GNU = "arm-linux-gnueabihf"
LIBRARY = make_elf(exports=["aes_encrypt"])
MODULE = make_elf(exports=["PyInit_core"])
WHEEL = "fast-1-cp311-cp311-linux_armv7l.whl"
OPENED = "whether Python imports these files or ctypes opens them"


def audit(path: Path) -> Report:
    return audit_path(path, load_policy("axis-os-10-armv7hf"))


def severities(report: Report) -> list[tuple[Kind, Severity]]:
    return [(one.kind, one.severity) for one in report.findings]


@pytest.mark.parametrize("name", ["_raw_aes.abi3.so", f"_raw_aes.cpython-311-{GNU}.so"])
@pytest.mark.parametrize(
    "source",
    [
        'load_raw_lib("Crypto.Cipher._raw_aes")',
        "import ctypes\nctypes.CDLL(path('_raw_aes'))",
        "from cffi import FFI\nffi = FFI()\nffi.dlopen(find('_raw_aes'))",
        "def later():\n    from . import _raw_aes",
        "try:\n    from . import _raw_aes\nexcept ImportError:\n    _raw_aes = None",
    ],
)
def test_library_named_like_a_module_is_a_note_where_no_import_is_certain(
    tmp_path: Path, name: str, source: str
) -> None:
    files = {f"Crypto/Cipher/{name}": LIBRARY, "Crypto/Cipher/AES.py": source.encode()}
    report = audit(wheel(tmp_path / WHEEL, files))
    assert severities(report) == []
    assert [limit for limit in report.limits if limit.startswith(OPENED) and name in limit]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("fast/use.py", "from . import core"),
        ("fast/use.py", "from .core import go"),
        ("fast/use.py", "import fast.core"),
        ("use.py", "from fast import core"),
        ("use.py", "from fast.core import go"),
        ("fast/sub/use.py", "from .. import core"),
        (
            "fast/use.py",
            "try:\n    from . import core\nexcept ImportError as error:\n    raise RuntimeError from error",
        ),
    ],
)
def test_module_without_entry_point_is_an_error_where_a_file_imports_it(tmp_path: Path, path: str, source: str) -> None:
    files = {f"fast/core.cpython-311-{GNU}.so": LIBRARY, "fast/__init__.py": b"", path: source.encode()}
    assert severities(audit(wheel(tmp_path / WHEEL, files))) == [(Kind.missing_symbol, E)]


@pytest.mark.parametrize("source", ["import core", "from other import core", "from .other import core", "import fast"])
def test_import_of_another_module_of_that_name_proves_nothing(tmp_path: Path, source: str) -> None:
    files = {f"fast/core.cpython-311-{GNU}.so": LIBRARY, "fast/__init__.py": b"", "use.py": source.encode()}
    assert severities(audit(wheel(tmp_path / WHEEL, files))) == []


def test_import_in_one_folder_proves_nothing_of_another(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        f"app/one/fast/core.cpython-311-{GNU}.so": LIBRARY,
        "app/one/fast/__init__.py": b"",
        "app/other/fast/__init__.py": b"from fast import core",
        "app/app.py": b"from fast import core",
    }
    assert severities(audit(bundle(tmp_path, files))) == []


def test_library_that_a_projects_extension_builds_for_ctypes_is_a_note(tmp_path: Path) -> None:
    source = b"import ctypes, glob\nnative = ctypes.CDLL(glob.glob('native*.so')[0])\n"
    report = audit(bundle(tmp_path, {f"app/native.cpython-311-{GNU}.so": LIBRARY, "app/app.py": source}))
    assert severities(report) == []


def test_compiled_package_is_initialised_by_the_packages_name(tmp_path: Path) -> None:
    name = f"fast/__init__.cpython-311-{GNU}.so"
    right = wheel(tmp_path / WHEEL, {name: make_elf(exports=["PyInit_fast"])})
    assert audit(right).findings == ()
    wrong = wheel(tmp_path / WHEEL, {name: make_elf(exports=["PyInit_slow"])})
    assert [(one.severity, one.needs) for one in audit(wrong).findings] == [(E, "PyInit_fast")]
    imported = wheel(tmp_path / WHEEL, {name: LIBRARY, "use.py": b"import fast.other"})
    assert severities(audit(imported)) == [(Kind.missing_symbol, E)]
    alone = write(tmp_path / "alone", {f"__init__.cpython-311-{GNU}.so": make_elf(exports=["PyInit_fast"])})
    assert audit(alone).findings == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"core.cpython-311d-{GNU}.so", Kind.wrong_suffix),
        (f"core.cpython-311t-{GNU}.so", Kind.wrong_suffix),
        (f"core.cpython-39-{GNU}.so", Kind.wrong_python_version),
        (f"core.cpython-313-{GNU}.so", Kind.wrong_python_version),
        (f"core.pypy39-pp73-{GNU}.so", Kind.wrong_python_version),
        ("core.cpython-311-x86_64-linux-gnu.so", Kind.wrong_suffix),
    ],
)
def test_module_that_this_python_does_not_look_for_is_an_error_only_where_it_is_imported(
    tmp_path: Path, name: str, kind: Kind
) -> None:
    def audited(folder: str, source: bytes) -> Report:
        return audit(bundle(tmp_path / folder, {f"app/fast/{name}": MODULE, "app/fast/__init__.py": source}))

    assert severities(audited("imported", b"from .core import go")) == [(kind, E)]
    assert severities(audited("tried", b"try:\n    from .core import go\nexcept ImportError:\n    pass")) == [(kind, W)]
    assert severities(audited("unused", b"")) == [(kind, W)]


def test_what_a_module_for_another_python_needs_is_no_error(tmp_path: Path) -> None:
    foreign = make_elf(exports=["PyInit_core"], imports=["_PyUnicode_Gone"], needed=["libnowhere.so.1"])
    files: dict[str, bytes | str] = {f"app/core.cpython-39-{GNU}.so": foreign, "app/app.py": b""}
    report = audit(bundle(tmp_path, files))
    assert report.compatible
    assert Kind.missing_library in {one.kind for one in report.findings}


def test_source_that_cannot_be_parsed_proves_nothing(tmp_path: Path) -> None:
    files = {f"core.cpython-39-{GNU}.so": MODULE, "use.py": b"import core ((", "other.py": b"\xff\xfe import core"}
    report = audit(wheel(tmp_path / "fast-1-py3-none-linux_armv7l.whl", files))
    assert severities(report) == [(Kind.wrong_python_version, W)]


WORKER = f"jit/omppool.cpython-311-{GNU}.so"
WITHOUT_LIBRARY = make_elf(exports=["PyInit_omppool"], needed=["libgomp-1.so.9"])
GUARDED = [
    {"jit/use.py": "try:\n    from . import omppool\nexcept ImportError:\n    pass"},
    {"jit/use.py": "try:\n    from .omppool import go\nexcept (OSError, Exception) as error:\n    go = None"},
    {"jit/use.py": "def start():\n    try:\n        from jit import omppool as lib\n    except:\n        lib = None"},
    {"jit/use.py": "import contextlib\nwith contextlib.suppress(ImportError):\n    import jit.omppool"},
    {
        "jit/use.py": "if TYPE_CHECKING:\n    from . import omppool\ntry:\n    from . import omppool\n"
        "except ImportError:\n    pass"
    },
    {
        "jit/__init__.py": "try:\n    from . import parallel\nexcept ImportError:\n    parallel = None",
        "jit/parallel.py": "from .pool import go",
        "jit/pool.py": "from . import omppool",
    },
]
UNGUARDED: list[dict[str, str]] = [
    {},
    {"jit/use.py": ""},
    {"jit/use.py": "from . import omppool"},
    {"jit/use.py": "def start():\n    from . import omppool"},
    {"jit/use.py": "try:\n    from . import omppool\nexcept KeyError:\n    pass"},
    {"jit/use.py": "try:\n    from . import omppool\nexcept ImportError:\n    print('bad')\n    raise"},
    {"jit/use.py": "try:\n    pass\nexcept ImportError:\n    from . import omppool"},
    {
        "jit/use.py": "try:\n    from . import omppool\nexcept ImportError:\n    pass",
        "jit/again.py": "from .omppool import go",
    },
    {
        "jit/__init__.py": "from . import parallel\ntry:\n    from . import other\nexcept ImportError:\n    pass",
        "jit/parallel.py": "from . import omppool",
    },
    {"jit/one.py": "from . import two", "jit/two.py": "from . import one, omppool"},
]


@pytest.mark.parametrize(("sources", "severity"), [(one, W) for one in GUARDED] + [(one, E) for one in UNGUARDED])
def test_module_that_lacks_a_library_is_a_warning_where_each_import_handles_its_failure(
    tmp_path: Path, sources: dict[str, str], severity: Severity
) -> None:
    """numba's omppool needs libgomp, which its wheel does not bring: numba continues without it."""
    code = {path: source.encode() for path, source in sources.items()}
    report = audit(wheel(tmp_path / WHEEL, {WORKER: WITHOUT_LIBRARY, **code}))
    assert severities(report) == [(Kind.missing_library, severity)]
    installed = {f"lib/python3/dist-packages/{path}": data for path, data in {WORKER: WITHOUT_LIBRARY, **code}.items()}
    assert severities(audit(bundle(tmp_path / "bundle", installed))) == [(Kind.missing_library, severity)]


@pytest.mark.parametrize(
    "fault", [{"needed": ["libc.so.6"], "needs": {"libc.so.6": ["GLIBC_2.99"]}}, {"imports": ["nobody_has_it"]}]
)
def test_handled_import_makes_a_warning_of_all_that_the_loader_refuses(tmp_path: Path, fault: dict[str, Any]) -> None:
    module = make_elf(exports=["PyInit_omppool"], **fault)
    for number, sources in enumerate((GUARDED[0], UNGUARDED[2])):
        code = {path: source.encode() for path, source in sources.items()}
        (tmp_path / str(number)).mkdir()
        report = audit(wheel(tmp_path / str(number) / WHEEL, {WORKER: module, **code}))
        assert [one.severity for one in report.findings] == [(W, E)[number]]


NEWER = f"fast/_fast.cpython-313-{GNU}.so"


@pytest.mark.parametrize(
    ("sources", "severity"),
    [
        ({"new.py": b"from . import _fast"}, E),
        ({"new.py": b"from . import _fast", "__init__.py": b"from . import new"}, E),
        ({"new.py": b"from . import _fast", "__init__.py": b"if new_enough():\n    from . import new\n"}, W),
        ({"new.py": b"from . import _fast", "__init__.py": b"def go():\n    from .new import run\n"}, W),
        (
            {
                "new.py": b"from . import _fast",
                "__init__.py": b"if newer():\n    from . import new\n",
                "b.py": b"import fast.new",
            },
            E,
        ),
        (
            {
                "new.py": b"from . import _fast",
                "both.py": b"from .new import x",
                "__init__.py": b"try:\n    from . import both\nexcept ImportError:\n    both = None\n",
            },
            W,
        ),
        ({"__init__.py": b"from . import _fast", "sub/__init__.py": b"def go():\n    from .. import x\n"}, E),
        (
            {"__init__.py": b"", "new.py": b"from . import _fast\nfrom .old import y", "old.py": b"from .new import z"},
            E,
        ),
        (
            {
                "__init__.py": b"",
                "sub/__init__.py": b"from fast import _fast",
                "sub/a.py": b"def f():\n    from . import b",
            },
            E,
        ),
    ],
)
def test_import_in_a_file_that_nothing_imports_for_certain_proves_nothing(
    tmp_path: Path, sources: dict[str, bytes], severity: Severity
) -> None:
    """As a file for a newer Python, which its package imports under a condition."""
    files = {"fast/__init__.py": b"", **{f"fast/{name}": source for name, source in sources.items()}}
    report = audit(wheel(tmp_path / WHEEL, {**files, NEWER: make_elf(exports=["PyInit__fast"])}))
    assert (Kind.wrong_python_version, severity) in severities(report)


def test_entry_point_may_be_in_a_library_that_the_module_needs(tmp_path: Path) -> None:
    """Python looks it up with dlsym, which searches these, too."""
    files = {
        f"fast/core.cpython-311-{GNU}.so": make_elf(needed=["libimpl.so"], runpath="$ORIGIN"),
        "fast/libimpl.so": make_elf(soname="libimpl.so", exports=["PyInit_core"]),
        "fast/__init__.py": b"from . import core",
    }
    assert severities(audit(wheel(tmp_path / WHEEL, files))) == []


@pytest.mark.parametrize("tag", ["abi3t", "abi4", f"abi3-{GNU}"])
def test_tags_of_other_stable_abis_are_not_looked_for(tmp_path: Path, tag: str) -> None:
    files = {f"fast/core.{tag}.so": MODULE, "fast/__init__.py": b"from . import core"}
    assert severities(audit(wheel(tmp_path / WHEEL, files))) == [(Kind.wrong_suffix, E)]
    files["fast/core.abi3.so"] = MODULE
    assert severities(audit(wheel(tmp_path / WHEEL, files))) == [(Kind.wrong_suffix, W)]


@pytest.mark.parametrize(
    ("source", "severity"),
    [
        ("import ctypes\nctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)\nfrom . import core", W),
        ("import os, sys\nsys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)\nfrom . import libinner, core", W),
        ("import ctypes\nctypes.CDLL(path)\nfrom . import core", E),
    ],
)
def test_symbol_of_a_library_that_code_loads_for_all_is_a_warning(
    tmp_path: Path, source: str, severity: Severity
) -> None:
    files = {
        f"fast/core.cpython-311-{GNU}.so": make_elf(exports=["PyInit_core"], imports=["inner"]),
        "fast/libinner.so.1": make_elf(soname="libinner.so.1", exports=["inner"]),
        "fast/__init__.py": source.encode(),
    }
    assert severities(audit(wheel(tmp_path / WHEEL, files))) == [(Kind.missing_symbol, severity)]
    files["fast/libinner.so.1"] = make_elf(soname="libinner.so.1", exports=["other"])
    assert severities(audit(wheel(tmp_path / WHEEL, files))) == [(Kind.missing_symbol, E)]
