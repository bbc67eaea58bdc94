"""Building a project's wheel through its own back end, for a target that isn't this computer."""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera import proc
from incamera.errors import BuildError, ConfigError, ToolFailed
from incamera.toolchain.build_env import ensure_build_requirements
from incamera.toolchain.build_folder import BuildFolder, Toolchain, prepare
from incamera.toolchain.wheel_check import check_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from incamera.store import Store

# Folders that no build needs, wherever they are; and those that are somebody's output at the project's top.
_NEVER_COPIED = frozenset(
    (
        *(".git", ".hg", ".svn", ".incamera", ".venv", "venv", ".tox", ".nox", "node_modules"),
        *("__pycache__", ".cache", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    )
)
_NOT_COPIED_FROM_TOP = frozenset({"build", "dist", "wheelhouse"})
_COMPILER_LINES = re.compile(
    r"(:\d+: )?(fatal )?error: |undefined reference|undefined symbol|: cannot find |unable to find .*lib|incamera: ",
    re.IGNORECASE,
)
_SHOWN_LINES = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSystem:
    """`[build-system]` of a project's pyproject.toml, or PEP 517's default."""

    requires: tuple[str, ...] = ("setuptools>=40.8.0",)
    backend: str = "setuptools.build_meta:__legacy__"
    backend_path: tuple[str, ...] | None = None


def load_build_system(project: Path) -> BuildSystem:
    """Raises ConfigError when pyproject.toml can't be read, or [build-system] isn't what PEP 518 says."""
    path = project / "pyproject.toml"
    if not path.exists():
        if not (project / "setup.py").exists():
            raise ConfigError(f"{project} has neither pyproject.toml nor setup.py, so there is nothing to build")
        return BuildSystem()
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("build-system")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return BuildSystem() if table is None else _parse_build_system(path, table)


def _parse_build_system(path: Path, table: object) -> BuildSystem:
    def strings(value: object, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{path}: build-system.{key} must be a list of strings")
        return tuple(value)

    if not isinstance(table, dict):
        raise ConfigError(f"{path}: build-system must be a table")
    if "requires" not in table:
        raise ConfigError(
            f"{path}: build-system.requires is missing", hint='write, for example, requires = ["setuptools>=77"]'
        )
    backend = table.get("build-backend", BuildSystem.__dataclass_fields__["backend"].default)
    if not isinstance(backend, str):
        raise ConfigError(f"{path}: build-system.build-backend must be a string")
    return BuildSystem(
        requires=strings(table["requires"], "requires"),
        backend=backend,
        backend_path=strings(table["backend-path"], "backend-path") if "backend-path" in table else None,
    )


def build_wheel(
    project: Path,
    toolchain: Toolchain,
    store: Store,
    destination: Path,
    *,
    log: Path | None = None,
    settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Path:
    """Build *project* for the toolchain's target, and return the wheel in *destination*.

    *settings* are the back end's config settings. *log* gets all that was printed. *note* is told what the compilers'
    driver left out. Raises ToolFailed, with the compiler's words first, and BuildError when the wheel is for another
    machine than the target.
    """
    system = load_build_system(project)
    with store.temporary() as scratch:
        copy_project(project, scratch / "build/project")
        requirements, _ = ensure_build_requirements(
            store, toolchain.interpreter, system.requires, environment=environment
        )
        builder = _Builder(system, toolchain, scratch, settings)
        folder = builder.prepare(requirements)
        try:
            more = builder.call("get_requires_for_build_wheel", folder)
            if more:
                requirements, _ = ensure_build_requirements(
                    store, toolchain.interpreter, [*system.requires, *more], environment=environment
                )
                folder = builder.prepare(requirements)
            wheels = scratch / "wheels"
            wheels.mkdir()
            name = builder.call("build_wheel", folder, str(wheels))
        finally:
            if log is not None:
                log.write_bytes(builder.read_log())
            _forget_bytecode(toolchain, scratch)
        for dropped in folder.dropped:
            note(f"left out {dropped}: a folder or an option of this computer")
        built = wheels / Path(str(name)).name
        if not built.is_file():
            raise BuildError(f"{system.backend} says that it made {name}, but there is no such file")
        check_wheel(built, toolchain.target)
        destination.mkdir(parents=True, exist_ok=True)
        partial = destination / f".{built.name}.partial"
        shutil.copyfile(built, partial)
        return partial.replace(destination / built.name)


class _Builder:
    """Calls the hooks of one back end, each in a process of its own."""

    def __init__(
        self, system: BuildSystem, toolchain: Toolchain, scratch: Path, settings: Mapping[str, str] | None
    ) -> None:
        self._system = system
        self._toolchain = toolchain
        self._scratch = scratch
        self._settings = dict(settings) if settings else None
        self._logs: list[Path] = []

    def prepare(self, requirements: Path) -> BuildFolder:
        folder = self._scratch / "build"
        for made in folder.iterdir():  # of an earlier call, with fewer requirements
            if made.name != "project":
                made.unlink() if made.is_symlink() or made.is_file() else shutil.rmtree(made)
        return prepare(self._toolchain, requirements, folder)

    def call(self, hook: str, folder: BuildFolder, *arguments: str) -> Any:
        import warnings

        import pyproject_hooks

        def run(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
            log = self._scratch / f"log-{len(self._logs)}"
            self._logs.append(log)
            proc.run(
                cmd,
                purpose=f"build {self._toolchain.target} wheel ({hook})",
                env={**folder.environment, **(extra_environ or {})},
                cwd=folder.project if cwd is None else Path(cwd),
                log=log,
            )

        try:
            caller = pyproject_hooks.BuildBackendHookCaller(
                str(folder.project),
                self._system.backend,
                None if self._system.backend_path is None else list(self._system.backend_path),
                runner=run,
                python_executable=str(folder.python),
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the back end's; they are in the log
                return getattr(caller, hook)(*arguments, config_settings=self._settings)
        except ToolFailed as failure:
            raise self._explain(failure, folder) from failure
        except pyproject_hooks.BackendUnavailable as error:
            raise BuildError(
                f'the build back end "{self._system.backend}" cannot be imported: {error}',
                hint="is the package that holds it named in build-system.requires?",
            ) from error
        except (pyproject_hooks.HookMissing, pyproject_hooks.UnsupportedOperation) as error:
            raise BuildError(f"{self._system.backend} cannot build a wheel: {error}") from error
        except ValueError as error:  # backend-path leads out of the project
            raise ConfigError(f"build-system.backend-path: {error}") from error

    def read_log(self) -> bytes:
        return b"\n".join(log.read_bytes() for log in self._logs if log.exists())

    def _explain(self, failure: ToolFailed, folder: BuildFolder) -> ToolFailed:
        """Return *failure* with the compiler's own lines first: the back end's traceback says little."""
        log = self._logs[-1]
        printed = log.read_text("utf-8", "replace") if log.exists() else failure.tail
        printed = printed.replace(f"{folder.root}/project/", "").replace("/incamera/project/", "")
        tail = explain_output(printed.splitlines()[1:], folder.dropped)
        return ToolFailed(str(failure), hint=failure.hint, argv=failure.argv, tail=tail)


def explain_output(lines: Sequence[str], dropped: Iterable[str]) -> str:
    """Return what of a build's output tells why it failed: compilers' errors, else its end; then what was left out."""
    errors = [number for number, line in enumerate(lines) if _COMPILER_LINES.search(line)]
    errors = [
        number for number in errors if not lines[number].lower().startswith(("error: command", "error: subprocess"))
    ]
    # A compiler shows the place below its message.
    shown = sorted({near for number in errors for near in range(number, min(number + 3, len(lines)))})
    chosen = [lines[number] for number in shown][:_SHOWN_LINES] or list(lines[-2 * _SHOWN_LINES :])
    notes = [f"note: left out {what}: a folder or an option of this computer" for what in dropped]
    return "\n".join([*chosen, *notes])


def copy_project(project: Path, copy: Path) -> None:
    """Copy what a build of *project* needs, so that it leaves nothing behind in the user's own folder."""

    def ignore(folder: str, names: list[str]) -> list[str]:
        at_top = Path(folder) == project
        return [
            name
            for name in names
            if name in _NEVER_COPIED
            or (at_top and name in _NOT_COPIED_FROM_TOP)
            or name.endswith(".egg-info")
            # Extension modules built in place are for this computer.
            or (".cpython-" in name and name.endswith(".so"))
        ]

    try:
        shutil.copytree(project, copy, ignore=ignore, ignore_dangling_symlinks=True)
    except shutil.Error as error:
        source, _, reason = error.args[0][0]
        raise BuildError(f"cannot copy {source}: {reason}") from error


def _forget_bytecode(toolchain: Toolchain, scratch: Path) -> None:
    # The cache of byte-code is by path, and this path never comes again.
    if toolchain.bytecode_cache is not None:
        shutil.rmtree(toolchain.bytecode_cache / str(scratch.absolute())[1:], ignore_errors=True)
