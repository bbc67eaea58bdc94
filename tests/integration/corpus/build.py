"""Builds the corpus with the project's own cross gcc; what is built lies in the store, by a digest of its sources.

cases/NAME/…          as it goes into a bundle's app folder
bundle-lib/…          what goes into the bundle's own lib/
archives/NAME.whl     wheels and .eap files, as they are audited
camera/GENERATION/…   stand-ins for the camera's libraries
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shlex
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .cases import FOLDER, GENERATIONS, SOURCES, Case, How, Piece, StandIn, load_cases, load_libraries, load_stubs
from .damage import damage

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.architecture import Architecture
    from incamera.toolchain.build_folder import Toolchain

DATA = FOLDER.parents[1] / "data" / "elf"

_PROBE = "int probe(void) { return 42; }\n"
_MAIN = "int main(void) { return 42; }\n"
_EXTENSION = """
#include <Python.h>
#ifndef MODULE
#define MODULE ext
#endif
#define JOIN(a, b) a##b
#define NAME(x) JOIN(PyInit_, x)
#define TEXT(x) #x
#define QUOTE(x) TEXT(x)
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, QUOTE(MODULE), NULL, -1, NULL};
PyMODINIT_FUNC NAME(MODULE)(void) { return PyModule_Create(&module); }
"""
# The same length as any path that takes its place, or longer: bytes beyond the path become zeros.
_RUN_PATH = "$ORIGIN/" + "x" * 56


def corpus_key(toolchain: Toolchain) -> str:
    digest = hashlib.sha256(str(toolchain.target).encode())
    for name in SOURCES:
        digest.update((FOLDER / name).read_bytes())
    return digest.hexdigest()[:32]


def ensure_corpus(toolchain: Toolchain, store: Store) -> Path:
    """Return the folder of the corpus for the toolchain's architecture, built if its sources have changed."""
    path, _ = store.ensure_tree("corpus", corpus_key(toolchain), lambda tree: build_corpus(toolchain, tree))
    return path


def build_corpus(toolchain: Toolchain, tree: Path) -> None:
    from tempfile import TemporaryDirectory

    from incamera.toolchain.build_folder import prepare

    with TemporaryDirectory(prefix="corpus-") as temporary:
        folder, requirements = Path(temporary) / "build", Path(temporary) / "requirements"
        folder.mkdir()
        requirements.mkdir()
        prepared = prepare(toolchain, requirements, folder)
        _Builder(toolchain, folder, prepared.environment, tree).build()


class _Builder:
    def __init__(self, toolchain: Toolchain, folder: Path, environment: Mapping[str, str], tree: Path) -> None:
        self._toolchain = toolchain
        self._architecture = toolchain.target.architecture
        self._folder = folder
        self._environment = environment
        self._tree = tree
        self._stubs = folder / "stubs"
        self._sources = folder / "sources"

    def build(self) -> None:
        self._stubs.mkdir()
        self._sources.mkdir()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._build_stub, *zip(*load_stubs(self._architecture).items(), strict=True)))
            list(pool.map(self._build_case, load_cases(self._architecture).values()))
            list(pool.map(partial(self._build_library, "bundle-lib", ""), load_libraries("bundle").values()))
            for name in GENERATIONS:
                list(pool.map(partial(self._build_library, f"camera/{name}", name), load_libraries("camera").values()))

    # Stand-ins

    def _build_stub(self, name: str, stub: StandIn) -> None:
        # A folder each: several have the same soname.
        folder = self._stubs / name
        folder.mkdir()
        self._build_stand_in(stub, stub.symbols_for(self._architecture), folder / stub.soname)

    def _build_library(self, folder: str, generation: str, library: StandIn) -> None:
        output = self._tree / folder / library.soname
        output.parent.mkdir(parents=True, exist_ok=True)
        self._build_stand_in(library, library.symbols_for(generation), output, generation)

    def _build_stand_in(
        self, library: StandIn, symbols: Mapping[str, list[str]], output: Path, generation: str = ""
    ) -> None:
        names = [name for group in symbols.values() for name in group]
        code = library.code or "".join(f"int {name}(void) {{ return 42; }}\n" for name in names)
        versions = "".join(
            f"{version} {{ global: {'; '.join(group)}; }};\n" for version, group in symbols.items() if version
        )
        # The compiler knows another signature for some names; for a stub it does not matter.
        options = f"-fno-builtin -w -Wl,-soname,{library.soname} {library.cc.get(generation, '')}"
        piece = Piece(
            path=library.soname, code=code, cc=options, link=library.link, libc=library.libc, versions=versions
        )
        self._compile(piece, output, output.parent, code)

    # Cases

    def _build_case(self, case: Case) -> None:
        folder = self._tree / "cases" / case.name
        folder.mkdir(parents=True)
        for piece in case.files:
            output = folder / piece.path
            output.parent.mkdir(parents=True, exist_ok=True)
            self._make(case, piece, output, folder)
        archive = self._tree / "archives"
        if case.how is How.wheel:
            name = f"{case.name.replace('-', '_')}-1-{case.tag}.whl"
            self._write_archive(case, archive / name, write_wheel(folder, case))
        elif case.how is How.eap:
            for path, text in package_files(self._architecture, installed_name(case)).items():
                (folder / path).write_text(text)
            self._write_archive(case, archive / f"{case.name}.eap", write_eap(folder))

    def _write_archive(self, case: Case, path: Path, data: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data[: len(data) // 2] if case.archive_damage else data)

    def _make(self, case: Case, piece: Piece, output: Path, folder: Path) -> None:
        if piece.symlink is not None:
            output.symlink_to(piece.symlink)
            return
        if piece.text is not None:
            output.write_text(piece.text)
            return
        if piece.copy is not None:
            output.write_bytes(self._copied(piece.copy))
            output.chmod(0o755)
            return
        is_extension = case.how in (How.extension, How.wheel) and (piece is case.files[-1] or "-DMODULE=" in piece.cc)
        usual = _EXTENSION if is_extension else _MAIN if piece.program else _PROBE
        code = (piece.code if piece.code is not None else usual) + piece.more
        self._compile(piece, output, folder, code)
        if piece.run_path:
            old = _RUN_PATH.encode()
            data = output.read_bytes()
            assert old in data, output
            output.write_bytes(data.replace(old, piece.run_path.encode().ljust(len(old), b"\0")))
        if piece.damage is not None:
            output.write_bytes(damage(output.read_bytes(), piece.damage))

    def _copied(self, what: str) -> bytes:
        other = "aarch64" if self._architecture == "armv7hf" else "armv7hf"
        if what == "other":
            return (DATA / f"{other}-library.so").read_bytes()
        if what == "other-program":
            return (DATA / f"{other}-program").read_bytes()
        return (self._toolchain.interpreter.tree.libraries / "libz.so.1").read_bytes()

    # The compiler

    def _compile(self, piece: Piece, output: Path, folder: Path, code: str) -> None:
        name = output.relative_to(self._tree if output.is_relative_to(self._tree) else self._folder).as_posix()
        source = self._sources / f"{name.replace('/', '_')}.{'cc' if piece.cxx else 'c'}"
        source.write_text(code)
        # Linked inside the build folder: the driver takes no file from anywhere else.
        made = source.with_suffix(".out")
        words = ["-O1", "-fno-stack-protector", "-Wl,--build-id=none", "-s"]
        if piece.object:
            words += ["-c"]
        elif not piece.program:
            words += ["-shared", "-fPIC"]
        if not piece.libc:
            words += ["-nostdlib", "-Wl,--allow-shlib-undefined"]
        words += [f"-I{self._folder}/sysroot/usr/include/python{self._toolchain.target.python}"]
        words += shlex.split(piece.cc)
        if piece.run_path:
            words += [f"-Wl,--{'disable' if piece.old_tags else 'enable'}-new-dtags", f"-Wl,-rpath,{_RUN_PATH}"]
        if piece.versions:
            script = source.with_suffix(".map")
            script.write_text(piece.versions)
            words += [f"-Wl,--version-script={script}"]
        words += [str(source), "-o", str(made)]
        words += [self._beside(folder, library, source) for library in piece.beside]
        words += [str(next((self._stubs / name).iterdir())) for name in piece.link]
        words += shlex.split(piece.link_with)
        compiler = self._folder / "bin" / ("c++" if piece.cxx else "cc")
        done = subprocess.run(
            [compiler, *words],
            cwd=self._folder,
            env=dict(self._environment),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{output}: {shlex.join(words)}\n{done.stderr}"
        made.replace(output) if made.stat().st_dev == output.parent.stat().st_dev else output.write_bytes(
            made.read_bytes()
        )
        output.chmod(0o755)

    def _beside(self, folder: Path, name: str, source: Path) -> str:
        """Copy a case's library to where the linker may read it; without a soname, it is asked for by that path."""
        copy = source.with_suffix(".beside") / Path(name).name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((folder / name).read_bytes())
        return copy.relative_to(self._folder).as_posix()


# Archives: the same bytes whenever they are made


def write_wheel(folder: Path, case: Case) -> bytes:
    distribution = case.name.replace("-", "_")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    info = f"{distribution}-1.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n".encode()
    pure = str(case.tag.endswith("-any")).lower()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: corpus\nRoot-Is-Purelib: {pure}\nTag: {case.tag}\n".encode()
    )
    record = "".join(f"{name},sha256={_record_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return output.getvalue()


def _record_digest(data: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def installed_name(case: Case) -> str:
    """Return the name under which a camera installs the .eap of *case*."""
    return case.name.replace("-", "_")


def package_files(architecture: Architecture, name: str) -> dict[str, str]:
    """Return what an .eap has besides its program, as the vendor's tools write it."""
    settings: dict[str, object] = {"PACKAGENAME": name, "MENUNAME": name, "APPTYPE": architecture, "APPNAME": name}
    settings |= {"APPMAJORVERSION": 1, "APPMINORVERSION": 0, "APPMICROVERSION": 0}
    settings |= {"APPUSR": "sdk", "APPGRP": "sdk", "STARTMODE": "never"}
    lines = "".join(f'{key}="{value}"\n' for key, value in settings.items())
    return {"package.conf": lines, "param.conf": "", "LICENSE": "none\n"}


def write_eap(folder: Path) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.mode = path.stat().st_mode & 0o777
            if path.is_dir():
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = path.stat().st_size
                archive.addfile(info, io.BytesIO(path.read_bytes()))
    return gzip.compress(tar.getvalue(), mtime=0)
