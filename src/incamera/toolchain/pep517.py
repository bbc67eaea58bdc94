"""Cross-building a project's wheel with its own build back end (PEP 517)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.disk import remove_tree
from incamera.elf import is_elf
from incamera.elf.debug import DEBUG_FOLDER
from incamera.errors import BuildError, ToolFailed
from incamera.toolchain.build_folder import BuildFolder, Toolchain, prepare
from incamera.toolchain.build_system import BuildSystem, load_build_system, requirement_names
from incamera.toolchain.copying import copy_project, update_copy
from incamera.toolchain.explain import explain_limited, explain_output, find_hint
from incamera.toolchain.headers import link_headers
from incamera.toolchain.hooks import call_hook, require_strings
from incamera.toolchain.isolation import Entry, make_private_folders, make_root, system_folders
from incamera.toolchain.limited_run import LimitReached, run_limited
from incamera.toolchain.meson import with_cross_file
from incamera.toolchain.network import Refusals, refusing_downloads
from incamera.toolchain.options import Setting, with_build_folder
from incamera.toolchain.rust import refuse_rust
from incamera.toolchain.wheel_build import WheelBuild, deliver_wheel, require_wheel
from incamera.toolchain.wheel_check import check_wheel
from incamera.toolchain.wheel_paths import clean_wheel, strip_elf

if TYPE_CHECKING:
    from incamera.toolchain.emulator import Emulator

# Back ends that may run programs that they have compiled. Meson does so first of all.
_RUN_PROGRAMS = frozenset({"meson", "meson-python", "cmake", "scikit-build", "scikit-build-core"})


def build_wheel(
    build: WheelBuild,
    toolchain: Toolchain,
    destination: Path,
    *,
    libraries: Path | None = None,
    keep: Path | None = None,
) -> Path:
    """Build a project for the toolchain's target, and return the wheel in the folder *destination*.

    The wheel's binaries are stripped. What debug information they had is in a folder beside the wheel.

    *libraries*: a folder that gets a copy of each shared library that the build makes.
    *keep*: a folder in which the build happens, and which stays. The next build in it compiles only what has changed.
    Without it, every build starts from nothing, so that others get the same result.

    Raises ToolFailed, with the compiler's errors first, and BuildError when the project cannot be cross-built or the
    wheel is for another machine than the target.
    """
    with _building(build, toolchain, keep) as builder:
        folder = builder.prepare()
        if build.requirements.ask_back_end and (more := builder.ask_requirements(folder)):
            folder = builder.prepare(more)
        name = builder.call("build_wheel", folder, str(builder.wheels))
        for dropped in folder.dropped:
            build.warn(f"left out {dropped}: a folder or an option of this computer")
        for wanted in builder.refusals.wanted:
            build.warn(f"the build tried to download {wanted}, which is refused, and continued without it")
        wheel = require_wheel(builder.wheels, name, builder.system.backend, builder.scratch / "wheel")
        check_wheel(wheel, toolchain.target)
        debug = destination / DEBUG_FOLDER
        clean_wheel(wheel, folder.root, debug)
        if libraries is not None:
            _copy_libraries(folder.project, libraries, debug)
        return deliver_wheel(wheel, destination)


def find_requirements(build: WheelBuild, toolchain: Toolchain) -> tuple[str, ...]:
    """Return what the build requires: what the project says, and what its back end adds. Raises as `build_wheel`."""
    with _building(build, toolchain, None) as builder:
        folder = builder.prepare()
        return (*builder.named, *builder.ask_requirements(folder))


@contextmanager
def _building(build: WheelBuild, toolchain: Toolchain, keep: Path | None) -> Iterator[_Builder]:
    """Yield what calls the back end; afterwards, write the log and remove what no other build needs."""
    system = load_build_system(build.project)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    with (
        nullcontext(keep) if keep else build.store.temporary() as scratch,
        refusing_downloads(scratch if build.isolated else None) as refusals,
    ):
        if keep:
            update_copy(build.project, scratch / "build/project", build.leaves_out, record=scratch / "copied.json")
        else:
            copy_project(build.project, scratch / "build/project", build.leaves_out)
        builder = _Builder(build, system, toolchain, scratch, refusals, keep_objects=keep is not None)
        try:
            yield builder
        finally:
            if build.log is not None:
                build.log.write_bytes(builder.read_log())
            if not keep:
                _remove_bytecode(toolchain, scratch)


def _copy_libraries(project: Path, destination: Path, debug: Path) -> None:
    try:
        found = sorted(project.rglob("lib*.so*"))
    except RecursionError:
        raise BuildError("the build has nested folders too deep to look into", hint="do not use this package") from None
    for library in found:
        # Meson's folder of objects and its list of symbols have such names, too.
        if library.is_file() and not library.is_symlink() and is_elf(library):
            (destination / library.name).write_bytes(strip_elf(library.read_bytes(), debug))


class _Builder:
    """Calls the hooks of one back end, each in its own process."""

    def __init__(
        self,
        build: WheelBuild,
        system: BuildSystem,
        toolchain: Toolchain,
        scratch: Path,
        refusals: Refusals,
        *,
        keep_objects: bool,
    ) -> None:
        self._build = build
        self.system = system
        self._toolchain = toolchain
        self.scratch = scratch
        self.refusals = refusals
        self.wheels = scratch / "wheels"
        self.wheels.mkdir(exist_ok=True)
        given = build.options.build_requires
        self.named = system.requires if given is None else given
        self._keep_objects = keep_objects
        self._emulator: Emulator | None = None
        self._settings: dict[str, str | list[str]] = {}
        self._logs: list[Path] = []

    def prepare(self, more: Sequence[str] = ()) -> BuildFolder:
        """Return a folder ready for the build, with the project's requirements and *more*, which the back end named."""
        build = self._build
        requirements = [*self.named, *more]
        names = requirement_names(requirements)
        refuse_rust(requirements, package=build.project.name, hint=build.hint)
        tree = build.requirements.install(requirements, self._toolchain.interpreter)
        folder = self.scratch / "build"
        for made in folder.iterdir():  # by an earlier call, with fewer requirements
            if made.name not in ("project", "objects"):
                made.unlink() if made.is_symlink() or made.is_file() else remove_tree(made)
        if self._emulator is None and self._toolchain.ensure_emulator and names & _RUN_PROGRAMS:
            self._emulator = self._toolchain.ensure_emulator()
        prepared = prepare(self._toolchain, tree, folder, emulator=self._emulator)
        settings: Mapping[str, Setting] = build.options.settings
        if self._keep_objects:
            settings = with_build_folder(settings, names, folder / "objects")
        if "meson-python" in names:
            settings = with_cross_file(settings, prepared.cross_file)
        self._settings = {
            key: prepared.expand(value) if isinstance(value, str) else [prepared.expand(word) for word in value]
            for key, value in settings.items()
        }
        return prepared

    def ask_requirements(self, folder: BuildFolder) -> tuple[str, ...]:
        """Return what the back end requires besides what the project says."""
        hook = "get_requires_for_build_wheel"
        return require_strings(self.call(hook, folder), hook)

    def call(self, hook: str, folder: BuildFolder, *arguments: str) -> Any:
        """Return what the back end's *hook* returns. Raises ToolFailed, with the compiler's errors first."""
        own = {key: folder.expand(value) for key, value in self._build.options.environment.items()}

        def run(command: Sequence[str], cwd: str | None, more: Mapping[str, str] | None) -> None:
            log = self.scratch / f"log-{len(self._logs)}"
            self._logs.append(log)
            where = folder.project if cwd is None else Path(cwd)
            environment = {**folder.environment, **self.refusals.environment, **self._build.environment}
            environment |= {**own, **(more or {})}
            if self._build.isolated:
                command, where, environment = self._isolate(command, where, environment, folder), self.scratch, {}
            run_limited(
                command,
                purpose=f"build {self._toolchain.target} wheel ({hook})",
                env=environment,
                folders=(where, self.scratch),
                log=log,
                limits=self._build.limits,
                hint=self._build.hint,
            )

        try:
            return call_hook(
                self.system,
                hook,
                arguments,
                project=folder.project,
                python=folder.python,
                settings=self._settings,
                run=run,
            )
        except ToolFailed as failure:
            raise self._explain(failure, folder) from failure

    def _isolate(
        self, command: Sequence[str], cwd: Path, environment: Mapping[str, str], folder: BuildFolder
    ) -> list[str]:
        """Return the command line that runs *command*, of the hooks' runner, where it can write to *folder* only.

        All folders have the same path in there, since scripts and compilers have been told these.
        """
        python, script, hook, call = command  # the last: a folder for arguments and result
        copied = Path(shutil.copy(script, self.scratch / "hooks.py"))  # the original may be in the user's home
        root = self.scratch / "root"
        make_root(root)
        # Containers for cross builds collect headers here, so there are projects that search each of its folders.
        link_headers(root / "include", folder.headers)
        private = make_private_folders(self.scratch)
        entry = Entry(
            root=root,
            cwd=str(cwd),
            environment=environment,
            read_only={**system_folders(root), **{str(path): path for path in (*folder.reads, copied)}},
            writable={**private, **{str(path): path for path in (folder.root, self.wheels, Path(call))}},
            refusals=self.refusals.socket,
        )
        return entry.command([python, str(copied), hook, call])

    def read_log(self) -> bytes:
        """Return everything that the hooks have printed."""
        return b"\n".join(log.read_bytes() for log in self._logs if log.exists())

    def _explain(self, failure: ToolFailed, folder: BuildFolder) -> ToolFailed:
        """Return *failure* with the compiler's errors first, since the back end's traceback says little."""
        log = self._logs[-1]
        printed = log.read_text("utf-8", "replace") if log.exists() else failure.tail
        printed = printed.replace(f"{folder.root}/project/", "").replace("/incamera/project/", "")
        lines = printed.splitlines()[1:]
        limited = isinstance(failure, LimitReached)
        tail = explain_limited(lines) if limited else explain_output(lines, folder.dropped)
        if not self.refusals.wanted:
            return ToolFailed(str(failure), hint=failure.hint or find_hint(printed), tail=tail)
        wanted = ", ".join(self.refusals.wanted)
        return ToolFailed(
            f"{failure}: it tried to download {wanted}, and builds may not download",
            hint=failure.hint
            or "add a -dev package that has what the build looks for, or switch it off in the build's settings",
            tail=tail,
        )


def _remove_bytecode(toolchain: Toolchain, scratch: Path) -> None:
    # The byte-code cache is by path, and this temporary path is never used again.
    if toolchain.bytecode_cache is not None:
        with suppress(OSError):
            remove_tree(toolchain.bytecode_cache / str(scratch.absolute())[1:])
