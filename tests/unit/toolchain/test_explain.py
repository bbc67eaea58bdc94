"""What a failed build's output says about the remedy."""

from __future__ import annotations

import pytest

from incamera.toolchain.explain import explain_limited, find_hint


@pytest.mark.parametrize(
    "line",
    [
        "LookupError: setuptools-scm was unable to detect version for /incamera/project.",
        "Exception: Versioning for this project requires an sdist tarball, or access to an upstream git repository.",
        "fatal: not a git repository (or any of the parent directories): .git",
        "pdm.backend.exceptions.ConfigError: Cannot find the version from SCM or SCM isn't detected. ",
        "versioningit.errors.NotVCSError: Git not installed; assuming this isn't a Git repository",
        "RuntimeError: This does not appear to be a Git project",
        "RuntimeError: Unable to detect version control system.",
    ],
)
def test_missing_git_names_the_variables(line: str) -> None:
    assert "SETUPTOOLS_SCM_PRETEND_VERSION" in (find_hint(f"running\n{line}\n") or "")


@pytest.mark.parametrize(
    "line",
    [
        "meson.build:3:0: ERROR: Unknown compiler(s): [['gfortran'], ['flang-new'], ['flang']]",
        "../meson.build:1:0: ERROR: 'fortran' compiler binary not defined in cross file [binaries] section",
        "error: library flib has Fortran sources but no Fortran compiler found",
        "No CMAKE_Fortran_COMPILER could be found.",
        "sh: 1: gfortran: not found",
    ],
)
def test_missing_fortran_names_the_other_sources(line: str) -> None:
    hint = find_hint(line) or ""
    assert '"deb"' in hint
    assert "{" not in hint  # the project's own build has no package whose name could be filled in
    assert "gfortran" in hint


def test_compilers_error_has_no_such_hint() -> None:
    assert find_hint("lamp.c:1:2: error: #error no lamp") is None


def test_end_of_a_limited_build_is_shown_without_its_traceback() -> None:
    lines = [
        "compiling lamp.c",
        "Traceback (most recent call last):",
        '  File "own.py"',
        "OSError: [Errno 27] File too large",
    ]
    assert explain_limited(lines) == "compiling lamp.c"
    assert explain_limited(lines[1:]) == ""
    assert explain_limited(lines[:1]) == "compiling lamp.c"
