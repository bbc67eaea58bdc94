"""What the app's files are while it is edited: the project's own, or those of the wheel that is made of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from incamera.disk import find_by_end, remove_tree
from incamera.elf.debug import DEBUG_FOLDER
from incamera.project.lockfile import load_lock
from incamera.project.watching import AppFile, Snapshots, changed_paths, file_digest

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.targets.target import Target

# Raise it when what is kept between two builds changes its form.
_FORMAT = 1
_COMPILED = (
    *(".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".inc", ".s", ".f", ".f90", ".rs"),
    *(".pyx", ".pxd", ".pxi", ".build", ".cmake", ".toml"),
)


class LiveApp(Protocol):
    edited: list[str]
    """The project's files that changed before the app was read the last time, where the app has others than these."""
    debug_folders: Sequence[Path]
    """The folders with debug information of what was built while it was edited."""

    def read(self) -> dict[str, AppFile]:
        """Return the app's files by their paths in the camera. Raises InCameraError."""

    def find(self, path: str) -> Path | None:
        """Return the file here that the camera has as *path*, None for none."""

    def prepare(self) -> None:
        """Do now, while nobody waits, what would make the first change slow."""


@contextmanager
def live_app(context: Context, project: Project, target: Target, app: Path) -> Iterator[LiveApp]:
    """*app* is the app's folder in the bundle that was deployed."""
    if not project.has_build_system:
        yield PlainApp(project)
        return
    with context.store.temporary() as folder:
        yield BuiltApp(context, project, target, app, folder)


class PlainApp:
    def __init__(self, project: Project) -> None:
        self._folder = project.folder
        files = project.app_files()  # it knows its patterns the next time
        find_files = project.find_files if project.script is not None else lambda: files.find().files
        self._snapshots = Snapshots(project.folder, find_files)
        self.edited: list[str] = []
        self.debug_folders: Sequence[Path] = ()

    def read(self) -> dict[str, AppFile]:
        return self._snapshots.take()

    def find(self, path: str) -> Path | None:
        return find_by_end(path, self._folder.joinpath)

    def prepare(self) -> None:
        pass


class BuiltApp:
    """An app that its back end makes a wheel of.

    A change of a file that the wheel has as it is, a Python module for one, needs no build. Any other has the wheel
    built again, in a folder that is kept, so that the back end compiles only what is stale. That one is for all
    sessions of the project, one at a time; what the wheel holds goes into *folder*, which is ours alone, since it is
    sent when the build is over.
    """

    def __init__(self, context: Context, project: Project, target: Target, app: Path, folder: Path) -> None:
        self._context = context
        self._project = project
        self._target = target
        self._snapshots = Snapshots(project.folder, project.find_files)
        self._sources = self._last = self._snapshots.take()
        self.edited: list[str] = []
        self._installed = _read_tree(app)
        self._folder = folder
        self.debug_folders: Sequence[Path] = (folder / "wheels" / DEBUG_FOLDER,)
        self._name = hashlib.sha256(
            f"{_FORMAT} {project.folder} {target}".encode("utf-8", "surrogateescape")
        ).hexdigest()[:16]
        self._kept = context.store.root / "caches" / "edited" / self._name / "scratch"

    def read(self) -> dict[str, AppFile]:
        sources = self._snapshots.take()
        copies = find_copies(self._sources, self._installed, self._project.loose_files)
        changed = changed_paths(self._sources, sources)
        if all(path in copies and path in sources for path in changed):
            by_path = {copies[path]: sources[path] for path in copies if path in sources}
            app = {**self._installed, **by_path}
        else:
            self._installed = app = self._build()
            self._sources = sources
        self.edited, self._last = changed_paths(self._last, sources), sources
        return dict(app)

    def find(self, path: str) -> Path | None:
        return find_by_end(path, lambda end: self._installed[end].source if end in self._installed else None)

    def prepare(self) -> None:
        if not self._kept.exists():
            self._build()

    def _build(self) -> dict[str, AppFile]:
        from incamera.build.camera_sdk import find_project_use  # lazy: only an app with a build system is built
        from incamera.build.isolation import check_isolation
        from incamera.build.logs import naming_log, project_log_path
        from incamera.build.sdists import LockedRequirements
        from incamera.build.toolchain import ensure_toolchain
        from incamera.build.variables import project_variables
        from incamera.toolchain.limits import default_limits
        from incamera.toolchain.pep517 import build_wheel
        from incamera.toolchain.plan import Compiler
        from incamera.toolchain.wheel_build import WheelBuild
        from incamera.wheels.install import install_wheel

        context, project = self._context, self._project
        lock = load_lock(project, self._target)
        check_isolation(context, project.build_isolation)
        camera = find_project_use(context, project, self._target)
        toolchain = ensure_toolchain(context, self._target, Compiler.parse(project.compiler), camera=camera)
        # Until all is read: what is prepared and what a change asks for may be built at once.
        with context.store.lock(f"edited-{self._name}"), context.reporter.step("build") as step:
            wheels, app = self._folder / "wheels", self._folder / "app"
            for folder in (wheels, app):
                remove_tree(folder)
            log = project_log_path(context, project, self._target)
            build = WheelBuild(
                project=project.folder,
                store=context.store,
                requirements=LockedRequirements(context, project, lock.builds if lock else (), ""),
                environment=project_variables(context.environment),
                log=log,
                limits=default_limits(project.build_limits),
                leaves_out=project.app_files().is_excluded,
                warn=context.reporter.warn,
            )
            with naming_log(log):
                wheel = build_wheel(build, toolchain, wheels, keep=self._kept)
            app.mkdir()
            install_wheel(wheel, app)
            for file in project.loose_files:
                (app / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(project.folder / file, app / file)
            step.note(wheel.name)
            return _read_tree(app)


def find_copies(
    sources: Mapping[str, AppFile], installed: Mapping[str, AppFile], loose: Collection[str]
) -> dict[str, str]:
    """Return which of the project's files are in the wheel as they are: the same bytes, below the same name.

    Those in *loose* are beside the wheel.

    What a compiler reads is none of them, even where the wheel has it too.
    """
    modules = {path[: path.index(".", path.rfind("/") + 1)] for path in installed if path.endswith(".so")}
    by_digest: dict[str, list[str]] = {}
    for path, file in installed.items():
        if not path.endswith(_COMPILED) and path.removesuffix(".py") not in modules:
            by_digest.setdefault(file.sha256, []).append(path)
    copies = {}
    for path, file in sources.items():
        if path in loose:
            copies[path] = path
            continue
        same = [other for other in by_digest.get(file.sha256, ()) if f"/{path}".endswith(f"/{other}")]
        if same:
            copies[path] = max(same, key=len)
    return copies


def _read_tree(folder: Path) -> dict[str, AppFile]:
    return {
        path.relative_to(folder).as_posix(): AppFile(path, file_digest(path), bool(path.stat().st_mode & 0o100))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
