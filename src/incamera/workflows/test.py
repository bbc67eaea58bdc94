"""test: run the project's pytest in the camera, and bring back test results and coverage data."""

from __future__ import annotations

import secrets
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from incamera.device.tracebacks import PathRewriter, host_paths
from incamera.disk import write_atomic
from incamera.eap.declared import NAME_VARIABLE
from incamera.errors import DeviceError, StoreError, UsageError
from incamera.guard.verbs import make_folder, remove_folder
from incamera.project.dependencies import load_test_requirements
from incamera.project.variant import plan_variant
from incamera.runlog.output import run_shown
from incamera.runtime.launcher.protocol import DATA_VARIABLE
from incamera.transport.protocols import FileMissing, Program
from incamera.workflows.deploy import deployed
from incamera.workflows.lock import ensure_lock

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.apply import Deployed
    from incamera.deployment.request import DeployRequest
    from incamera.device.tracebacks import HostPaths
    from incamera.project.settings import Project
    from incamera.targets.target import Target
    from incamera.transport.session import Session

# The files that the tests leave in the scratch folder.
_JUNIT = "junit.xml"
_COVERAGE = ".coverage"
# Variables that pytest in the camera gets from this computer's environment.
_PASSED_ON = ("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "PYTEST_ADDOPTS", "PYTEST_THEME")
_FETCH_SECONDS = 120.0
# The files are in the camera's RAM, which has not much more room.
_FETCH_BYTES = 256 << 20
# The time is checked after so many steps of SQLite's.
_COVERAGE_SECONDS = 60.0
_COVERAGE_STEPS = 10_000
_COVERAGE_VALUE_BYTES = 16 << 20
_COVERAGE_TEXTS = {"table": ("CREATE TABLE ",), "index": ("CREATE INDEX ", "CREATE UNIQUE INDEX ")}
_COVERAGE_MESSAGE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class TestRun:
    """The arguments for pytest, the path of the JUnit file to write, and whether to measure coverage."""

    __test__ = False  # not a class of tests, though its name begins with Test

    arguments: Sequence[str]
    junit: Path | None = None
    coverage: bool = False


def run_tests(
    context: Context,
    project: Project,
    run: TestRun,
    request: DeployRequest | None = None,
) -> int:
    """Run pytest in the camera. Returns its exit code. Raises UsageError for results that could not be written."""
    if run.junit is not None:
        require_file_name(run.junit)
    requirements = plan_requirements(
        load_test_requirements(project.folder, groups=project.test_groups), coverage=run.coverage
    )

    def with_tests(project: Project, target: Target) -> Project:
        return plan_variant(project, ensure_lock(context, project, target), "test", requirements)

    with (
        deployed(context, project, request, transform=with_tests) as done,
        _scratch(done.session, done.guard.remote_path) as scratch,
    ):
        root = done.result.root
        environment = {name: context.environment[name] for name in _PASSED_ON if name in context.environment}
        environment |= {
            **environment_of_tests(done),
            "PYTHONDONTWRITEBYTECODE": "1",  # pytest would put byte-code of the tests beside them
            "TMPDIR": scratch,
            "COVERAGE_FILE": f"{scratch}/{_COVERAGE}",
        }
        # Without its C tracer, coverage prints a warning at every start.
        if not any("/coverage/tracer." in entry.path and entry.path.endswith(".so") for entry in done.bundle.entries):
            environment["COVERAGE_CORE"] = "pytrace"
        program = Program(
            (f"{root}/bin/python3", *plan_words(project, run, scratch)),
            folder=f"{root}/app",
            environment=environment,
        )
        code = run_shown(context, project, done, program, rewrite_stdout=True).code
        paths = host_paths(project.folder, done.app_folders, has_build_system=project.has_build_system)
        destination = project.folder / context.environment.get("COVERAGE_FILE", ".coverage")
        bring_back(context, done.session, scratch, run, destination, paths)
    return code


def environment_of_tests(done: Deployed) -> dict[str, str]:
    """Return the app's variables, with names of their own for its data and parameters: tests may remove them."""
    endings = {DATA_VARIABLE: "-test", NAME_VARIABLE: "_test"}
    return {name: value + endings.get(name, "") for name, value in done.environment.items()}


def require_file_name(path: Path) -> None:
    """Raise UsageError when *path* cannot become a file: before the tests run, which may take long."""
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not above.is_dir():
        what = f"{path} is a folder" if path.is_dir() else f"{above} is a file"
        raise UsageError(f"the test results cannot be written: {what}", hint="name another file with --junit")


def bring_back(
    context: Context, session: Session, scratch: str, run: TestRun, coverage: Path, paths: HostPaths
) -> None:
    """Write what the tests left in the device's folder *scratch* into files here, with the host's *paths*.

    That is the JUnit file that *run* names, and *coverage*. Warns of a file that *run* asked for and that is not there.
    """
    if run.junit is not None:
        if (data := _fetch(session, f"{scratch}/{_JUNIT}")) is not None:
            _write(run.junit, rewrite_text(data, paths))
            context.reporter.info(f"wrote the test results to {run.junit}")
        else:
            context.reporter.warn(f"pytest left no test results: {run.junit} was not written")
    # pytest-cov may have measured coverage without --coverage.
    if (data := _fetch(session, f"{scratch}/{_COVERAGE}")) is not None:
        _write(coverage, _with_host_paths(data, paths))
        context.reporter.info(f"wrote the coverage data, with this computer's paths, to {coverage}")
    elif run.coverage:
        context.reporter.warn(f"the tests left no coverage data: {coverage} was not written")


def plan_requirements(wanted: Sequence[str], *, coverage: bool) -> list[str]:
    """Return the requirements of the tests: the project's own, pytest, and with *coverage* the package coverage."""
    names = {canonicalize_name(Requirement(text).name) for text in wanted}
    needed = ["pytest", *(["coverage"] if coverage else [])]
    return [*wanted, *(name for name in needed if name not in names)]


def plan_words(project: Project, run: TestRun, scratch: str) -> list[str]:
    """Return the arguments for `python3`: pytest, under coverage if wanted. Nothing is written into the bundle."""
    words = ["-m", "pytest", "-p", "no:cacheprovider"]
    if run.junit is not None:
        words.append(f"--junitxml={scratch}/{_JUNIT}")
    if run.coverage:
        words = ["-m", "coverage", "run", *([] if _chooses_sources(project) else ["--source=."]), *words]
    return [*words, *run.arguments]


def _chooses_sources(project: Project) -> bool:
    if any((project.folder / name).is_file() for name in (".coveragerc", "setup.cfg", "tox.ini")):
        return True
    table = tomllib.loads((project.folder / "pyproject.toml").read_text("utf-8"))
    settings = table.get("tool", {}).get("coverage", {}).get("run", {})
    return any(key in settings for key in ("source", "source_pkgs", "include"))


def rewrite_text(data: bytes, paths: HostPaths) -> bytes:
    """Return *data* with the host's paths in place of those of the device."""
    rewriter = PathRewriter(paths)
    return rewriter.feed(data) + rewriter.finish()


def _with_host_paths(data: bytes, paths: HostPaths) -> bytes:
    """Return coverage data with the host's paths. The work is done on a copy, so that the user's file stays whole."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, ".coverage")
        file.write_bytes(data)
        rewrite_coverage(file, paths)
        return file.read_bytes()


def rewrite_coverage(file: Path, paths: HostPaths) -> None:
    """Put the host's paths into a data file of coverage, so that reports find the sources.

    The file comes from the device, and what SQLite finds in a file it executes. Raises DeviceError for one with
    anything but tables, which is all that coverage writes, and for one that is damaged.
    """
    import sqlite3  # lazy: only after tests that measured coverage

    deadline = time.monotonic() + _COVERAGE_SECONDS
    connection = sqlite3.connect(file)
    try:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _COVERAGE_STEPS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _COVERAGE_VALUE_BYTES)
        connection.execute("PRAGMA trusted_schema = OFF")
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master"):
            # SQLite believes the text alone. It writes it so itself; an index that belongs to a table has none.
            beginnings = _COVERAGE_TEXTS.get(kind, ())
            if not (str(sql).startswith(beginnings) if sql is not None else kind == "index"):
                raise sqlite3.DatabaseError(f"it has more than tables and indexes: {kind} {name}"[:_COVERAGE_MESSAGE])
        for number, path in connection.execute("SELECT id, path FROM file").fetchall():
            if isinstance(path, str) and (found := paths.find(path)):
                connection.execute("UPDATE file SET path = ? WHERE id = ?", (str(found), number))
        connection.commit()
    except (sqlite3.Error, UnicodeError) as error:
        raise DeviceError(
            f"the coverage data from the device cannot be used: {error}",
            hint="does a program in the camera write into COVERAGE_FILE that is not coverage?",
        ) from error
    finally:
        connection.close()


@contextmanager
def _scratch(session: Session, guard: str) -> Iterator[str]:
    """Yield a new folder in the camera for files that tests write. It is removed when the block ends."""
    folder = f"/tmp/incamera-test-{secrets.token_hex(8)}"
    make_folder(session, guard, folder)
    try:
        yield folder
    finally:
        remove_folder(session, guard, folder)


def _fetch(session: Session, path: str) -> bytes | None:
    """Return the content of a file that the tests wrote, None if there is none."""
    try:
        return session.get(path, limit=_FETCH_BYTES, timeout=_FETCH_SECONDS)
    except FileMissing:
        return None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # as pytest itself does
        write_atomic(path, data)
        path.chmod(0o644)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
