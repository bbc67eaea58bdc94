"""Copies the agent into a runtime. Every runtime has it, so that any app can be edited while it runs."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

import incamera_agent
from incamera.runtime.layout import PACKAGES
from incamera_agent.wire.protocol import ATTACH_VARIABLE, MODULE

# In a wheel beside the package incamera, in a checkout in a folder of its own.
PACKAGE = Path(incamera_agent.__path__[0])
# Python executes this line at every start: an app that is started with this variable can be attached to. The variable
# is removed, so that programs that the app starts do not inherit it.
_STARTER = f"{MODULE}.pth"
STARTER_TEXT = (
    f'import os; "{ATTACH_VARIABLE}" in os.environ and '
    f'__import__("{MODULE}.inapp.listener", fromlist=["begin"]).begin(os.environ.pop("{ATTACH_VARIABLE}"))\n'
)


def stage_agent(tree: Path) -> list[str]:
    """Copy the agent into the runtime in *tree*. Returns its modules' paths in *tree*, for byte-compiling."""
    modules = _find_modules()
    for name, file in modules.items():
        target = tree / PACKAGES / MODULE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    (tree / PACKAGES / _STARTER).write_text(STARTER_TEXT, "utf-8")
    return [f"{PACKAGES}/{MODULE}/{name}" for name in modules]


# Increase this when equal sources are staged or compiled in another way.
_FORMAT = 1


@cache
def agent_digest() -> str:
    """Return a hash of the agent's source, for cache keys. Read once in a process."""
    digest = hashlib.sha256(f"{_FORMAT} {STARTER_TEXT}".encode())
    for name, file in _find_modules().items():
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _find_modules() -> dict[str, Path]:
    """Return each module's path within the package, and its file."""
    return {file.relative_to(PACKAGE).as_posix(): file for file in sorted(PACKAGE.rglob("*.py"))}
