"""What each package of the list costs, on both architectures, and whether it works: writes docs/reference/packages.md.

For each, a project that asks for nothing else is locked, built and run in a virtual camera, where its recipe's [test]
must succeed. The store has the interpreter, the compiler and the camera by then, but nothing of the package itself.
What was measured is kept, so that this can be stopped, and so that a single package can be measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from incamera.project.recipes import load_recipes
from incamera.targets.architecture import Architecture
from measure import INCAMERA, ROOT, CannotMeasure, Failed, Figure, environment, main, run, say

PACKAGES = (
    *("numpy", "scipy", "pillow", "opencv-python-headless", "pyyaml", "psutil", "cffi", "msgspec", "ujson", "lz4"),
    *("zstandard", "lxml", "cryptography", "pydantic", "aiohttp", "websockets", "pyzmq", "paho-mqtt", "protobuf"),
    *("grpcio", "shapely", "scikit-image", "tflite-runtime", "ai-edge-litert", "onnxruntime", "debugpy", "ipykernel"),
    *("tqdm", "attrs", "jinja2"),
)
PAGE = ROOT / "docs/reference/packages.md"
KEPT = ROOT / ".incamera/bench-packages"
_MB = 1e6
_INTRODUCTION = """\
# Packages

Written by `bench/packages.py` from real runs. Don't edit it. Each package was the only dependency of a project. That
was locked and built for Python 3.11 (Debian 12) and deployed to a virtual camera (`axis-os-11-…`), where the `[test]`
of [its recipe](recipes.md) was run.

- **source**: a `wheel` from the package index, a Debian package (`deb`), or an `sdist` that was built for the camera.
- **seconds**: from `incamera lock` to a usable bundle, with all downloads. The store had the interpreter and the
  compiler before, but nothing of the package: no index page, no file, no build requirement.
- **adds**: how much larger the unpacked bundle is than one without packages. Dependencies are included.

To measure again: `.venv/bin/python bench/packages.py` (what is missing), `--only NAME` (one package), `--all`.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What became of one package on one architecture. *refusal*: why it cannot work there, and what to use instead."""

    version: str = ""
    source: str = ""
    seconds: float = 0.0
    bytes: int = 0
    works: bool = False
    refusal: str = ""
    built_before: bool = False


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    architectures = [Architecture(name) for name in arguments.architecture or [item.value for item in Architecture]]
    for name in arguments.only or ():
        if name not in PACKAGES:
            raise CannotMeasure(f"{name} is not in the list: {', '.join(PACKAGES)}")
    KEPT.mkdir(parents=True, exist_ok=True)
    rows = _load()
    if not arguments.page:
        for architecture in architectures:
            _measure_architecture(architecture, rows, arguments)
    PAGE.write_text(make_page(rows, platform.machine(), os.cpu_count() or 1), "utf-8")
    return _figures(rows)


def _measure_architecture(
    architecture: Architecture, rows: dict[str, dict[str, Row]], arguments: argparse.Namespace
) -> None:
    wanted = [
        name for name in arguments.only or PACKAGES if arguments.only or arguments.all or name not in rows[architecture]
    ]
    if not wanted:
        return
    empty = _warm_up(architecture)
    for name in wanted:
        say(f"{architecture}: {name}")
        row = _measure_package(name, architecture, empty, arguments.built_before)
        say(f"{architecture}: {name} {row.version} {row.source}, {row.seconds:.1f} s, {'works' if row.works else 'no'}")
        rows[architecture][name] = row
        _save(rows)


def _warm_up(architecture: Architecture) -> int:
    """Fill a store with what every package needs alike. Returns the size of a bundle without packages."""
    say(f"{architecture}: a store with the interpreter, the compiler and the camera")
    env = environment(KEPT / "store")
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        # Any small package does that is not in the list, nor needed by one: it has the compiler fetched.
        source = 'sources = { simplejson = "sdist" }'
        compiled = _write_project(Path(folder) / "compiled", "simplejson", architecture, source)
        plain = _write_project(Path(folder) / "plain", None, architecture)
        for project in (compiled, plain):
            run([INCAMERA, "lock"], env=env, cwd=project)
            done = run([INCAMERA, "build", "--json"], env=env, cwd=project)
    run([INCAMERA, "virtual", "start", _profile(architecture)], env=env)
    run([INCAMERA, "virtual", "stop", "--all"], env=env)
    return int(done.document["tree_bytes"])


def _measure_package(name: str, architecture: Architecture, empty: int, built_before: Path | None) -> Row:
    refusal = load_recipes(architecture).find(name).sdist.refuse or ""
    with tempfile.TemporaryDirectory(dir=KEPT, ignore_cleanup_errors=True) as folder:
        store = Path(folder) / "store"
        # Of links to the files: its own pages, files and trees are gone with it.
        shutil.copytree(KEPT / "store", store, symlinks=True, copy_function=os.link)
        if built_before is not None:
            wheels = "trees/built-wheels"
            shutil.copytree(built_before / wheels, store / wheels, copy_function=os.link, dirs_exist_ok=True)
        env = environment(store)
        project = _write_project(Path(folder) / "project", name, architecture)
        locked = run([INCAMERA, "lock"], env=env, cwd=project, check=False)
        if not (project / f"pylock.{architecture}-cp311.toml").exists():
            if not refusal:
                raise Failed(f"{name} cannot be locked for {architecture}, and its recipe doesn't say why")
            return Row(refusal=refusal)
        built = run([INCAMERA, "build", "--json"], env=env, cwd=project)
        found = next(item for item in built.document["distributions"] if item["name"] == name)
        return Row(
            version=found["version"],
            source=found["source"],
            seconds=locked.seconds + built.seconds,
            bytes=int(built.document["tree_bytes"]) - empty,
            works=_works(project, architecture, env),
            built_before=built_before is not None and found["source"] == "sdist",
        )


def _works(project: Path, architecture: Architecture, env: Mapping[str, str]) -> bool:
    """Run the project in a virtual camera of its own. Returns whether it came to a good end."""
    try:
        run([INCAMERA, "virtual", "start", _profile(architecture), "--name", "bench"], env=env)
        run([INCAMERA, "run", "--device", "bench"], env=env, cwd=project)
    except Failed as error:
        say(str(error))
        return False
    finally:
        run([INCAMERA, "virtual", "stop", "--all"], env=env)
    return True


def _write_project(folder: Path, name: str | None, architecture: Architecture, settings: str = "") -> Path:
    folder.mkdir()
    dependencies = json.dumps([name] if name else [])
    table = f'[tool.incamera]\ntargets = ["{architecture}"]\n{settings}\n'
    (folder / "pyproject.toml").write_text(f'[project]\nname = "bench"\ndependencies = {dependencies}\n\n{table}')
    test = load_recipes(architecture).find(name or "").test
    imports = "".join(f"import {module}\n" for module in test.imports)
    (folder / "app.py").write_text(imports + test.code, "utf-8")
    return folder


def _profile(architecture: Architecture) -> str:
    return f"axis-os-11-{architecture}"


def _load() -> dict[str, dict[str, Row]]:
    file = KEPT / "rows.json"
    kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return {arch: {name: Row(**row) for name, row in kept.get(arch, {}).items()} for arch in Architecture}


def _save(rows: Mapping[str, Mapping[str, Row]]) -> None:
    document = {arch: {name: asdict(row) for name, row in found.items()} for arch, found in rows.items()}
    file = KEPT / "rows.json"
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=2), "utf-8")
    partial.replace(file)


def make_page(rows: Mapping[str, Mapping[str, Row]], machine: str, processors: int) -> str:
    lines = [_INTRODUCTION, f"Measured on {processors} cores of {machine}."]
    for arch, found in rows.items():
        lines += ["", f"## {arch}", "", "| package | version | source | seconds | adds | works |"]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        refused = []
        for name in PACKAGES:
            row = found.get(name)
            if row is None:
                lines.append(f"| {name} | not measured yet | | | | |")
            elif row.refusal:
                lines.append(f"| {name} | – | none | | | no, see below |")
                refused.append(f"- **{name}**: {row.refusal}.")
            else:
                works = "yes" if row.works else "**no**"
                size = f"{row.bytes / _MB:.1f} MB"
                seconds = f"{row.seconds:.1f}" + ("*" if row.built_before else "")
                lines.append(f"| {name} | {row.version} | {row.source} | {seconds} | {size} | {works} |")
        if any(row.built_before for row in found.values()):
            lines += [
                "",
                "\\* with a wheel that had been built before, which took [half an hour](../explanation/opencv.md).",
            ]
        lines += ["", *refused] if refused else []
    return "\n".join(lines) + "\n"


def _figures(rows: Mapping[str, Mapping[str, Row]]) -> list[Figure]:
    figures = []
    for arch, found in rows.items():
        possible = [row for row in found.values() if not row.refusal]
        figures.append(
            Figure(
                name=f"{arch}: packages that work",
                value=sum(row.works for row in possible),
                unit="",
                least=sum(name not in found or not found[name].refusal for name in PACKAGES),
                baseline=f"{len(PACKAGES)} in the list",
            )
        )
    return figures


def add_options(parser: argparse.ArgumentParser) -> None:
    choices = [item.value for item in Architecture]
    parser.add_argument("--architecture", action="append", choices=choices, help="this one only")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this package, again if need be")
    parser.add_argument("--all", action="store_true", help="measure everything again")
    parser.add_argument(
        "--built-before", type=Path, metavar="STORE", help="take wheels that were built from this store: OpenCV's"
    )
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page from what is kept")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=4 * 3600, add_options=add_options))
