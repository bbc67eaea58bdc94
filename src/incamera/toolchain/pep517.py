"""Building a project's wheel through its own back end, for a target that isn't this computer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera import proc
from incamera.elf import is_elf
from incamera.errors import BuildError, ToolFailed
from incamera.toolchain.build_env import ensure_build_requirements
from incamera.toolchain.build_folder import BuildFolder, Toolchain, prepare
from incamera.toolchain.build_system import BuildSystem, load_build_system, requirement_names
from incamera.toolchain.copying import copy_project, update_copy
from incamera.toolchain.explain import explain_output
from incamera.toolchain.hooks import call_hook
from incamera.toolchain.meson import with_cross_file
from incamera.toolchain.network import Refusals, refusing_downloads
from incamera.toolchain.options import BuildOptions, Setting, with_build_folder
from incamera.toolchain.rust import refuse_rust
from incamera.toolchain.wheel_check import check_wheel
from incamera.toolchain.wheel_paths import forget_folder

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.toolchain.emulator import Emulator

# Back ends that may run what they have compiled: meson does so before anything else.
_RUN_PROGRAMS = frozenset({"meson", "meson-python", "cmake", "scikit-build", "scikit-build-core"})


def build_wheel(
    project: Path,
    toolchain: Toolchain,
    store: Store,
    destination: Path,
    *,
    options: BuildOptions | None = None,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    hint: str | None = None,
    note: Callable[[str], None] = lambda _: None,
    libraries: Path | None = None,
    keep: Path | None = None,
) -> Path:
    """Build *project*, a folder, for the toolchain's target, and return the wheel in *destination*.

    *keep* is a folder for the build to happen in, and to stay: of an unchanged source the back end finds the object
    there. Without it every build begins from nothing, as one that is to be repeated elsewhere should.

    *options* are a recipe's. *log* gets all that was printed. *environment* is the user's, for the package index.
    *hint* says what to do instead when the build fails. *note* is told what the compilers' driver left out, and what
    the build would have downloaded. Raises ToolFailed, with the compiler's words first, and BuildError when the wheel
    is for another machine than the target, or the project can't be cross-built.
    """
    system = load_build_system(project)
    with nullcontext(keep) if keep else store.temporary() as scratch, refusing_downloads() as refusals:
        if keep:
            update_copy(project, scratch / "build/project", record=scratch / "copied.json")
        else:
            copy_project(project, scratch / "build/project")
        builder = _Builder(
            project.name, system, toolchain, store, scratch, options or BuildOptions(), refusals, hint, bool(keep)
        )
        try:
            folder = builder.prepare((), environment)
            if more := builder.call("get_requires_for_build_wheel", folder):
                folder = builder.prepare(more, environment)
            wheels = scratch / "wheels"
            wheels.mkdir(exist_ok=True)
            name = builder.call("build_wheel", folder, str(wheels))
        finally:
            if log is not None:
                log.write_bytes(builder.read_log())
            if not keep:
                _forget_bytecode(toolchain, scratch)
        for dropped in folder.dropped:
            note(f"left out {dropped}: a folder or an option of this computer")
        for wanted in refusals.wanted:
            note(f"the build did without {wanted}, which it wanted to download")
        built = wheels / Path(str(name)).name
        if not built.is_file():
            raise BuildError(f"{system.backend} says that it made {name}, but there is no such file")
        check_wheel(built, toolchain.target)
        forget_folder(built, folder.root)
        if libraries is not None:
            for library in folder.project.rglob("lib*.so*"):
                # Not meson's folder of objects, nor its list of symbols, which are called the same.
                if library.is_file() and not library.is_symlink() and is_elf(library):
                    shutil.copyfile(library, libraries / library.name)
        destination.mkdir(parents=True, exist_ok=True)
        partial = destination / f".{built.name}.partial"
        shutil.copyfile(built, partial)
        return partial.replace(destination / built.name)


class _Builder:
    """Calls the hooks of one back end, each in a process of its own."""

    def __init__(
        self,
        name: str,
        system: BuildSystem,
        toolchain: Toolchain,
        store: Store,
        scratch: Path,
        options: BuildOptions,
        refusals: Refusals,
        hint: str | None,
        keeps: bool,
    ) -> None:
        self._name = name
        self._system = system
        self._toolchain = toolchain
        self._store = store
        self._scratch = scratch
        self._options = options
        self._refusals = refusals
        self._hint = hint
        self._keeps = keeps
        self._emulator: Emulator | None = None
        self._settings: dict[str, str | list[str]] = {}
        self._logs: list[Path] = []

    def prepare(self, more: Sequence[str], environment: Mapping[str, str] | None) -> BuildFolder:
        """Make all ready for the project's requirements and *more*, those that the back end has asked for."""
        given = self._options.build_requires
        requirements = [*(self._system.requires if given is None else given), *more]
        names = requirement_names(requirements)
        refuse_rust(requirements, package=self._name, hint=self._hint)
        tree, _ = ensure_build_requirements(
            self._store, self._toolchain.interpreter, requirements, environment=environment, hint=self._hint
        )
        folder = self._scratch / "build"
        for made in folder.iterdir():  # of an earlier call, with fewer requirements
            if made.name not in ("project", "objects"):
                made.unlink() if made.is_symlink() or made.is_file() else shutil.rmtree(made)
        if self._emulator is None and self._toolchain.ensure_emulator and names & _RUN_PROGRAMS:
            self._emulator = self._toolchain.ensure_emulator()
        ready = prepare(self._toolchain, tree, folder, emulator=self._emulator)
        settings: Mapping[str, Setting] = self._options.settings
        if self._keeps:
            settings = with_build_folder(settings, names, folder / "objects")
        if "meson-python" in names:
            settings = with_cross_file(settings, ready.cross_file)
        self._settings = {
            key: ready.expand(value) if isinstance(value, str) else [ready.expand(word) for word in value]
            for key, value in settings.items()
        }
        return ready

    def call(self, hook: str, folder: BuildFolder, *arguments: str) -> Any:
        own = {key: folder.expand(value) for key, value in self._options.environment.items()}

        def run(command: Sequence[str], cwd: str | None, more: Mapping[str, str] | None) -> None:
            log = self._scratch / f"log-{len(self._logs)}"
            self._logs.append(log)
            proc.run(
                command,
                purpose=f"build {self._toolchain.target} wheel ({hook})",
                env={**folder.environment, **self._refusals.environment, **own, **(more or {})},
                cwd=folder.project if cwd is None else Path(cwd),
                log=log,
                hint=self._hint,
            )

        try:
            return call_hook(
                self._system,
                hook,
                arguments,
                project=folder.project,
                python=folder.python,
                settings=self._settings,
                run=run,
            )
        except ToolFailed as failure:
            raise self._explain(failure, folder) from failure

    def read_log(self) -> bytes:
        return b"\n".join(log.read_bytes() for log in self._logs if log.exists())

    def _explain(self, failure: ToolFailed, folder: BuildFolder) -> ToolFailed:
        """Return *failure* with the compiler's own lines first: the back end's traceback says little."""
        log = self._logs[-1]
        printed = log.read_text("utf-8", "replace") if log.exists() else failure.tail
        printed = printed.replace(f"{folder.root}/project/", "").replace("/incamera/project/", "")
        tail = explain_output(printed.splitlines()[1:], folder.dropped)
        if not self._refusals.wanted:
            return ToolFailed(str(failure), hint=failure.hint, argv=failure.argv, tail=tail)
        wanted = ", ".join(self._refusals.wanted)
        return ToolFailed(
            f"{failure}: it wanted to download {wanted}, and builds may not download",
            hint=failure.hint or "give the build what it looks for as a -dev package, or tell it to do without",
            argv=failure.argv,
            tail=tail,
        )


def _forget_bytecode(toolchain: Toolchain, scratch: Path) -> None:
    # The cache of byte-code is by path, and this path never comes again.
    if toolchain.bytecode_cache is not None:
        shutil.rmtree(toolchain.bytecode_cache / str(scratch.absolute())[1:], ignore_errors=True)
