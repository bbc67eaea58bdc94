"""The store, and bundles and toolchains in it: each is made once for all tests that need it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.build.toolchain import ensure_toolchain
from incamera.context import Context
from incamera.project.loading import load_project
from incamera.store import Store
from incamera.targets.target import Target
from incamera.toolchain.plan import Compiler
from incamera.workflows.build import build_bundle

from .cameras import ARCHITECTURES
from .paths import STORE
from .reporter import QuietReporter

if TYPE_CHECKING:
    from incamera.runtime.bundle import Bundle


@pytest.fixture(scope="session")
def store() -> Store:
    return Store(STORE)


@pytest.fixture(scope="session")
def context(store: Store) -> Context:
    return Context(store, QuietReporter())


@pytest.fixture(scope="session", params=["armv7hf", pytest.param("aarch64", marks=pytest.mark.matrix)])
def target(request: pytest.FixtureRequest) -> Target:
    """ARMv7 and, with --all, the other architecture; tests marked `for_both` run for both each time."""
    return Target.parse(request.param)


for_both = pytest.mark.parametrize("target", ARCHITECTURES, indirect=True)


@pytest.fixture(scope="session")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Copies a project out of the repository, so that a test may write to it."""

    def copy(folder: Path) -> Path:
        destination = tmp_path_factory.mktemp("project") / folder.name
        return Path(shutil.copytree(folder, destination, ignore=shutil.ignore_patterns("__pycache__", "pylock.*")))

    return copy


@pytest.fixture(scope="session")
def bundle_of(context: Context, project_copy: Callable[[Path], Path]) -> Callable[[Path, str], Bundle]:
    """Builds the bundle of a project for a target, once."""
    bundles: dict[tuple[Path, str], Bundle] = {}

    def build(folder: Path, target: str) -> Bundle:
        if (folder, target) not in bundles:
            project = load_project(project_copy(folder))
            bundles[folder, target] = build_bundle(context, project, Target.parse(target))
        return bundles[folder, target]

    return build


@pytest.fixture(scope="session")
def toolchain_for(context: Context) -> Callable[[Target, str], Any]:
    """Makes the toolchain of a target and a compiler."""
    return lambda target, compiler: ensure_toolchain(context, target, Compiler.parse(compiler))
