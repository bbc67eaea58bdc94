"""The agent's files, which every runtime brings along, so that any bundle can be edited where it runs."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from incamera.errors import BuildError
from incamera.runtime.layout import PACKAGES

AGENT = "incamera_agent"
# Python executes this line at every start: an app that is started with this setting can be attached to.
_STARTER = "incamera_agent.pth"
STARTER_TEXT = (
    'import os; "INCAMERA_ATTACH" in os.environ and '
    '__import__("incamera_agent.inapp.attach", fromlist=["begin"]).begin()\n'
)


def stage_agent(tree: Path) -> list[str]:
    """Copy the agent into the runtime in *tree*. Return its modules' paths in *tree*, for byte-compiling."""
    modules = _find_modules()
    for name, file in modules.items():
        target = tree / PACKAGES / AGENT / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    (tree / PACKAGES / _STARTER).write_text(STARTER_TEXT, "utf-8")
    return [f"{PACKAGES}/{AGENT}/{name}" for name in modules]


@cache
def agent_digest() -> str:
    """Return a hash of the agent's source, for cache keys. Read once in a process."""
    digest = hashlib.sha256(STARTER_TEXT.encode())
    for name, file in _find_modules().items():
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _find_modules() -> dict[str, Path]:
    """Return each module's path within the package, and its file. Raises BuildError."""
    # Found as a package, never imported: beside ours in a wheel, in its own folder in a checkout.
    spec = find_spec(AGENT)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{AGENT}, which is a part of incamera, is missing", hint="install incamera again")
    package = Path(spec.submodule_search_locations[0])
    return {file.relative_to(package).as_posix(): file for file in sorted(package.rglob("*.py"))}
