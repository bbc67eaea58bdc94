"""Installs the files that a build requires with pip: for the build interpreter, or for the target of an emulated build.

They are chosen, fetched and verified before, so pip asks no index and resolves nothing.
"""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera import proc
from incamera.archives import BadArchive, TooLarge, open_zip
from incamera.errors import BuildError
from incamera.toolchain.build_system import parse_requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from incamera.store import Store
    from incamera.toolchain.interpreter import BuildInterpreter

KIND = "build-requirements"
# No user settings, no index, no file in the user's home.
_SETTINGS = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONNOUSERSITE": "1",
}


def normalise_requirements(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return *requirements* sorted and in normal form, so that equal ones compare equal. Raises ConfigError."""
    result = set()
    for text in requirements:
        result.add(str(parse_requirement(text, where="build-system.requires")))
    return tuple(sorted(result))


def install_wheels(
    store: Store, interpreter: BuildInterpreter, wheels: Mapping[str, Path], tree: Path, *, options: Sequence[str] = ()
) -> None:
    """Install *wheels*, paths by file name, and their programs into the folder *tree*. Raises ToolFailed, or
    BuildError for a wheel that would unpack to too much.

    They are for the Python of *interpreter*, which runs pip, unless *options* of pip name another.
    """
    if not wheels:
        return
    from incamera.toolchain.build_folder import bytecode_cache  # lazy: most locks install nothing

    with store.temporary() as folder:
        named = folder / "wheels"
        named.mkdir()
        for name, path in wheels.items():  # the store's names are hashes
            _require_bounded(name, path)
            (named / name).symlink_to(path)
        fixed = ("--quiet", "--no-compile", "--only-binary", ":all:", "--target", str(tree))
        files = [str(named / name) for name in sorted(wheels)]
        proc.run(
            interpreter.argv(
                *("-s", "-P", _pip_program(), "install", *fixed, *options, *files),
                bytecode_cache=bytecode_cache(store.root, interpreter),
            ),
            purpose="install what the build requires: " + ", ".join(sorted(wheels)),
            env=proc.minimal_environment(**_SETTINGS, TMPDIR=str(folder)),
        )
    _make_writable(tree)


def _require_bounded(name: str, wheel: Path) -> None:
    """Raise BuildError when *wheel* would unpack to too much. What else is wrong with it, pip says."""
    try:
        with open_zip(wheel):
            pass
    except TooLarge as error:
        raise BuildError(f"{name} is damaged: {error}") from error
    except BadArchive:
        return


def _pip_program() -> str:
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
