"""Changes Debian's modules that expect an installed system: some of the standard library, and of a few packages."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.runtime import layout

if TYPE_CHECKING:
    from incamera.targets.target import Target

_EXPLAINED = ("venv", "ensurepip")
# Debian's sysconfig names /usr/local, for packages that pip installs. A bundle has all packages where Debian's are.
_LAYOUT = "os.environ.get('DEB_PYTHON_INSTALL_LAYOUT', 'posix_local')"
_BUNDLE_LAYOUT = "os.environ.get('DEB_PYTHON_INSTALL_LAYOUT', 'deb_system')"


def stage_explanations(tree: Path, target: Target) -> list[str]:
    """Write modules that replace `venv` and `ensurepip`, and say why. Returns their paths, for byte-compiling."""
    text = _data("absent.py")
    paths = []
    for name in _EXPLAINED:
        path = f"{layout.stdlib(target)}/{name}.py"
        (tree / path).write_text(text.replace("@NAME@", name))
        paths.append(path)
    return paths


def adapt_module(tree: Path, file: str, target: Target) -> None:
    """Change the module *file* of *tree*, which Debian's package has, if it is one that does not fit a bundle."""
    if changes := layout.debian_paths()["changes"].get(file.removeprefix(f"{layout.PACKAGES}/")):
        text = (tree / file).read_text("utf-8")
        for old, new in changes:
            text = text.replace(old, new)
        (tree / file).write_text(text, "utf-8")
        return
    name = file.removeprefix(f"{layout.stdlib(target)}/")
    if name == "ctypes/util.py":
        with (tree / file).open("a", encoding="utf-8") as module:
            module.write("\n\n" + _data("find_library.py"))
    elif name in ("sysconfig.py", "sysconfig/__init__.py"):
        text = (tree / file).read_text("utf-8")
        (tree / file).write_text(text.replace(_LAYOUT, _BUNDLE_LAYOUT), "utf-8")


def _data(name: str) -> str:
    return resources.files("incamera.runtime").joinpath("data", name).read_text("utf-8")
