"""What the integration tests work with: a store, virtual cameras, the command line, a mirror with faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bundles import bundle_of, context, project_copy, store, target, toolchain_for
from .cameras import camera, cameras, choose_profiles
from .command import incamera, incamera_process
from .faulty_mirror import local_mirror, session_mirror
from .pinned_index import own_index, package_index

if TYPE_CHECKING:
    import pytest

__all__ = [
    "bundle_of",
    "camera",
    "cameras",
    "context",
    "incamera",
    "incamera_process",
    "local_mirror",
    "own_index",
    "package_index",
    "project_copy",
    "session_mirror",
    "store",
    "target",
    "toolchain_for",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose_profiles(metafunc)
