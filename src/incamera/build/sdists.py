"""fetch and build: the files of a lock's distributions, and a wheel of each that comes as an sdist."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.keys import sdist_wheel_key
from incamera.errors import BuildError, ToolFailed
from incamera.project.lockfile import LockedFile

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.debian.index import PackageIndex
    from incamera.project.lockfile import Lock
    from incamera.project.recipes import Recipe
    from incamera.targets.target import Target
    from incamera.toolchain.build_folder import Toolchain
    from incamera.toolchain.options import BuildOptions
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile


def open_indexes(context: Context, *, fresh: bool = False) -> PackageIndexes:
    """Return the package indexes that the user's pip is set up for; *fresh*: each page is asked for again."""
    from incamera.simple_index import find_index_urls
    from incamera.wheels.index import PackageIndexes

    age = {"max_age": 0.0} if fresh else {}
    urls = find_index_urls(context.environment)
    return PackageIndexes(urls, context.http, context.store, note=context.reporter.warn, **age)


def require_metadata(
    context: Context, target: Target, indexes: PackageIndexes, file: IndexFile, recipe: Recipe
) -> Metadata:
    """Return what *file* needs. Raises BuildError for a release that cannot be used."""
    from incamera.wheels.metadata import fetch_sdist_metadata, fetch_wheel_metadata

    if file.kind == "wheel":
        return fetch_wheel_metadata(file, context.http, context.store)
    if not recipe.sdist.versions:  # nobody has tried it: look whether it can be built at all
        _require_buildable(context, file)
    # All wheels of a release say the same, but for a few that were made by hand: one for another machine will do.
    for other in indexes.find(file.project, version=file.version):
        if other.kind == "wheel":
            return fetch_wheel_metadata(other, context.http, context.store)
    return fetch_sdist_metadata(file, context.http, context.store) or _built_metadata(context, target, file, recipe)


def _require_buildable(context: Context, file: IndexFile) -> None:
    """Raises BuildError for an sdist whose build system cannot work here, as Rust's."""
    from incamera.toolchain.build_system import load_build_system
    from incamera.toolchain.rust import refuse_rust
    from incamera.toolchain.sdist import unpack_sdist
    from incamera.wheels.fetch import fetch_files

    blob = fetch_files([file], context.http, context.store)[file]
    with context.store.temporary() as folder:
        project = unpack_sdist(blob, folder)
        refuse_rust(load_build_system(project).requires, package=f"{file.project} {file.version}")


def _built_metadata(context: Context, target: Target, file: IndexFile, recipe: Recipe) -> Metadata:
    """What an sdist needs that says so only once it's built; the wheel is kept for the build."""
    import zipfile

    from incamera.wheels.metadata import parse_metadata

    locked = LockedFile(filename=file.filename, url=file.url, sha256=file.sha256, size=file.size)
    source = "emulated" if recipe.sdist.builder == "emulated" else "sdist"
    wheel = ensure_built_wheel(context, target, file.project, source, locked, recipe, compiler="gcc")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return parse_metadata(archive.read(name), wheel.name)


def runtime_debs(index: PackageIndex, dev: Sequence[str]) -> list[str]:
    """Return the packages with the run-time libraries of *dev* packages: those of the very same version."""
    found: list[str] = []
    waiting = list(dev)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or not (debs := index.find(name)):
            continue
        seen.add(name)
        for relation in debs[0].requirements:
            needed = relation[0]
            if needed.name.endswith("-dev"):
                waiting.append(needed.name)
            elif needed.operator == "=" and needed.name.startswith("lib"):
                found.append(needed.name)
    return sorted(dict.fromkeys(found))


def fetch_distributions(context: Context, lock: Lock) -> Mapping[LockedFile, Path]:
    """Return each wheel and sdist of *lock* in the store, fetched where it isn't there."""
    from incamera.wheels.fetch import fetch_files

    files = [item.file for item in lock.distributions if item.file is not None]
    if not files:
        return {}
    with context.reporter.step("fetch") as step:
        missing = [file for file in files if context.store.find_blob(file.sha256) is None]
        step.cached = not missing
        with step.progress(sum(file.size or 0 for file in missing)) as progress:
            blobs = fetch_files(files, context.http, context.store, progress=progress, indexes=open_indexes(context))
        step.note(f"{len(missing)} of {len(files)} wheels and sdists" if missing else "all there")
    return blobs


def ensure_built_wheel(
    context: Context,
    target: Target,
    name: str,
    source: str,
    file: LockedFile,
    recipe: Recipe,
    *,
    compiler: str,
) -> Path:
    """Return the wheel of an sdist, built and repaired once and kept in the store. Raises BuildError, ToolFailed."""
    from incamera.toolchain.sdist import unpack_sdist
    from incamera.wheels.fetch import fetch_files

    key = sdist_wheel_key(file, source, recipe, target, compiler)
    if found := context.store.find_tree("built-wheels", key):
        return next(found.glob("*.whl"))
    log = context.store.root / "logs" / f"{name}-{target}-{key[:8]}.log"
    log.parent.mkdir(exist_ok=True)
    blob = fetch_files([file], context.http, context.store)[file]

    def build(tree: Path) -> None:
        context.reporter.info(f"building {name} from its sdist" + (f": {recipe.why}" if recipe.why else ""))
        with context.store.temporary() as folder:
            unpacked = unpack_sdist(blob, folder / "source")
            _apply_edits(unpacked, recipe)
            make = _build_emulated if source == "emulated" else _build_cross
            make(context, target, recipe, unpacked, tree, log, compiler)

    try:
        tree, _ = context.store.ensure_tree("built-wheels", key, build)
    except ToolFailed as failure:
        raise _explain_failure(failure, name, source, target, log) from failure
    return next(tree.glob("*.whl"))


def _apply_edits(source: Path, recipe: Recipe) -> None:
    for edit in recipe.sdist.edits:
        path = source / edit.file
        text = path.read_text("utf-8", "surrogateescape") if path.is_file() else ""
        if text.count(edit.old) != 1:
            raise BuildError(
                f"the recipe for {recipe.name} does not fit {source.name}: {edit.file} has {edit.old!r} "
                f"{text.count(edit.old)} times, not once",
                hint="set the versions that it was tried with in [sdist] versions",
            )
        path.write_text(text.replace(edit.old, edit.new), "utf-8", "surrogateescape")


def _build_cross(
    context: Context, target: Target, recipe: Recipe, source: Path, tree: Path, log: Path, compiler: str
) -> None:
    from incamera.build.toolchain import ensure_toolchain
    from incamera.toolchain.pep517 import build_wheel
    from incamera.toolchain.plan import Compiler

    toolchain = ensure_toolchain(context, target, Compiler.parse(compiler), dev=recipe.sdist.dev)
    with context.reporter.step("build") as step, context.store.temporary() as scratch:
        libraries = scratch / "libraries"
        libraries.mkdir()
        built = build_wheel(
            source,
            toolchain,
            context.store,
            scratch,
            options=_options(recipe),
            log=log,
            environment=context.environment,
            libraries=libraries,
        )
        step.note(_repair(built, tree, target, recipe, toolchain, libraries).name)


def _repair(built: Path, tree: Path, target: Target, recipe: Recipe, toolchain: Toolchain, libraries: Path) -> Path:
    """Make the wheel *built* truthful and self-contained, in *tree*: *libraries* are those that its own build made."""
    from incamera.elf import read_elf
    from incamera.wheels.repair import repair_wheel

    private = {read_elf(path).soname or path.name: path for path in sorted(libraries.iterdir())}
    host = toolchain.interpreter.tree
    return repair_wheel(
        built,
        tree,
        target,
        private=private,
        provided=lambda _: True,  # it was linked with, so the sysroot has it, and the bundle will have
        patchelf=host.argv(host.root / "usr/bin/patchelf"),
        drop=recipe.sdist.drop,
    )


def _build_emulated(
    context: Context, target: Target, recipe: Recipe, source: Path, tree: Path, log: Path, compiler: str
) -> None:
    from incamera.build.emulation import ensure_emulated_root, warn_of_emulation
    from incamera.toolchain.emulation import build_wheel_emulated

    warn_of_emulation(context, recipe.name, source, target)
    root = ensure_emulated_root(context, target, dev=recipe.sdist.dev)
    with context.reporter.step("build") as step:
        wheel = build_wheel_emulated(
            source, root, context.store, tree, options=_options(recipe), log=log, environment=context.environment
        )
        step.note(f"{wheel.name}, under emulation")


def _options(recipe: Recipe) -> BuildOptions:
    from incamera.toolchain.options import BuildOptions

    sdist = recipe.sdist
    return BuildOptions(settings=sdist.settings, environment=sdist.environment, build_requires=sdist.build_requires)


def _explain_failure(failure: ToolFailed, name: str, source: str, target: Target, log: Path) -> ToolFailed:
    hint = f"all that was printed is in {log}; "
    if source == "sdist":
        hint += f'to build it under emulation, which takes long: [tool.incamera.sources] {name} = "emulated"'
    else:
        hint += f'choose another version, or another source: [tool.incamera.sources] {name} = "deb"'
    return ToolFailed(
        f"{name} cannot be built for {target}: {failure}", hint=hint, argv=failure.argv, tail=failure.tail
    )
