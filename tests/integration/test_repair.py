"""Repair of wheels whose modules link with libraries of the target."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera import proc
from incamera.build.deb_trees import ensure_deb_tree
from incamera.elf import ElfFacts, parse_elf
from incamera.errors import BuildError
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.toolchain.build_folder import BuildFolder, Toolchain, prepare
from incamera.toolchain.interpreter import HostTree
from incamera.wheels.archive import record_line
from incamera.wheels.install import install_wheel
from incamera.wheels.repair import repair_wheel

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.targets.target import Target

SYSTEM = ("libc.so.6", "libm.so.6", "libgcc_s.so.1", "libjpeg.so.62")
# Each is compiled and linked. Extension modules have the names and symbols of such, and no code.
SOURCES = {
    "libbase.so.3": "#include <math.h>\ndouble base(double x) { return sqrt(x) + cos(x); }",
    "libown.so.1": "double base(double); double own(double x) { return base(x) + 1; }",
    "module.so": "double own(double), base(double); double value(void) { return own(2) + base(1); }",
    "limited.so": "void *PyInit_limited(void) { return 0; }",
    "data.so": "int answer(void) { return 42; }",
    "jpeg.so": "int jpeg_quality_scaling(int); int f(void) { return jpeg_quality_scaling(1); } void *PyInit_jpeg;",
}


@pytest.fixture(scope="module")
def toolchain(target: Target, toolchain_for: Callable[..., Toolchain]) -> Toolchain:
    return toolchain_for(target, "gcc")


@pytest.fixture(scope="module")
def compiled(
    toolchain: Toolchain,
    patchelf: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """ELF files of the target whose run paths are absolute and lead into the build folder, as builds leave them."""
    root = tmp_path_factory.mktemp("build")
    folder = make_build_folder(toolchain, root / "one")
    made: dict[str, Path] = {}
    libraries = {"libown.so.1": ["libbase.so.3"], "module.so": ["libown.so.1", "libbase.so.3"]}
    stub = _compile(
        folder.environment, folder.root, "libjpeg.so.62", "int jpeg_quality_scaling(int x) { return x; }", []
    )
    for name, source in SOURCES.items():
        needed = [made[library] for library in libraries.get(name, [])] + ([stub] if name == "jpeg.so" else [])
        made[name] = _compile(folder.environment, folder.root, name, source, needed)
    for path in made.values():  # the compiler wrapper drops `-rpath`
        proc.run([*patchelf, "--set-rpath", f"{root}:/usr/lib", path], purpose="give it a run path")
    return made


def _compile(environment: Mapping[str, str], root: Path, name: str, source: str, libraries: list[Path]) -> Path:
    code, path = root / "source.c", root / name
    code.write_text(source)
    words: list[str | Path] = [
        "cc",
        "-shared",
        "-fPIC",
        "-O1",
        code,
        "-o",
        path,
        f"-Wl,-soname,{name}",
        f"-Wl,-rpath,{root}:/usr/lib",
    ]
    proc.run(["/usr/bin/env", *words, *libraries, "-lm"], purpose=f"compile {name}", env=environment, cwd=root)
    return path


@pytest.fixture(scope="module")
def patchelf(context: Context) -> list[str]:
    host = require_host()
    debs = DebSet(suite="bookworm", architecture=host.debian, roots=("patchelf",))
    tree = HostTree(ensure_deb_tree(context, "patchelf", debs), host)
    return tree.argv(tree.root / "usr/bin/patchelf")


def run_on_target(toolchain: Toolchain, folder: Path, library: Path) -> str:
    """Compile a program for the target that loads *library* and calls its `value`. Return what it prints."""
    assert toolchain.ensure_emulator is not None
    emulator = toolchain.ensure_emulator()
    prepared = make_build_folder(toolchain, folder)
    source = prepared.root / "main.c"
    source.write_text(
        "#include <dlfcn.h>\n#include <stdio.h>\nint main(int c, char **v) { void *l = dlopen(v[1], RTLD_NOW);\n"
        'if (!l) { puts(dlerror()); return 1; } printf("%.3f", ((double (*)(void))dlsym(l, "value"))()); return 0; }\n'
    )
    program = prepared.root / "main"
    proc.run([prepared.root / "bin/cc", source, "-o", program], purpose="compile", env=prepared.environment)
    wrapper = emulator.write_wrapper(prepared.root / "libexec/emulator", toolchain.target, toolchain.sysroot)
    return proc.run([wrapper, program, library], purpose="run it").text


def make_build_folder(toolchain: Toolchain, root: Path) -> BuildFolder:
    for name in ("requirements", "folder"):
        (root / name).mkdir(parents=True)
    return prepare(toolchain, root / "requirements", root / "folder")


def make_wheel(folder: Path, files: Mapping[str, Path | bytes], tags: str, *, root_is_purelib: bool = False) -> Path:
    path = folder / f"own-1.0-{tags}.whl"
    content = {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files.items()}
    content["own-1.0.dist-info/METADATA"] = b"Metadata-Version: 2.1\nName: own\nVersion: 1.0\n"
    content["own-1.0.dist-info/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {root_is_purelib}\nTag: {tags}\n".encode()
    )
    content["own-1.0.dist-info/RECORD"] = "".join(record_line(name, data) for name, data in content.items()).encode()
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def repair(
    wheel: Path, target: Target, patchelf: list[str], private: Mapping[str, Path], drop: tuple[str, ...] = ()
) -> Path:
    return repair_wheel(
        wheel,
        wheel.parent / "repaired",
        target,
        private=private,
        provided=lambda soname: soname in SYSTEM or soname.startswith("ld-linux"),
        patchelf=patchelf,
        drop=drop,
    )


def facts_of(wheel: Path) -> dict[str, ElfFacts]:
    with zipfile.ZipFile(wheel) as archive:
        names = [info.filename for info in archive.infolist() if archive.read(info)[:4] == b"\x7fELF"]
        return {name: parse_elf(archive.read(name)) for name in names}


def text_of(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"own-1.0.dist-info/{name}").decode()


def test_private_libraries_are_added_and_found_by_relative_run_paths(
    target: Target, toolchain: Toolchain, compiled: dict[str, Path], patchelf: list[str], tmp_path: Path
) -> None:
    machine = target.architecture.facts.wheel
    module = f"own/sub/module.cpython-311-{target.architecture.facts.gnu}.so"
    before: dict[str, Path | bytes] = {
        module: compiled["module.so"],
        "own/__init__.py": b"",
        "own/unwanted.a": b"!<arch>\n",
    }
    wheel = make_wheel(tmp_path, before, f"cp311-cp311-linux_{machine}")
    private = {name: compiled[name] for name in ("libown.so.1", "libbase.so.3")}
    repaired = repair(wheel, target, patchelf, private, ("*.a",))

    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest()[:8] for name, path in private.items()}
    own, base = f"libown-{hashes['libown.so.1']}.so.1", f"libbase-{hashes['libbase.so.3']}.so.3"
    facts = facts_of(repaired)
    assert facts.keys() == {module, f"own.libs/{own}", f"own.libs/{base}"}
    assert facts[module].run_path == ("$ORIGIN/../../own.libs",)
    assert {own, base} <= set(facts[module].needed)
    assert facts[f"own.libs/{own}"].soname == own
    assert facts[f"own.libs/{own}"].run_path == ("$ORIGIN",)
    assert base in facts[f"own.libs/{own}"].needed
    assert facts[f"own.libs/{base}"].run_path == ()
    for name, file in facts.items():
        assert not {"libown.so.1", "libbase.so.3"} & set(file.needed), name

    # Of the system's libraries, only the C library is needed, in a version that manylinux 2.17 has.
    assert repaired.name == f"own-1.0-cp311-cp311-manylinux_2_17_{machine}.whl"
    assert f"Tag: cp311-cp311-manylinux_2_17_{machine}\n" in text_of(repaired, "WHEEL")
    assert text_of(repaired, "WHEEL").count("Tag:") == 1
    site = tmp_path / "site"
    site.mkdir()
    assert "own/unwanted.a" not in install_wheel(repaired, site)  # it checks RECORD, too
    assert run_on_target(toolchain, tmp_path / "run", site / module) == "3.538"
    assert {path.name for path in (tmp_path / "repaired").iterdir()} == {repaired.name}


def test_equal_wheels_are_repaired_to_equal_bytes(
    target: Target, compiled: dict[str, Path], patchelf: list[str], tmp_path: Path
) -> None:
    private = {name: compiled[name] for name in ("libown.so.1", "libbase.so.3")}
    files: dict[str, Path | bytes] = {"z.py": b"1", "module.so": compiled["module.so"], "a.py": b"2"}
    tags = f"cp311-cp311-linux_{target.architecture.facts.wheel}"
    one = repair(make_wheel(tmp_path / "one", files, tags), target, patchelf, private)
    other_order = dict(reversed(files.items()))
    two = repair(make_wheel(tmp_path / "two", other_order, tags), target, patchelf, private)
    assert one.read_bytes() == two.read_bytes()
    (tmp_path / "again").mkdir()
    again = repair_wheel(one, tmp_path / "again", target, private={}, provided=lambda _: True, patchelf=["/bin/false"])
    assert again.read_bytes() == one.read_bytes()  # a repaired wheel is not changed again


def test_libraries_in_the_wheel_get_a_run_path_to_them(
    target: Target, compiled: dict[str, Path], patchelf: list[str], tmp_path: Path
) -> None:
    files = {
        "own/module.so": compiled["module.so"],
        "own/lib/libown.so.1": compiled["libown.so.1"],
        "own-1.0.data/platlib/own/lib/libbase.so.3": compiled["libbase.so.3"],
    }
    wheel = make_wheel(tmp_path, files, f"cp311-cp311-linux_{target.architecture.facts.wheel}")
    facts = facts_of(repair(wheel, target, patchelf, {}))
    assert facts["own/module.so"].run_path == ("$ORIGIN/lib",)  # one entry for two libraries
    assert "libown.so.1" in facts["own/module.so"].needed
    assert facts["own/lib/libown.so.1"].run_path == ("$ORIGIN",)
    assert facts["own-1.0.data/platlib/own/lib/libbase.so.3"].run_path == ()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("own/limited.abi3.so", "py3-none-any", "cp311-abi3-manylinux_2_17_{}"),
        ("own/limited.abi3.so", "cp39-abi3-linux_{}", "cp39-abi3-manylinux_2_17_{}"),
        ("own/limited.so", "py3-none-any", "cp311-cp311-manylinux_2_17_{}"),
        ("own/limited.cpython-311-x.so", "cp39-abi3-linux_{}", "cp311-cp311-manylinux_2_17_{}"),
        ("own/data.so", "py3-none-any", "py3-none-manylinux_2_17_{}"),
        ("own/jpeg.so", "cp311-cp311-linux_{}", "cp311-cp311-linux_{}"),
    ],
)
def test_tags_name_what_the_files_need(
    target: Target,
    compiled: dict[str, Path],
    patchelf: list[str],
    tmp_path: Path,
    name: str,
    before: str,
    after: str,
) -> None:
    machine = target.architecture.facts.wheel
    wheel = make_wheel(
        tmp_path,
        {name: compiled[f"{Path(name).name.partition('.')[0]}.so"]},
        before.format(machine),
        root_is_purelib=True,
    )
    repaired = repair(wheel, target, patchelf, {})
    assert repaired.name == f"own-1.0-{after.format(machine)}.whl"
    assert "Root-Is-Purelib: false" in text_of(repaired, "WHEEL")
    assert f"Tag: {after.format(machine)}" in text_of(repaired, "WHEEL")
    assert facts_of(repaired)[name].run_path == ()


def test_pure_wheel_is_not_changed(target: Target, patchelf: list[str], tmp_path: Path) -> None:
    repaired = repair(make_wheel(tmp_path, {"own.py": b""}, "py3-none-any", root_is_purelib=True), target, patchelf, {})
    assert repaired.name == "own-1.0-py3-none-any.whl"
    assert "Root-Is-Purelib: True" in text_of(repaired, "WHEEL")


def test_error_names_the_file_that_cannot_be_repaired(
    target: Target, compiled: dict[str, Path], patchelf: list[str], tmp_path: Path
) -> None:
    tags = f"cp311-cp311-linux_{target.architecture.facts.wheel}"
    with pytest.raises(BuildError, match=r"own/module\.so needs libown\.so\.1, which neither") as caught:
        repair(make_wheel(tmp_path, {"own/module.so": compiled["module.so"]}, tags), target, patchelf, {})
    assert "recipe" in str(caught.value.hint)
    damaged = compiled["data.so"].read_bytes()[:100]
    with pytest.raises(BuildError, match=r"own/x\.so is a damaged ELF file"):
        repair(make_wheel(tmp_path, {"own/x.so": damaged}, tags), target, patchelf, {})
    hosts = Path("/proc/self/exe").read_bytes()
    with pytest.raises(BuildError, match=r"x is for (X86_64|AARCH64)"):
        repair(make_wheel(tmp_path, {"own/x": hosts}, tags), target, patchelf, {})
    assert not list((tmp_path / "repaired").iterdir())  # no partial wheel
