"""The real thing: a store of its own, packages from the Debian mirror, virtual cameras in QEMU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.context import Context, Step
from incamera.project.settings import load_project
from incamera.store import Store
from incamera.targets.profile import load_profiles, require_profile
from incamera.targets.target import Target
from incamera.virtual.start import start_virtual as start
from incamera.workflows.build import build_bundle

from .faulty_mirror import FaultyMirror, faulty_mirror

if TYPE_CHECKING:
    from incamera.http import Progress
    from incamera.runtime.bundle import Bundle
    from incamera.virtual.camera import VirtualCamera

REPOSITORY = Path(__file__).parents[2]
PROJECTS = Path(__file__).parent / "projects"
# Kept from run to run, so that only the first one fetches; another folder can be named.
STORE = Path(os.environ.get("INCAMERA_TEST_STORE", REPOSITORY / ".incamera" / "test-store"))
ARCHITECTURES = ("armv7hf", "aarch64")


@dataclass
class QuietStep:
    name: str
    seconds: float = 0.0
    cached: bool = False

    def note(self, text: str) -> None: ...

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        yield lambda _: None


@dataclass
class QuietReporter:
    """Keeps what a user would have been told."""

    told: list[str] = field(default_factory=list)
    steps: list[QuietStep] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step = QuietStep(name)
        self.steps.append(step)
        yield step

    def info(self, text: str) -> None:
        self.told.append(text)

    def warn(self, text: str) -> None:
        self.told.append(text)

    def error(self, error: Exception) -> None:
        self.told.append(str(error))

    def confirm(self, question: str) -> bool:
        self.told.append(question)
        return False


@pytest.fixture(scope="session")
def store() -> Store:
    return Store(STORE)


@pytest.fixture(scope="session")
def context(store: Store) -> Context:
    return Context(store, QuietReporter())


@pytest.fixture(scope="session")
def start_virtual(context: Context) -> Iterator[Callable[..., VirtualCamera]]:
    """Starts virtual cameras that end with the tests, whatever happens to them."""
    from incamera.virtual.camera import list_cameras, stop_camera

    started: list[str] = []

    def start_one(profile: str, **options: Any) -> VirtualCamera:
        camera = start(context, require_profile(profile), owner_pid=os.getpid(), **options)
        started.append(camera.name)
        return camera

    yield start_one
    for camera in list_cameras(context.store):
        if camera.name in started:
            stop_camera(context.store, camera.name)


@pytest.fixture(scope="session", params=sorted(load_profiles()))
def camera(request: pytest.FixtureRequest, start_virtual: Callable[..., VirtualCamera]) -> Iterator[VirtualCamera]:
    """A running virtual camera of each profile in turn."""
    from incamera.virtual.camera import stop_camera

    camera = start_virtual(request.param, name=f"test-{request.param}")
    yield camera
    stop_camera(Store(STORE), camera.name)


@pytest.fixture(scope="session", params=ARCHITECTURES)
def target(request: pytest.FixtureRequest) -> Target:
    return Target.parse(request.param)


@pytest.fixture(scope="session")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Copies a project out of the repository, so that tests may write to it."""

    def copy(folder: Path) -> Path:
        destination = tmp_path_factory.mktemp("project") / folder.name
        return Path(shutil.copytree(folder, destination, ignore=shutil.ignore_patterns("__pycache__", "pylock.*")))

    return copy


@pytest.fixture(scope="session")
def bundle_of(context: Context, project_copy: Callable[[Path], Path]) -> Callable[[Path, str], Bundle]:
    """Builds a project's bundle for a target."""
    copies: dict[Path, Path] = {}

    def build(folder: Path, target: str) -> Bundle:
        if folder not in copies:
            copies[folder] = project_copy(folder)
        return build_bundle(context, load_project(copies[folder]), Target.parse(target))

    return build


@pytest.fixture(scope="session")
def toolchain_for(context: Context) -> Callable[[Target, str], Any]:
    from incamera.build.toolchain import ensure_toolchain
    from incamera.toolchain.plan import Compiler

    return lambda target, compiler: ensure_toolchain(context, target, Compiler.parse(compiler))


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


def command_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "INCAMERA_STORE": str(STORE), "NO_COLOR": "1", **(more or {})}


@pytest.fixture(scope="session")
def incamera() -> Callable[..., Finished]:
    """Runs the command line as a user would, in a process of its own."""

    def run(
        *arguments: str | Path,
        cwd: Path | None = None,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "incamera", *map(str, arguments)],
            cwd=cwd,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env=command_environment(env),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def _mirror() -> Iterator[FaultyMirror]:
    with faulty_mirror(REPOSITORY / ".incamera" / "mirror-cache") as mirror:
        yield mirror


@pytest.fixture
def local_mirror(_mirror: FaultyMirror) -> Iterator[FaultyMirror]:
    """A mirror on loopback that does what a test asks of it, and is sound again after that."""
    yield _mirror
    _mirror.behave()
