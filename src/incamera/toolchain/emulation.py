"""Builds a wheel under emulation, in a root of the target's packages: slow, for projects that cannot be cross-built."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ToolFailed
from incamera.toolchain.build_folder import build_variables
from incamera.toolchain.build_system import BuildSystem, load_build_system
from incamera.toolchain.copying import copy_project
from incamera.toolchain.explain import explain_limited, explain_output, find_hint
from incamera.toolchain.hooks import call_hook, require_strings
from incamera.toolchain.interpreter import write_script
from incamera.toolchain.isolation import make_private_folders
from incamera.toolchain.limited_run import LimitReached, run_limited
from incamera.toolchain.network import refusing_downloads
from incamera.toolchain.wheel_build import WheelBuild, deliver_wheel, require_wheel
from incamera.toolchain.wheel_check import check_wheel

if TYPE_CHECKING:
    from incamera.toolchain.emulated_root import EmulatedRoot

# Folders in the root. They are the same for each build, so that paths in its results are, too.
_BUILD, _REQUIREMENTS, _HOOKS, _CALL = "/build", "/requirements", "/hooks", "/call"
_PYTHON = f"{_BUILD}/venv/bin/python"
_CFLAGS = "-O2 -DNDEBUG -fwrapv -Wall"
# Measured with Pillow 11.3 for armv7hf by bench/sdist.py, in processor time.
TIMES_SLOWER = 13
_SECONDS_PER_BYTE = 1.5e-4
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".pyx", ".S")


def estimate_seconds(source: Path) -> float:
    """Return roughly how many seconds it takes to build *source*, an unpacked sdist, under emulation."""
    sizes = (path.stat().st_size for path in source.rglob("*") if path.suffix in _SOURCES and path.is_file())
    return 10 + _SECONDS_PER_BYTE * sum(sizes)


def build_wheel_emulated(build: WheelBuild, root: EmulatedRoot, destination: Path) -> Path:
    """Build a project for the root's target under emulation, and return the wheel in the folder *destination*.

    Build requirements are installed before. The build itself has no network. Raises ToolFailed, with the compiler's
    errors first, and BuildError.
    """
    with _building(build, root) as builder:
        builder.install()
        if build.requirements.ask_back_end and (more := builder.ask_requirements()):
            builder.install(more)
        name = builder.call("build_wheel", f"{_BUILD}/wheels")
        wheel = require_wheel(builder.folder / "wheels", name, builder.system.backend, builder.scratch / "wheel")
        check_wheel(wheel, root.target)
        return deliver_wheel(wheel, destination)


def find_requirements_emulated(build: WheelBuild, root: EmulatedRoot) -> tuple[str, ...]:
    """Return what the build requires: what the project says, and what its back end adds."""
    with _building(build, root) as builder:
        builder.install()
        return (*builder.named, *builder.ask_requirements())


@contextmanager
def _building(build: WheelBuild, root: EmulatedRoot) -> Iterator[_Builder]:
    with build.store.temporary() as scratch:
        builder = _Builder(load_build_system(build.project), root, scratch, build)
        copy_project(build.project, builder.project)
        try:
            yield builder
        finally:
            if build.log is not None:
                build.log.write_bytes(builder.read_log())


class _Builder:
    """Calls the hooks of one back end, each in its own process, in a root that is made for one build."""

    def __init__(self, system: BuildSystem, root: EmulatedRoot, scratch: Path, build: WheelBuild) -> None:
        self.system = system
        self._root = root
        self._root_folder = scratch / "root"
        # For tests of proot without namespaces.
        self._socket_folder = scratch if build.isolated and root.namespaces else None
        self._limits = build.limits
        self._options = build.options
        self._user_variables = build.environment
        self._wanted = build.requirements
        given = build.options.build_requires
        self.named = system.requires if given is None else given
        self._requirements = Path()
        self._logs: list[Path] = []
        self.folder = scratch / "build"
        # Beside the folder that the build can write to.
        self.scratch = scratch
        self._venv = scratch / "venv"
        for name in ("tmp", "wheels", "venv"):
            (self.folder / name).mkdir(parents=True)
        self._root_folder.mkdir()
        root.make(self._root_folder)
        self._write_environment()

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def install(self, more: Sequence[str] = ()) -> None:
        """Make the project's requirements, and *more*, which the back end named, available to the build."""
        requirements = self._requirements = self._wanted.install([*self.named, *more], self._root)
        for script in sorted((requirements / "bin").glob("*")):
            with script.open("rb") as stream:
                is_python = stream.read(2) == b"#!" and b"python" in stream.readline()
            path = self._venv / "bin" / script.name
            inside = f"{_REQUIREMENTS}/bin/{script.name}"
            if not path.exists() and not path.is_symlink():
                if is_python:
                    write_script(path, f'exec {_PYTHON} {shlex.quote(inside)} "$@"')
                else:
                    path.symlink_to(inside)

    def _write_environment(self) -> None:
        """Write a virtual environment. (`venv` would have to run under emulation.)"""
        python, venv = self._root.target.python, self._venv
        packages = venv / f"lib/python{python}/site-packages"
        packages.mkdir(parents=True)
        (venv / "bin").mkdir()
        for name in ("python", "python3", f"python{python}"):
            (venv / "bin" / name).symlink_to(f"/usr/bin/python{python}")
        # With Debian's Python packages: a recipe may name python3-numpy, since numpy has no wheel for ARMv7.
        (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = true\n", "utf-8")
        (packages / "_requirements.pth").write_text(f"import site; site.addsitedir({_REQUIREMENTS!r})\n", "utf-8")

    def _environment(self) -> dict[str, str]:
        flags = " ".join((_CFLAGS, *self._root.target.architecture.facts.cflags))
        processors = str(os.cpu_count() or 1)
        return {
            **build_variables(),
            "HOME": f"{_BUILD}/tmp",
            "TMPDIR": f"{_BUILD}/tmp",
            "PATH": f"{_BUILD}/venv/bin:/usr/bin:/usr/sbin",
            "PYTHONDONTWRITEBYTECODE": "1",  # the modules have been compiled on the host
            # Without debug sections, which take time, and are not uploaded to the camera.
            "CFLAGS": flags,
            "CXXFLAGS": flags,
            "LDFLAGS": "-s",
            "MAKEFLAGS": f"-j{processors}",
            "CMAKE_BUILD_PARALLEL_LEVEL": processors,
            **self._user_variables,
            **{key: _expand(value) for key, value in self._options.environment.items()},
        }

    def ask_requirements(self) -> tuple[str, ...]:
        """Return what the back end requires besides what the project says."""
        hook = "get_requires_for_build_wheel"
        return require_strings(self.call(hook), hook)

    def call(self, hook: str, *arguments: str) -> Any:
        """Return what the back end's *hook* returns. Raises ToolFailed, with the compiler's errors first."""
        try:
            return call_hook(
                self.system,
                hook,
                arguments,
                project=self.project,
                python=_PYTHON,
                settings=self._settings(),
                run=lambda command, cwd, more: self._run(hook, command, more or {}),
            )
        except ToolFailed as failure:
            raise self._explain(failure) from failure

    def _settings(self) -> dict[str, str | list[str]]:
        return {
            key: _expand(value) if isinstance(value, str) else [_expand(word) for word in value]
            for key, value in self._options.settings.items()
        }

    def _run(self, hook: str, command: Sequence[str], more: Mapping[str, str]) -> None:
        log = self.scratch / f"log-{len(self._logs)}"
        self._logs.append(log)
        _, script, _, folder = command  # python, the hooks' script, the hook, a folder for arguments and result
        with refusing_downloads(self._socket_folder) as refusals:
            environment = {**self._environment(), **refusals.environment}
            # In the variables of the hooks' script, paths of this computer become paths in the root.
            environment |= {key: value.replace(str(self.folder), _BUILD) for key, value in more.items()}
            entry = self._root.entry(
                self._root_folder,
                [_PYTHON, f"{_HOOKS}/{Path(script).name}", hook, _CALL],
                read_only={
                    _REQUIREMENTS: self._requirements,
                    _HOOKS: Path(script).parent,
                    f"{_BUILD}/venv": self._venv,
                },
                writable={_BUILD: self.folder, _CALL: Path(folder), **make_private_folders(self.scratch)},
                environment=environment,
                refusals=refusals.socket,
            )
            purpose = f"build {self._root.target} wheel, emulated ({hook})"
            run_limited(
                entry,
                purpose=purpose,
                env={},
                folders=(self.folder, self.scratch),
                log=log,
                limits=self._limits,
            )

    def read_log(self) -> bytes:
        """Return everything that the hooks have printed."""
        return b"\n".join(log.read_bytes() for log in self._logs if log.exists())

    def _explain(self, failure: ToolFailed) -> ToolFailed:
        printed = self._logs[-1].read_text("utf-8", "replace") if self._logs[-1].exists() else failure.tail
        lines = printed.replace(f"{_BUILD}/project/", "").splitlines()[1:]
        tail = explain_limited(lines) if isinstance(failure, LimitReached) else explain_output(lines, ())
        return ToolFailed(str(failure), hint=failure.hint or find_hint(printed), tail=tail)


def _expand(text: str) -> str:
    """Return *text*, a setting of a recipe, without `{sysroot}`: in an emulated build, that is the root itself."""
    return text.replace("{sysroot}", "")
