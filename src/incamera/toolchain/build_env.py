"""Installs the build requirements of a project for the build interpreter, in a tree of their own."""

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
from incamera.toolchain.build_folder import bytecode_cache, fill_bytecode_cache
from incamera.toolchain.cmake import complete_modules
from incamera.toolchain.numpy_headers import generalise_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from incamera.store import Store
    from incamera.toolchain.interpreter import BuildInterpreter

KIND = "build-requirements"
# The user's variables that pip gets: its own settings, proxies and certificates, which the package index may need.
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
# Settings of pip that would install to another folder, or not install at all.
_NOT_PASSED_ON = (
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
    """Return a tree with *requirements* installed for *interpreter*, and whether the store had it already.

    They come from the package index of the user's pip settings in *environment*. *hint* says what a user can do instead
    of building. Raises ConfigError for an invalid requirement, ToolFailed with pip's output when pip fails.
    """
    wanted = normalise_requirements(requirements)
    key = hashlib.sha256(repr((3, wanted, interpreter.python, interpreter.tree.host.machine)).encode()).hexdigest()
    tree, cached = store.ensure_tree(
        KIND,
        key,
        lambda tree: _install(
            store, interpreter, wanted, tree, os.environ if environment is None else environment, hint
        ),
    )
    if wanted:
        fill_bytecode_cache(bytecode_cache(store.root, interpreter), interpreter, tree)
    return tree, cached


def normalise_requirements(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return *requirements* sorted and in normal form, so that equal ones share a tree. Raises ConfigError."""
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
    """Return the environment for pip: its settings from *environment*, and the folder *cache* for its downloads.

    Without *cache*, pip keeps no downloads: it must not write outside the store.
    """
    passed = {k: v for k, v in environment.items() if k.startswith(_PASSED_ON) and k not in _NOT_PASSED_ON}
    return proc.minimal_environment(**passed) | {
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
    # The build interpreter runs pip, so markers and tags are those of that Python.
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
            "build requirements are installed from wheels only: if there is only an sdist, build a wheel of it, and "
            "set PIP_FIND_LINKS to its folder"
        )
    return "check pip's own settings (PIP_INDEX_URL, pip.conf), and the proxy in https_proxy"


def pip_program() -> str:
    """Return the path of pip's package, which Python can run. Raises BuildError when pip is missing."""
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        raise BuildError(
            "pip is missing from the environment that incamera runs in", hint="install it: python -m ensurepip"
        )
    # Run as a folder with a __main__ module, pip imports nothing else from the host's site-packages.
    return str(Path(found.origin).parent)


def _make_writable(tree: Path) -> None:
    # Some wheels have read-only folders, which could not be moved or removed.
    for folder, folders, _ in os.walk(tree):
        for name in folders:
            path = Path(folder, name)
            path.chmod(path.stat().st_mode | stat.S_IRWXU)
