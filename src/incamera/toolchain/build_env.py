"""The packages that a project's back end asks for, installed for the build interpreter, apart from all else."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from incamera import proc
from incamera.errors import BuildError, ConfigError, ToolFailed
from incamera.toolchain.build_folder import bytecode_cache
from incamera.toolchain.cmake import complete_modules
from incamera.toolchain.numpy_headers import generalise_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from incamera.store import Store
    from incamera.toolchain.interpreter import BuildInterpreter

KIND = "build-requirements"
# Of the user's environment, pip sees its own settings, proxies and certificates: what makes their package index work.
_PASSED_ON = (
    "PIP_",
    "SSL_CERT_",
    "REQUESTS_CA_BUNDLE",
    "NETRC",
    "XDG_CONFIG_",
    "http",
    "https",
    "no_proxy",
    "NO_PROXY",
    "HTTP",
)
# Settings of pip that would send the files elsewhere, or refuse to.
_NOT_FOR_US = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_CACHE_DIR",
    "PIP_NO_CACHE_DIR",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_NO_DEPS",
    "PIP_DRY_RUN",
)


def ensure_build_requirements(
    store: Store,
    interpreter: BuildInterpreter,
    requirements: Iterable[str],
    *,
    environment: Mapping[str, str] | None = None,
    hint: str | None = None,
) -> tuple[Path, bool]:
    """Return a tree with *requirements* for *interpreter*, and whether it was there already (then nothing is fetched).

    They come from the package index that the user's pip is set up for. Raises ConfigError for what is no requirement,
    and ToolFailed, with pip's own words, when they cannot be had; *hint* says what to do then instead of building.
    """
    wanted = normalise_requirements(requirements)
    key = hashlib.sha256(repr((3, wanted, interpreter.python, interpreter.tree.host.machine)).encode()).hexdigest()
    return store.ensure_tree(
        KIND,
        key,
        lambda tree: _install(
            store, interpreter, wanted, tree, os.environ if environment is None else environment, hint
        ),
    )


def normalise_requirements(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return *requirements*, sorted and spelled alike, so that equal ones share a tree. Raises ConfigError."""
    result = set()
    for text in requirements:
        try:
            result.add(str(Requirement(text)))
        except InvalidRequirement as error:
            raise ConfigError(
                f'build-system.requires: "{text}" is not a requirement', hint=str(error).splitlines()[0]
            ) from error
    return tuple(sorted(result))


def pip_environment(environment: Mapping[str, str], *, cache: Path | None = None) -> dict[str, str]:
    """Return what pip may see of the user's *environment*; what it downloads is kept in *cache*, or not at all."""
    passed = {k: v for k, v in environment.items() if k.startswith(_PASSED_ON) and k not in _NOT_FOR_US}
    return proc.minimal_environment(**passed) | {
        # Nothing is written outside the store.
        **({"PIP_NO_CACHE_DIR": "1"} if cache is None else {"PIP_CACHE_DIR": str(cache)}),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PYTHONNOUSERSITE": "1",
    }


def _install(
    store: Store,
    interpreter: BuildInterpreter,
    wanted: tuple[str, ...],
    tree: Path,
    environment: Mapping[str, str],
    hint: str | None,
) -> None:
    if not wanted:
        return
    # pip is run by the build interpreter, so that markers and tags are that Python's, whatever runs us.
    cache = bytecode_cache(store.root, interpreter)
    options = ["--quiet", "--no-compile", "--target", str(tree), "--only-binary", ":all:"]
    with store.temporary() as folder:
        try:
            proc.run(
                interpreter.argv("-s", "-P", pip_program(), "install", *options, *wanted, bytecode_cache=cache),
                purpose="install what the project's build needs: " + ", ".join(wanted),
                env=pip_environment(environment, cache=store.root / "caches/pip") | {"TMPDIR": str(folder)},
            )
        except ToolFailed as failure:
            failure.hint = _hint(failure.tail, hint)
            raise
    _make_writable(tree)
    generalise_headers(tree)
    complete_modules(tree)


def _hint(tail: str, instead: str | None) -> str:
    if "No matching distribution" in tail or "Could not find a version" in tail:
        return instead or (
            "build requirements are installed from wheels only: is there one for this Python, or only an sdist (build "
            "a wheel of it, and name its folder in PIP_FIND_LINKS)?"
        )
    return "pip's own settings are used (PIP_INDEX_URL, pip.conf); a proxy is read from https_proxy"


def pip_program() -> str:
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        raise BuildError(
            "pip is missing from the environment that incamera runs in", hint="install it: python -m ensurepip"
        )
    # A folder with a __main__ module: run so, pip brings nothing else of the host's site-packages along.
    return str(Path(found.origin).parent)


def _make_writable(tree: Path) -> None:
    # Some wheels hold read-only folders, which could not be moved or removed.
    for folder, folders, _ in os.walk(tree):
        for name in folders:
            path = Path(folder, name)
            path.chmod(path.stat().st_mode | stat.S_IRWXU)
